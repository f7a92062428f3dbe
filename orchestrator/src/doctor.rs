//! What a healthy installation needs, checked one by one, each with what to do about it.

use automation::Cli;
use contracts::Problem;

use crate::boot::DataFolderBoot;
use crate::data::Layout;
use crate::engine::provider_problem;
use crate::tools::ToolPaths;
use crate::wiring::{ProviderSettings, Providers};

/// What to look at. Nothing is changed and no lock is taken, so it runs beside a server.
#[derive(Debug, Clone)]
pub struct DoctorConfig {
    pub layout: Layout,
    pub tools: ToolPaths,
    pub settings: ProviderSettings,
}

/// One finding. `note` is what a reader should know even when all is well.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub name: String,
    pub ok: bool,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

impl Check {
    fn new(name: &str, result: Result<String, Problem>) -> Self {
        let name = name.to_owned();
        match result {
            Ok(detail) => Self { name, ok: true, detail, action: None },
            Err(problem) => Self { name, ok: false, detail: problem.detail, action: problem.action },
        }
    }
}

/// Every check, in the order in which a create needs them.
pub async fn run(config: &DoctorConfig) -> Vec<Check> {
    let mut checks = vec![data_folder(&config.layout)];
    let pulumi = config.tools.pulumi().await;
    let engine = match &pulumi {
        Ok(cli) => Some(host(&config.tools, cli).await),
        Err(_) => None,
    };
    checks.push(Check::new(
        "pulumi",
        pulumi.map(|cli| format!("{} at {}", cli.version(), cli.path().display())),
    ));
    checks.extend(engine);
    let boot = std::sync::Arc::new(DataFolderBoot::new(config.layout.clone(), None));
    let providers = match Providers::build(&config.layout, &config.tools, &config.settings, boot) {
        Ok(providers) => providers,
        Err(problem) => {
            checks.push(Check::new("settings of providers", Err(problem)));
            return checks;
        }
    };
    for provider in providers.all() {
        let described = provider.describe();
        let result = provider.ready().await.map_err(provider_problem);
        let name = format!("provider {}", described.name);
        checks.push(Check::new(&name, result.map(|()| format!("usable; {}", described.isolation))));
    }
    checks
}

const SLOWER: &str = "not warm: each create, delete and preview starts the Pulumi CLI, which takes one to three \
     seconds and 100 MB more.";

/// Without the engine host Pilot works all the same, and this is where it says what is slower for it.
async fn host(tools: &ToolPaths, cli: &Cli) -> Check {
    let name = "engine".to_owned();
    match tools.host(cli).await {
        Ok(host) => {
            Check { name, ok: true, detail: format!("warm, {}", host.path().display()), action: None }
        }
        Err(problem) => {
            Check { name, ok: true, detail: format!("{SLOWER} {}", problem.detail), action: problem.action }
        }
    }
}

fn data_folder(layout: &Layout) -> Check {
    let root = layout.root.display();
    let detail = match std::fs::metadata(&layout.root) {
        Ok(_) => format!("{root}"),
        Err(_) => format!("{root} will be made at the first start"),
    };
    Check { name: "data folder".to_owned(), ok: true, detail, action: None }
}
