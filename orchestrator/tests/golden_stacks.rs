//! One generated project for each provider, as an SRE would get it. A change here is a change of what
//! `pulumi up` does to existing installations: read the difference before accepting it with
//! `UPDATE_EXPECT=1 cargo test -p orchestrator --test golden_stacks`.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use contracts::workspace::GitSource;
use expect_test::expect_file;
use orchestrator::boot::DataFolderBoot;
use orchestrator::data::Layout;
use orchestrator::tools::ToolPaths;
use orchestrator::wiring::{ProviderSettings, Providers};
use provider_api::RuntimeSpec;
use stacks::Location;

fn generated(provider: &str) -> String {
    let layout = Layout { root: "/var/lib/pilot".into() };
    let boot = Arc::new(DataFolderBoot::new(layout.clone(), None));
    let providers = Providers::build(&layout, &ToolPaths::default(), &ProviderSettings::default(), boot);
    let provider = providers.get(provider).unwrap();
    let spec = RuntimeSpec {
        runtime_id: "rt-0123456789abcdef".parse().unwrap(),
        installation: "in-fedcba9876543210".parse().unwrap(),
        generation: 1,
        size: provider.describe().sizes[0].name.clone(),
        region: provider.describe().regions.first().map(|region| region.name.clone()),
        git: Some(GitSource {
            url: "https://git.example.com/team/app.git".to_owned(),
            reference: Some("main".to_owned()),
        }),
    };
    let stack = orchestrator::engine::compile(provider.as_ref(), &spec).unwrap();
    stacks::render(&stack, &Location::default())
}

#[test]
fn the_local_stack_is_the_golden_one() {
    expect_file!["../../stacks/golden/local/Pulumi.yaml"].assert_eq(&generated("local"));
}

#[test]
fn the_docker_stack_is_the_golden_one() {
    expect_file!["../../stacks/golden/docker/Pulumi.yaml"].assert_eq(&generated("docker"));
}
