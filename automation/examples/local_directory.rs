//! Previews the stack of a project that is already there, with the state, home and passphrase you name.
//!
//! ```sh
//! cargo run -p pulumi-auto --example local_directory -- FOLDER STACK BACKEND_FOLDER PASSPHRASE_FILE
//! ```

// A program of a person, not a library.
#![allow(clippy::print_stdout)]

use pulumi_auto::{Backend, Cli, Source, Workspace};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, stack, backend, passphrase] = arguments.as_slice() else {
        return Err("usage: local_directory FOLDER STACK BACKEND_FOLDER PASSPHRASE_FILE".into());
    };
    let home = tempfile::tempdir()?;
    let state = Backend::Folder(backend.into());
    let workspace =
        Workspace::local(Cli::open("pulumi").await?, folder, home.path(), state)?.with_empty_passphrase();
    let stack = workspace.with_passphrase_file(passphrase).stack(stack);
    let plan = stack.preview(Source::Project).await?;
    for step in &plan.steps {
        println!("{:<10} {}", step.op, step.urn);
    }
    println!("{:?}", plan.changes);
    Ok(())
}
