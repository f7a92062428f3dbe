//! The Pulumi plugin: the same providers as the orchestrator's, for `pulumi up` on an exported stack.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use orchestrator::boot::DataFolderBoot;
use orchestrator::data::{Layout, default_data_folder};
use orchestrator::tools::ToolPaths;
use orchestrator::wiring::{ProviderSettings, Providers, Variables};
use provider_api::Site;
use provider_server::Registry;

/// Pulumi starts this program by itself; it is not a command for people.
#[derive(Parser)]
#[command(name = "pulumi-resource-pilot", version)]
struct Arguments {
    /// The engine's address, as the plugin protocol passes it.
    engine: Option<String>,
    /// The installation's data folder.
    #[arg(long, env = "PILOT_DATA")]
    data: Option<PathBuf>,
    /// A Docker engine other than the one that `docker` would ask.
    #[arg(long, env = "PILOT_DOCKER_HOST")]
    docker_host: Option<String>,
    /// An instance image other than the default.
    #[arg(long, env = "PILOT_IMAGE")]
    image: Option<String>,
    /// The OpenCode binary of the `local` provider.
    #[arg(long, env = "PILOT_OPENCODE")]
    opencode: Option<PathBuf>,
    /// Where the runtime of the stack is, as `pilot stack export` has written it.
    #[arg(long, env = "PILOT_SITES")]
    sites: Option<String>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let layout = Layout { root: arguments.data.unwrap_or_else(default_data_folder) };
    let tools = ToolPaths { opencode: arguments.opencode, ..ToolPaths::default() };
    let settings = ProviderSettings {
        docker_host: arguments.docker_host.filter(|host| !host.is_empty()),
        image: arguments.image,
        variables: Variables::of_this_process(),
        ..ProviderSettings::default()
    };
    let boot = Arc::new(DataFolderBoot::new(layout.clone(), None));
    let sites: Vec<Site> = match arguments.sites.filter(|sites| !sites.is_empty()) {
        Some(sites) => serde_json::from_str(&sites)
            .map_err(|error| std::io::Error::other(format!("PILOT_SITES cannot be read: {error}")))?,
        None => Vec::new(),
    };
    let serve = move |set: &BTreeMap<String, String>| {
        let settings = ProviderSettings { variables: settings.variables.with(set), ..settings.clone() };
        Providers::build(&layout, &tools, &settings, boot.clone())
            .map(|all| Registry::new(all.all()).at(sites.clone()))
    };
    let registry =
        serve(&BTreeMap::new()).map_err(|problem| std::io::Error::other(problem.detail))?.configurable(serve);
    provider_server::run_plugin(registry, arguments.engine.as_deref()).await
}
