//! What can be typed after `pilot image`.

use std::path::PathBuf;

use clap::Subcommand;

use super::Connection;

#[derive(Debug, clap::Args)]
pub struct Image {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: ImageCommand,
}

#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Bring an image to where a provider makes instances from it
    #[command(after_help = PUSH_EXAMPLES)]
    Push(Push),
}

#[derive(Debug, clap::Args)]
pub struct Push {
    /// An image of this machine's Docker: `docker save` writes it, and nothing is kept on the disk here
    #[arg(value_name = "REF", required_unless_present = "archive", conflicts_with = "archive")]
    pub reference: Option<String>,
    /// What `docker save` has written, or an OCI layout as tar; `-` reads it from a pipe
    #[arg(long, value_name = "FILE")]
    pub archive: Option<PathBuf>,
    /// To which provider [default: the installation's]
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// What it is called there [default: as REF without its registry, or as in the archive]
    #[arg(long, value_name = "NAME:TAG")]
    pub name: Option<String>,
    /// Which program is Docker's command
    #[arg(long, hide = true, default_value = "docker", value_name = "PROGRAM")]
    pub docker: PathBuf,
}

const PUSH_EXAMPLES: &str = "\
Examples:
  docker build -t team/instance:2 . && pilot image push team/instance:2
  pilot image push team/instance:2 --provider fly
  pilot image push --archive instance.tar --name team/instance:2 --provider docker
  pilot image push team/instance:2 --json | jq -r .exact

Where it goes:
  docker      into every host that can run it
  fly         registry.fly.io/APP: the app of PILOT_FLY_IMAGE_APP, or the one that PILOT_FLY_IMAGE names
  cloudflare  the account's own registry; it takes no tag `latest`
  local       has no images

What runs stays as it is. The answer says how new workspaces get it, and how those that are there do: an image that is used by its \
exact reference stays the same when its name is pushed again. A push that is interrupted can be repeated.";
