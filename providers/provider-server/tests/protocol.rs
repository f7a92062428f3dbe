//! The server as an engine's calls see it, without an engine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "protocol/module.rs"]
mod module;

use std::collections::BTreeMap;
use std::time::Duration;

use automation::Value;
use automation::value::{from_struct, to_struct};
use module::{engine, registry};
use prost_types::Struct;
use pulumi_gestalt_proto::pulumi::pulumirpc as rpc;
use rpc::property_diff::Kind;
use tonic::Code;

const URN: &str = "urn:pulumi:dev::program::pilot:test-cloud:Thing::thing";

fn object(properties: &[(&str, Value)]) -> Option<Struct> {
    let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    Some(to_struct(&properties.collect::<BTreeMap<_, _>>()))
}

fn check(news: &[(&str, Value)]) -> rpc::CheckRequest {
    rpc::CheckRequest { urn: URN.to_owned(), news: object(news), ..Default::default() }
}

#[tokio::test]
async fn unknown_settings_and_credentials_are_refused_with_the_way_out() {
    let (_server, mut engine) = engine(registry()).await;
    let news = [
        ("testCloudUrl", "https://a.example".into()),
        ("testCloudToken", "canary".into()),
        ("flavour", "sweet".into()),
        ("version", "0.1.0".into()),
    ];
    let answer = engine.check_config(check(&news)).await.unwrap().into_inner();
    let failures: Vec<_> = answer.failures.iter().map(|failure| failure.property.as_str()).collect();
    assert_eq!(failures, ["flavour", "testCloudToken"]);
    assert!(answer.failures[0].reason.contains("testCloudUrl"));
    assert!(answer.failures[1].reason.contains("PILOT_TEST_CLOUD_TOKEN"));
    let configure = rpc::ConfigureRequest { args: object(&news), ..Default::default() };
    let refused = engine.configure(configure).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(!refused.message().contains("canary"), "{refused}");
}

#[tokio::test]
async fn each_provider_in_a_program_has_settings_of_its_own() {
    let (server, mut plain) = engine(registry()).await;
    let mut elsewhere = module::connect(&server).await;
    let args = object(&[("testCloudUrl", "https://b.example".into())]);
    elsewhere.configure(rpc::ConfigureRequest { args, ..Default::default() }).await.unwrap();
    plain.configure(rpc::ConfigureRequest::default()).await.unwrap();
    let create = || rpc::CreateRequest {
        urn: URN.to_owned(),
        properties: object(&[("label", "a".into())]),
        ..Default::default()
    };
    let mut urls = Vec::new();
    for engine in [&mut plain, &mut elsewhere] {
        let created = engine.create(create()).await.unwrap().into_inner();
        urls.push(from_struct(created.properties.as_ref())["url"].clone());
    }
    assert_eq!(urls, ["https://default.example".into(), "https://b.example".into()]);
    // A connection that took the place of one that broke is not the environment's.
    let refused = module::connect(&server).await.create(create()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("run it again"), "{refused}");
}

#[tokio::test]
async fn a_program_cannot_set_what_its_host_has_set() {
    let (_server, mut engine) = engine(module::fixed()).await;
    let answer = engine.check_config(check(&[("testCloudUrl", "x".into())])).await.unwrap().into_inner();
    assert!(answer.failures[0].reason.contains("PILOT_TEST_CLOUD_URL"), "{answer:?}");
}

#[tokio::test]
async fn a_changed_setting_changes_the_provider_and_replaces_nothing() {
    let (_server, mut engine) = engine(registry()).await;
    let request = rpc::DiffRequest {
        old_inputs: object(&[("testCloudUrl", "a".into()), ("version", "1".into())]),
        news: object(&[("testCloudUrl", "b".into()), ("version", "2".into())]),
        ..Default::default()
    };
    let answer = engine.diff_config(request).await.unwrap().into_inner();
    assert_eq!((answer.diffs, answer.replaces), (vec!["testCloudUrl".to_owned()], Vec::new()));
}

#[tokio::test]
async fn a_check_fills_in_defaults_hides_secrets_and_tells_all_failures_but_not_of_unknowns() {
    let (_server, mut engine) = engine(registry()).await;
    let news =
        [("label", Value::Unknown), ("key", "k".into()), ("color", "red".into()), ("size", "big".into())];
    let answer = engine.check(check(&news)).await.unwrap().into_inner();
    let failures: Vec<_> = answer.failures.iter().map(|failure| failure.property.as_str()).collect();
    assert_eq!(failures, ["color", "size"]);
    let answer =
        engine.check(check(&[("label", "a".into()), ("key", "k".into())])).await.unwrap().into_inner();
    let goal = from_struct(answer.inputs.as_ref());
    assert_eq!((&goal["size"], &goal["key"]), (&Value::Number(1.0), &Value::secret("k")));
}

#[tokio::test]
async fn a_diff_says_what_is_added_removed_and_replaced_and_what_stays() {
    let (_server, mut engine) = engine(registry()).await;
    let diff = |old: &[(&str, Value)], new: &[(&str, Value)], ignored: &[&str]| rpc::DiffRequest {
        urn: URN.to_owned(),
        old_inputs: object(old),
        news: object(new),
        ignore_changes: ignored.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    };
    let old = [("label", "a".into()), ("size", Value::Number(1.0))];
    let request = diff(&old, &[("label", "a".into()), ("key", Value::secret("k"))], &[]);
    let answer = engine.diff(request).await.unwrap().into_inner();
    let kinds = |name: &str| answer.detailed_diff[name].kind();
    assert_eq!((kinds("size"), kinds("key")), (Kind::Delete, Kind::Add));
    assert_eq!(answer.stables, ["label"]);
    assert!(!answer.delete_before_replace);

    let new = [("label", "b".into()), ("size", Value::Number(2.0))];
    let answer = engine.diff(diff(&old, &new, &["size"])).await.unwrap().into_inner();
    assert_eq!((answer.diffs, answer.replaces), (vec!["label".to_owned()], vec!["label".to_owned()]));
    assert_eq!(answer.detailed_diff["label"].kind(), Kind::UpdateReplace);
    assert!(answer.delete_before_replace && answer.stables.is_empty());
}

#[tokio::test]
async fn an_import_knows_the_id_only_and_gets_the_inputs() {
    let (_server, mut engine) = engine(registry()).await;
    let read = |id: &str| rpc::ReadRequest { id: id.to_owned(), urn: URN.to_owned(), ..Default::default() };
    let found = engine.read(read("id-of-a")).await.unwrap().into_inner();
    assert_eq!(from_struct(found.inputs.as_ref())["label"], "a".into());
    assert_eq!(from_struct(found.inputs.as_ref())["key"], Value::secret("key-of-a"));
    assert_eq!(engine.read(read("gone")).await.unwrap().into_inner().id, "");
}

#[tokio::test]
async fn programs_can_look_up_the_providers() {
    let (_server, mut engine) = engine(registry()).await;
    let ask = |token: &str| rpc::InvokeRequest { tok: token.to_owned(), ..Default::default() };
    let answer = engine.invoke(ask("pilot:index:getProviders")).await.unwrap().into_inner();
    let answer = from_struct(answer.r#return.as_ref())["providers"].reveal();
    assert_eq!(answer[0]["name"], "test-cloud");
    assert_eq!(answer[0]["sizes"][0]["hourlyMicroUsd"], 7);
    assert_eq!(answer[0]["sizes"][0]["diskMib"], 512);
    assert_eq!(engine.invoke(ask("pilot:index:other")).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn there_are_no_mappings_and_no_components() {
    let (_server, mut engine) = engine(registry()).await;
    let mapping = engine.get_mapping(rpc::GetMappingRequest::default()).await.unwrap().into_inner();
    assert!(mapping.provider.is_empty() && mapping.data.is_empty());
    let component = engine.construct(rpc::ConstructRequest::default()).await.unwrap_err();
    assert_eq!(component.code(), Code::Unimplemented);
}

#[tokio::test]
async fn the_schema_offers_settings_but_no_credential() {
    let (_server, mut engine) = engine(registry()).await;
    let schema = engine.get_schema(rpc::GetSchemaRequest::default()).await.unwrap().into_inner().schema;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let offered: Vec<_> = schema["config"]["variables"].as_object().unwrap().keys().collect();
    assert_eq!(offered, ["testCloudUrl"]);
    assert_eq!(schema["provider"]["inputProperties"], schema["config"]["variables"]);
    assert_eq!(schema["language"]["python"]["moduleNameOverrides"]["test-cloud"], "testcloud");
}

#[tokio::test]
async fn each_step_ends_at_the_limit_that_the_program_gives_it() {
    let (server, mut engine) = engine(registry()).await;
    let (mut updating, mut deleting) = (module::connect(&server).await, module::connect(&server).await);
    for engine in [&mut engine, &mut updating, &mut deleting] {
        engine.configure(rpc::ConfigureRequest::default()).await.unwrap();
    }
    let urn = |name: &str| format!("{URN}-{name}");
    let inputs = || object(&[("label", module::ENDLESS.into())]);
    let (id, timeout) = ("id-of-endless".to_owned(), 0.2);
    let create = rpc::CreateRequest { urn: urn("made"), properties: inputs(), timeout, ..Default::default() };
    let update = rpc::UpdateRequest {
        id: id.clone(),
        urn: urn("changed"),
        olds: inputs(),
        old_inputs: inputs(),
        news: inputs(),
        timeout,
        ..Default::default()
    };
    let delete = rpc::DeleteRequest {
        id,
        urn: urn("removed"),
        properties: inputs(),
        old_inputs: inputs(),
        timeout,
        ..Default::default()
    };
    let all = async { tokio::join!(engine.create(create), updating.update(update), deleting.delete(delete)) };
    let ended = tokio::time::timeout(Duration::from_secs(20), all).await;
    let (created, updated, deleted) = ended.expect("a step has no limit");
    for refused in [created.unwrap_err(), updated.unwrap_err(), deleted.unwrap_err()] {
        assert!(refused.message().contains("did not end within 0.2 s"), "{refused}");
    }
}
