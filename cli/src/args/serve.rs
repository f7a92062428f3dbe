//! What can be decided when a server is started.

use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;
use url::Url;

use super::{Address, Providing, time};

#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Where browsers and API clients connect [default: 127.0.0.1:14080]
    #[arg(long, alias = "gateway", value_name = "ADDR")]
    pub listen_gateway: Option<SocketAddr>,
    /// The lifecycle API [default: 127.0.0.1:14010]
    #[arg(long, alias = "orchestrator", value_name = "ADDR")]
    pub listen_orchestrator: Option<SocketAddr>,
    /// Metrics and liveness [default: 127.0.0.1:14090]
    #[arg(long, alias = "admin", value_name = "ADDR")]
    pub listen_admin: Option<SocketAddr>,
    /// Which parts this process runs
    #[arg(long, value_enum, default_value = "all")]
    pub role: Role,
    /// A PostgreSQL that several orchestrators share, postgres://USER@HOST/NAME, for the store and for Pulumi's state. A
    /// password belongs in the variable, not on the command line [default: the data folder]
    #[arg(long, env = "PILOT_DATABASE", hide_env_values = true, value_name = "URL", value_parser = Address)]
    pub database: Option<String>,
    /// The provider of workspaces that name none [default: the first of --providers, else local or docker]
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Offer only these providers [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub providers: Vec<String>,
    /// Where a gateway alone finds the orchestrator [default: the address of --listen-orchestrator]
    #[arg(long, value_name = "URL")]
    pub orchestrator_url: Option<Url>,
    /// Where browsers reach the gateway, such as http://localhost:14080; workspaces are hosts below this name [default: the gateway
    /// of this process; without one, workspaces are shown without a URL]
    #[arg(long, env = "PILOT_GATEWAY_URL", value_name = "URL", value_parser = gateway_url)]
    pub gateway_url: Option<Url>,
    /// Serve `local` workspaces on addresses that others can reach: they get your account's rights
    #[arg(long)]
    pub unsafe_expose_local: bool,
    /// How long an instance may take to become ready
    #[arg(long, default_value = "120", value_name = "SECONDS", value_parser = time::wait)]
    pub ready_timeout: Duration,
    /// What follows when an instance is not as it is desired: it is made so, or only shown
    #[arg(long, env = "PILOT_REPAIR", value_enum, default_value = "auto")]
    pub repair: Repair,
    /// How long the home of a deleted workspace is kept, so that `pilot ws restore` brings it back: 0 keeps none
    #[arg(long, env = "PILOT_HOME_GRACE", default_value = "24h", value_name = "TIME", value_parser = time::grace)]
    pub home_grace: Duration,
    /// How long what is outside with this installation's labels and of no workspace that is known is left alone, before it is
    /// removed; a home never is
    #[arg(long, env = "PILOT_STRAY_GRACE", default_value = "24h", value_name = "TIME", value_parser = time::grace)]
    pub stray_grace: Duration,
    /// How many snapshots a workspace may have
    #[arg(long, env = "PILOT_SNAPSHOTS", default_value = "10", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub snapshots: u32,
    /// How large the archive of an image may be that `pilot image push` brings
    #[arg(long, env = "PILOT_IMAGE_LIMIT", default_value = "20", value_name = "GIB", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub image_limit: u64,
    /// Claims, leases, rounds and pauses are so many times shorter: for tests of what comes after them
    #[arg(long, hide = true, default_value = "1", value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..=20))]
    pub hurry: u32,
    #[command(flatten)]
    pub providing: Providing,
    /// What is logged to stderr: error, warn, info, debug, trace, or a filter such as gateway=debug
    #[arg(long, env = "PILOT_LOG", default_value = "info", value_parser = log_filter, value_name = "FILTER")]
    pub log: String,
    /// How it is logged
    #[arg(long, env = "PILOT_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

/// A scheme, a name and a port, and nothing else: the rest is each workspace's.
fn gateway_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err("it must begin with http:// or https://".to_owned());
    }
    if url.domain().is_none() {
        return Err("it needs a name and no address, such as http://pilot.example.com: each workspace is a host below it".to_owned());
    }
    let mut bare = url.clone();
    bare.set_path("/");
    bare.set_query(None);
    bare.set_fragment(None);
    let (user, password) = (url.username(), url.password());
    if bare != url || !user.is_empty() || password.is_some() {
        return Err("it may only have a scheme, a name and a port".to_owned());
    }
    Ok(url)
}

/// Kept as text; a filter that cannot be read is wrong usage and not a silent log.
fn log_filter(text: &str) -> Result<String, String> {
    let parsed = tracing_subscriber::EnvFilter::try_new(text);
    parsed.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Repair {
    /// Start again what died, stop what should not run
    Auto,
    /// Show it; people decide
    Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    All,
    Orchestrator,
    Gateway,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_gateway_is_reached_is_a_scheme_a_name_and_a_port() {
        for text in ["http://localhost:14080", "https://pilot.example.com/"] {
            assert!(gateway_url(text).is_ok(), "{text}");
        }
        for (text, why) in [
            ("", "relative URL"),
            ("localhost:14080", "http://"),
            ("http://127.0.0.1:14080", "a host below it"),
            ("http://[::1]:14080", "a host below it"),
            ("https://pilot.example.com/ui", "only have"),
            ("https://pilot.example.com/?a=1", "only have"),
            ("https://ada@pilot.example.com", "only have"),
        ] {
            let error = gateway_url(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
