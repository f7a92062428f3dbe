//! An inline program: previewed, applied, looked at and destroyed. It needs no provider.
//!
//! ```sh
//! cargo run -p pulumi-auto --example inline -- "$(command -v pulumi)"
//! ```

// A program of a person, not a library.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;

use pulumi_auto::{
    Cli, Context, EventKind, Input, Outputs, ProgramError, ResourceOptions, Workspace, program,
};

async fn shop(context: Context) -> Result<Outputs, ProgramError> {
    let group =
        context.component("shop:web:Group", "front", ResourceOptions::default(), BTreeMap::new()).await?;
    context.register_outputs(&group, Outputs::new()).await?;
    Ok(Outputs::from([
        ("group".to_owned(), Input::from(group.urn)),
        ("token".to_owned(), Input::from("hidden").into_secret()),
    ]))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pulumi = std::env::args().nth(1).unwrap_or_else(|| "pulumi".to_owned());
    // State, settings and Pulumi's own files are in a temporary folder that is removed at the end.
    let stack = Workspace::temporary(Cli::open(pulumi).await?, "shop")?.with_empty_passphrase().stack("dev");
    stack.create().await?;

    let plan = stack.preview(program(shop)).await?;
    println!("would do: {:?}", plan.changes);

    let (events, mut listener) = tokio::sync::mpsc::channel::<pulumi_auto::EngineEvent>(4096);
    let watch = tokio::spawn(async move {
        while let Some(event) = listener.recv().await {
            if let EventKind::ResourceOutputs(step) = event.kind {
                println!("{} {}", step.op, step.name());
            }
        }
    });
    let update = stack.up(program(shop)).events(events).await?;
    watch.await?;
    for (name, value) in &update.outputs {
        println!("{name} = {}", if value.has_secrets() { "[secret]".into() } else { value.reveal() });
    }
    stack.destroy(program(shop)).await?;
    stack.remove().await?;
    Ok(())
}
