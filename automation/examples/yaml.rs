//! A project with a program of its own, here in YAML: the engine starts its language host.
//!
//! ```sh
//! cargo run -p pulumi-auto --example yaml -- "$(command -v pulumi)"
//! ```

// A program of a person, not a library.
#![allow(clippy::print_stdout)]

use pulumi_auto::{Backend, Cli, Source, Workspace};

const PROJECT: &str = "name: greeting
runtime: yaml
variables:
  who: world
outputs:
  text: hello ${who}
";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pulumi = std::env::args().nth(1).unwrap_or_else(|| "pulumi".to_owned());
    let folder = tempfile::tempdir()?;
    let project = folder.path().join("project");
    std::fs::create_dir(&project)?;
    std::fs::write(project.join("Pulumi.yaml"), PROJECT)?;

    let state = Backend::Folder(folder.path().join("state"));
    let home = folder.path().join("home");
    let stack = Workspace::local(Cli::open(pulumi).await?, project, home, state)?
        .with_empty_passphrase()
        .stack("dev");
    stack.create().await?;
    let update = stack.up(Source::Project).await?;
    println!("{}", update.outputs["text"].reveal());
    stack.destroy(Source::Project).await?;
    stack.remove().await?;
    Ok(())
}
