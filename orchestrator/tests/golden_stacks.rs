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
use provider_api::{Provider, RuntimeSpec};
use stacks::Location;

fn generated(provider: &dyn Provider) -> String {
    let spec = RuntimeSpec {
        region: provider.describe().regions.first().map(|region| region.name.clone()),
        git: Some(GitSource {
            url: "https://git.example.com/team/app.git".to_owned(),
            reference: Some("main".to_owned()),
        }),
        ..RuntimeSpec::new(
            "rt-0123456789abcdef".parse().unwrap(),
            "in-fedcba9876543210".parse().unwrap(),
            provider.describe().sizes[0].name.clone(),
        )
    };
    let stack = orchestrator::engine::compile(provider, &spec).unwrap();
    stacks::render(&stack, &Location::default())
}

#[test]
fn every_providers_stack_is_the_golden_one() {
    let layout = Layout { root: "/var/lib/pilot".into() };
    let boot = Arc::new(DataFolderBoot::new(layout.clone(), None));
    let given = [("PILOT_FLY_IMAGE", "registry.fly.io/pilot-instance:1")];
    let variables = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    let settings = ProviderSettings { variables, ..ProviderSettings::default() };
    let providers = Providers::build(&layout, &ToolPaths::default(), &settings, boot).unwrap();
    for provider in providers.all() {
        let path = format!("../../stacks/golden/{}/Pulumi.yaml", provider.describe().name);
        expect_file![path].assert_eq(&generated(provider.as_ref()));
    }
}
