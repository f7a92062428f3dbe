//! The command line, and how to learn from it.

use std::path::PathBuf;

use clap::Parser;
use sim_cloudflare::Options;

const LEARN: &str = "\
The first line on stdout is JSON with the URLs. Then, for example:

  export CLOUDFLARE_API_BASE_URL=$API CLOUDFLARE_API_TOKEN=sim-token CLOUDFLARE_ACCOUNT_ID=$ACCOUNT
  wrangler deploy
  curl -H 'Host: my-worker.sim.workers.dev' $EDGE/

Faults are ordered on the admin port; `path` takes `*`, and without `count` a fault stays:

  curl $ADMIN/faults -H 'content-type: application/json' \\
    -d '{\"surface\":\"api\",\"method\":\"PUT\",\"path\":\"*/scripts/*\",\"count\":1,\"kind\":\"cut_after\"}'

  kinds: {\"status\":{\"status\":500,\"body\":...}}  {\"delay\":{\"ms\":800}}  \"hang\"  \"cut_before\"  \"cut_after\"
         \"truncated_json\"  \"html\"  {\"too_many\":{\"retry_after\":3}}  {\"too_many\":{}}
  with a chance: \"probability\": 0.3 (the dice start from --seed)
  curl -X DELETE $ADMIN/faults             no faults any more
  POST /list-lag {\"ms\":2000}               new objects are missing in lists for that long
  POST /clock {\"ahead_seconds\":300}        Cloudflare's clocks, those of Workers included
  POST /network {\"up\":false}               no connection to Cloudflare is made
  POST /machines/fail {\"object\":\"ID\"}      kills the container of a Durable Object
  POST /snapshots/expire                   the time of all snapshots is over
  POST /snapshots/fail {\"fail\":true}      no snapshot can be taken
  GET /calls, GET /objects                 what was asked, what exists

FOLDER/journal.ndjson holds every change of what exists, on the disk before it is answered. SIGTERM or
Ctrl-C ends the simulator with its workerd processes and containers; a start in the same folder goes on.";

/// Cloudflare's API, its Workers and its containers, on this machine: what is deployed really runs.
#[derive(Parser)]
#[command(name = "sim-cloudflare", version, after_help = LEARN)]
pub struct Arguments {
    /// Where everything is kept [default: a temporary folder].
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Ports on loopback; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    api_port: u16,
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    edge_port: u16,
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    admin_port: u16,
    /// An API token that may do everything; may be repeated [default: sim-token].
    #[arg(long, value_name = "TOKEN")]
    token: Vec<String>,
    /// A zone of the account; may be repeated [default: example.com].
    #[arg(long, value_name = "DOMAIN")]
    zone: Vec<String>,
    /// A local image for an image that applications name; may be repeated.
    #[arg(long, value_name = "NAME=LOCAL", value_parser = pair)]
    image: Vec<(String, String)>,
    /// Calls in five minutes for each token.
    #[arg(long, value_name = "CALLS", default_value_t = 1200)]
    rate_limit: u32,
    /// How long a new name on workers.dev, or a new custom domain, is not known.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    name_lag_ms: u64,
    /// How long a new application has no place for a container.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    provisioning_ms: u64,
    /// How long a rollout takes.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    rollout_ms: u64,
    /// How long the preparation of an image takes.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    preparing_ms: u64,
    /// The dice of faults with a probability.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// workerd, if not the one that `cargo xtask tools` installs.
    #[arg(long, value_name = "PATH")]
    workerd: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("NAME=LOCAL is expected")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

impl Arguments {
    /// In `temporary` if no folder is named.
    pub fn options(self, temporary: &std::path::Path) -> Options {
        let mut options = Options::in_folder(self.folder.as_deref().unwrap_or(temporary));
        options.api_port = self.api_port;
        options.edge_port = self.edge_port;
        options.admin_port = self.admin_port;
        options.images = self.image;
        options.rate_limit = self.rate_limit;
        options.name_lag_ms = self.name_lag_ms;
        options.provisioning_ms = self.provisioning_ms;
        options.rollout_ms = self.rollout_ms;
        options.preparing_ms = self.preparing_ms;
        options.seed = self.seed;
        if !self.token.is_empty() {
            options.tokens = self.token;
        }
        if !self.zone.is_empty() {
            options.zones = self.zone;
        }
        if let Some(workerd) = self.workerd {
            options.workerd = workerd;
        }
        options
    }
}
