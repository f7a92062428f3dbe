//! The engine host: built once from what this crate brings, then each operation takes milliseconds. It needs Go the
//! first time, and no Pulumi CLI.
//!
//! ```sh
//! cargo run -p pulumi-auto --features host --example warm -- "$HOME/.cache/pulumi-auto"
//! ```

// A program of a person, not a library.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use pulumi_auto::host::{Host, HostInstall};
use pulumi_auto::{Outputs, Workspace, program};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("say the folder that the engine host is installed to")?;
    println!("the first time this builds the engine host, which takes some minutes");
    let host = Host::install(&HostInstall::new(folder)).await?;

    let stack = Workspace::temporary(host, "shop")?.with_empty_passphrase().stack("dev");
    stack.create().await?;
    for _ in 0..3 {
        let began = Instant::now();
        let done =
            stack.up(program(|_| async { Ok(Outputs::from([("page".to_owned(), 1.into())])) })).await?;
        println!("up in {:?}: {:?}", began.elapsed(), done.summary.changes);
    }
    stack.destroy(program(|_| async { Ok(Outputs::new()) })).await?;
    Ok(())
}
