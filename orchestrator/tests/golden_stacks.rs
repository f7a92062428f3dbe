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

fn providers<const N: usize>(given: [(&str, &str); N]) -> Providers {
    let layout = Layout { root: "/var/lib/pilot".into() };
    let boot = Arc::new(DataFolderBoot::new(layout.clone(), None));
    let variables = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    let settings = ProviderSettings { variables, ..ProviderSettings::default() };
    Providers::build(&layout, &ToolPaths::default(), &settings, boot).unwrap()
}

#[test]
fn every_providers_stack_is_the_golden_one() {
    let providers = providers([("PILOT_FLY_IMAGE", "registry.fly.io/pilot-instance:1")]);
    for provider in providers.all() {
        let path = format!("../../stacks/golden/{}/Pulumi.yaml", provider.describe().name);
        expect_file![path].assert_eq(&generated(provider.as_ref()));
    }
}

/// What Cloudflare keeps is in its stack, and protected there.
#[test]
fn a_stack_at_an_account_that_keeps_homes_is_the_golden_one() {
    let providers = providers([
        ("PILOT_CLOUDFLARE_SCHEDULING_POLICY", "durable_object"),
        ("PILOT_CLOUDFLARE_IMAGE", "registry.cloudflare.com/0123456789abcdef/pilot-instance@sha256:0a1b"),
    ]);
    let path = "../../stacks/golden/cloudflare/Pulumi.durable_object.yaml";
    expect_file![path].assert_eq(&generated(providers.get("cloudflare").unwrap().as_ref()));
}
