//! What a healthy installation needs, checked one by one, each with what to do about it.

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
    checks.push(Check::new(
        "pulumi",
        pulumi.map(|cli| format!("{} at {}", cli.version(), cli.path().display())),
    ));
    let boot = std::sync::Arc::new(DataFolderBoot::new(config.layout.clone(), None));
    let providers = Providers::build(&config.layout, &config.tools, &config.settings, boot);
    for provider in providers.all() {
        let described = provider.describe();
        let result = provider.ready().await.map_err(provider_problem);
        let name = format!("provider {}", described.name);
        checks.push(Check::new(&name, result.map(|()| format!("usable; {}", described.isolation))));
    }
    checks
}

fn data_folder(layout: &Layout) -> Check {
    let root = layout.root.display();
    let detail = match std::fs::metadata(&layout.root) {
        Ok(_) => format!("{root}"),
        Err(_) => format!("{root} will be made at the first start"),
    };
    Check { name: "data folder".to_owned(), ok: true, detail, action: None }
}
