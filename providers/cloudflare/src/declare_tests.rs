use std::sync::Arc;

use async_trait::async_trait;
use contracts::{ErrorCode, RuntimeId};
use provider_api::{BootFile, BootSource, Settings};

use super::*;
use crate::config::{ControlKey, Identity, SETTINGS};

struct NoBoot;

#[async_trait]
impl BootSource for NoBoot {
    async fn boot_files(&self, _runtime: &RuntimeId) -> Result<Vec<BootFile>> {
        Ok(Vec::new())
    }
}

fn config(variables: &[(&str, &str)]) -> CloudflareConfig {
    let var = |name: &str| {
        let name = name.strip_prefix("PILOT_CLOUDFLARE_").unwrap();
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    CloudflareConfig {
        settings: Settings::read(&NAME, &SETTINGS, var).unwrap(),
        identity: Some(Identity {
            installation: "in-1".parse().unwrap(),
            control_key: ControlKey::new([1; 32]),
            gateway_key: "key".to_owned(),
        }),
        boot: Arc::new(NoBoot),
        timeout: CloudflareConfig::TIMEOUT,
    }
}

fn spec(size: &str) -> RuntimeSpec {
    RuntimeSpec { generation: 3, ..RuntimeSpec::new("rt-1".parse().unwrap(), "in-1".parse().unwrap(), size) }
}

#[test]
fn a_runtime_is_one_resource() {
    let declared = declare(&config(&[]), &spec("standard-1")).unwrap();
    assert_eq!(declared.resources.len(), 1);
    assert_eq!(declared.resources[0].inputs["generation"], Expr::from(3));
}

#[test]
fn the_only_size_that_is_offered_is_the_one_that_is_set_and_what_was_made_with_another_is_declared_still() {
    let basic = config(&[("INSTANCE_TYPE", "basic")]);
    assert_eq!(sizes(&basic).iter().map(|size| size.name.as_str()).collect::<Vec<_>>(), ["basic"]);
    assert_eq!(
        declare(&basic, &spec("standard-1")).unwrap(),
        declare(&config(&[]), &spec("standard-1")).unwrap()
    );
    let error = declare(&basic, &spec("huge")).unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownSize);
    assert!(error.action.unwrap().contains("basic"));
    let region = RuntimeSpec { region: Some("weur".to_owned()), ..spec("standard-1") };
    assert_eq!(declare(&config(&[]), &region).unwrap_err().code, ErrorCode::UnknownRegion);
}

#[test]
fn an_hour_costs_what_cloudflare_charges_for_cpu_memory_and_disk() {
    // Half a CPU at 0.072, 4 GiB at 0.009 and 8 GB at 0.000252 dollars an hour.
    assert_eq!(sizes(&config(&[]))[0].disk_mib, Some(7629));
    assert_eq!(sizes(&config(&[]))[0].hourly_micro_usd, Some(36_000 + 36_000 + 2016));
}

#[test]
fn the_shared_stack_has_a_record_only_where_all_of_it_is_set() {
    let installation: InstallationId = "in-1".parse().unwrap();
    let image = ("IMAGE", "registry.cloudflare.com/a/pilot:1");
    let names = |variables: &[(&str, &str)]| -> Vec<String> {
        let declared = shared(&config(variables), &installation).unwrap();
        declared.resources.into_iter().map(|declaration| declaration.name).collect()
    };
    assert_eq!(names(&[image, ("DNS_ZONE", "example.com")]), ["worker", "application"]);
    let all = [
        image,
        ("DNS_ZONE", "example.com"),
        ("DNS_NAME", "*.ws.example.com"),
        ("DNS_TARGET", "gw.example.com"),
    ];
    assert_eq!(names(&all), ["worker", "application", "record"]);
    assert_eq!(shared(&config(&[]), &installation).unwrap_err().code, ErrorCode::ProviderNotConfigured);
}

#[test]
fn no_key_is_in_a_declaration() {
    let image = ("IMAGE", "registry.cloudflare.com/a/pilot:1");
    let config = config(&[image]);
    let shown = format!("{:?}", shared(&config, &"in-1".parse().unwrap()));
    assert!(!shown.contains(&config.identity().unwrap().control_key.text()), "{shown}");
}
