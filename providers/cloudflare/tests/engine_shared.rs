//! The shared stack of an installation: made, read, changed and deleted; and what is not ours stays.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

#[path = "support/world.rs"]
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::{ErrorCode, InstallationId, RuntimeId};
use provider_api::conformance::{Backdoor as _, Stack, eventually};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Outcome, Properties, Provider, ReadRequest, Resource, RuntimeSpec,
    UpdateRequest,
};
use serde_json::{Value, json};
use sim_cloudflare::{Fault, Kind, Simulator, Surface};
use world::{TOKEN, World};

const RECORD: [(&str, &str); 3] =
    [("DNS_ZONE", "example.com"), ("DNS_NAME", "*.ws.example.com"), ("DNS_TARGET", "gw.example.net")];

fn resource(provider: &Arc<dyn Provider>, kind: &str) -> Arc<dyn Resource> {
    let token = format!("pilot:cloudflare:{kind}");
    provider.resources().into_iter().find(|each| each.schema().token == token).unwrap()
}

/// What of the outputs was an input.
fn inputs(provider: &Arc<dyn Provider>, kind: &str, created: &Created) -> Properties {
    let known = resource(provider, kind).schema().inputs;
    let is_input = |name: &String| known.iter().any(|property| property.name == name);
    created.outputs.clone().into_iter().filter(|(name, _)| is_input(name)).collect()
}

async fn delete(provider: &Arc<dyn Provider>, kind: &str, created: &Created) {
    let request = DeleteRequest {
        id: created.id.clone(),
        urn: kind.to_owned(),
        inputs: inputs(provider, kind, created),
        outputs: created.outputs.clone(),
        fence: None,
    };
    // Twice: what is gone is a success.
    resource(provider, kind).delete(request.clone()).await.unwrap();
    resource(provider, kind).delete(request).await.unwrap();
}

async fn count(world: &World, kind: &str) -> usize {
    let objects = world.sim.lock().await.as_ref().map(Simulator::objects).unwrap();
    objects[kind].as_object().map_or(0, serde_json::Map::len)
}

/// A record that somebody else makes.
async fn record(world: &World, name: &str, content: &str) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let zones = client.get(format!("{}/zones", world.urls.api)).bearer_auth(TOKEN).send().await.unwrap();
    let zones: Value = zones.json().await.unwrap();
    let url = format!("{}/zones/{}/dns_records", world.urls.api, zones["result"][0]["id"].as_str().unwrap());
    let record = json!({"type": "CNAME", "name": name, "content": content});
    assert_eq!(client.post(url).bearer_auth(TOKEN).json(&record).send().await.unwrap().status(), 200);
}

async fn end(world: World) {
    let installation = world.installation.clone();
    world.sweep(&installation).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shared_reads_as_it_was_made_and_is_deleted_without_a_trace() {
    let world = world::start().await;
    let provider = world.provider_with(&RECORD);
    let made = world.apply_shared(&provider).await.unwrap();
    let kinds = ["Worker", "Application", "DnsRecord"];
    for (kind, created) in kinds.into_iter().zip(&made) {
        let known = inputs(&provider, kind, created);
        for given in [known.clone(), Properties::new()] {
            // The zone of a record is in no answer of Cloudflare's that an import could read.
            if given.is_empty() && kind == "DnsRecord" {
                continue;
            }
            let request = ReadRequest { id: created.id.clone(), inputs: given, outputs: Properties::new() };
            let read = resource(&provider, kind).read(request).await.unwrap().expect("it was made");
            assert_eq!((&read.inputs, &read.outputs), (&known, &created.outputs), "{kind}");
        }
    }
    let journal = std::fs::read_to_string(&world.urls.journal).unwrap();
    let key = world.identity().control_key;
    assert!(!journal.contains(TOKEN) && !format!("{made:?}{key:?}").contains(TOKEN));
    for (kind, created) in kinds.into_iter().zip(&made).rev() {
        delete(&provider, kind, created).await;
        let request = ReadRequest {
            id: created.id.clone(),
            inputs: inputs(&provider, kind, created),
            outputs: Properties::new(),
        };
        assert_eq!(resource(&provider, kind).read(request).await.unwrap(), None, "{kind}");
    }
    for kind in ["script", "durable_object_namespace", "container_application", "dns_record"] {
        assert_eq!(count(&world, kind).await, 0, "{kind}");
    }
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_of_the_operators_leads_to_the_worker_also_at_an_account_without_one_on_workers_dev() {
    let world = world::with(|options| (options.subdomain, options.name_lag_ms) = (String::new(), 4000)).await;
    let error = world.provider().ready().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderNotConfigured, "{error:?}");
    assert!(error.action.unwrap().contains("PILOT_CLOUDFLARE_HOST"));
    let nowhere = world.provider_with(&[("HOST", "w.elsewhere.net")]);
    for error in [world.apply_shared(&nowhere).await.unwrap_err(), nowhere.ready().await.unwrap_err()] {
        assert_eq!(error.code, ErrorCode::ProviderNotConfigured, "no zone of the account: {error:?}");
    }
    let wild = world.provider_with(&[("HOST", "*.example.com")]).ready().await.unwrap_err();
    assert_eq!(wild.code, ErrorCode::ProviderNotConfigured);
    assert!(wild.message.contains("wildcard"), "{wild}");
    // A name with records of somebody else is not taken over.
    record(&world, "taken.example.com", "elsewhere.net").await;
    let mut patient = world.config(&[("HOST", "taken.example.com")]);
    patient.timeout = Duration::from_secs(60);
    let taken: Arc<dyn Provider> = Arc::new(provider_cloudflare::CloudflareProvider::new(patient));
    let asked = Instant::now();
    let error = world.apply_shared(&taken).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ForeignObject, "{error}");
    assert!(asked.elapsed() < Duration::from_secs(25), "nobody answers there, and that is not waited for");
    assert!(error.action.unwrap().contains("DNS") || error.message.contains("DNS"));

    let provider = world.provider_with(&[("HOST", "w.example.com")]);
    provider.ready().await.unwrap();
    let mut shared = Stack::shared(provider.clone(), &world.installation);
    // Its record and its certificate come later. Who waits for too short a time says so, and when to come again.
    let mut hasty = world.config(&[("HOST", "w.example.com")]);
    hasty.timeout = Duration::from_secs(2);
    let mut early =
        Stack::shared(Arc::new(provider_cloudflare::CloudflareProvider::new(hasty)), &world.installation);
    let error = early.create("worker").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderUnreachable, "{error:?}");
    assert!(error.message.contains("w.example.com, a name that is known"), "{error}");
    assert!(error.action.as_ref().unwrap().contains("minutes") && error.retry_after.is_some(), "{error:?}");
    assert!(matches!(error.outcome, Outcome::Partial { .. }), "the Worker is there: {error:?}");
    shared.up().await;
    assert_eq!(shared.state["worker"].1.outputs["host"], "w.example.com");
    let spec = RuntimeSpec::new(
        RuntimeId::random(),
        world.installation.clone(),
        provider.describe().sizes[0].name.clone(),
    );
    let mut stack = Stack::new(provider.clone(), spec);
    stack.up().await;
    stack.down().await;
    shared.down().await;
    assert_eq!((count(&world, "worker_domain").await, count(&world, "script").await), (0, 0));
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_only_read_is_not_ready() {
    let world = world::start().await;
    let error = world.provider_with(&[("API_TOKEN", "sim-reader")]).ready().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::CredentialsRejected, "{error:?}");
    world.provider().ready().await.unwrap();
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_deleted_by_its_name_whatever_id_is_remembered() {
    let world = world::start().await;
    let provider = world.provider();
    let mut shared = Stack::shared(provider.clone(), &world.installation);
    shared.up().await;
    shared.delete_blind("application").await.unwrap();
    assert_eq!(count(&world, "container_application").await, 0);
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identical_record_of_somebody_else_is_used_and_stays() {
    let world = world::start().await;
    record(&world, RECORD[1].1, RECORD[2].1).await;

    let provider = world.provider_with(&RECORD);
    let made = world.apply_shared(&provider).await.unwrap();
    assert_eq!(count(&world, "dns_record").await, 1);
    delete(&provider, "DnsRecord", &made[2]).await;
    assert_eq!(count(&world, "dns_record").await, 1, "it is not ours to delete");
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_size_is_rolled_out_to_what_runs() {
    let world = world::with(|options| options.rollout_ms = 3000).await;
    let provider = world.provider();
    world.apply_shared(&provider).await.unwrap();
    let spec = RuntimeSpec::new(
        RuntimeId::random(),
        world.installation.clone(),
        provider.describe().sizes[0].name.clone(),
    );
    let mut stack = Stack::new(provider.clone(), spec);
    stack.up().await;
    let first = world.container(&stack.runtime()).unwrap();
    let larger = world.provider_with(&[("INSTANCE_TYPE", "standard-2"), ("MAX_INSTANCES", "7")]);
    let made = world.apply_shared(&larger).await.unwrap();
    assert_eq!(made[1].outputs["instanceType"], "standard-2");
    // While it is under way it reads as what it leads to, and nobody begins another.
    let known = inputs(&larger, "Application", &made[1]);
    let request = ReadRequest { id: made[1].id.clone(), inputs: known.clone(), outputs: Properties::new() };
    let read = resource(&larger, "Application").read(request).await.unwrap().unwrap();
    assert_eq!(read.inputs, known);
    world.apply_shared(&larger).await.unwrap();
    assert_eq!(
        (count(&world, "container_application").await, count(&world, "container_rollout").await),
        (1, 1)
    );
    eventually("the runtime runs in a new container", async || {
        // Another Worker version was uploaded as well, and an object begins anew when it is asked.
        provider.lifecycle().status(&stack.runtime()).await.unwrap();
        world.container(&stack.runtime()).is_some_and(|container| container != first)
    })
    .await;
    // Again: nothing to roll out.
    world.apply_shared(&larger).await.unwrap();
    assert_eq!(count(&world, "container_rollout").await, 1);
    stack.down().await;
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shared_objects_of_another_installation_are_never_touched() {
    let world = world::start().await;
    let provider = world.provider();
    let made = world.apply_shared(&provider).await.unwrap();
    // Another installation whose module is configured for the same names.
    let other = InstallationId::random();
    for (kind, created) in ["Worker", "Application"].into_iter().zip(&made) {
        let mut claimed = inputs(&provider, kind, created);
        claimed.insert("installation".to_owned(), other.as_str().into());
        let request =
            CreateRequest { urn: kind.to_owned(), inputs: claimed.clone(), timeout: None, fence: None };
        let error = resource(&provider, kind).create(request).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ForeignObject, "{error:?}");
        let request = DeleteRequest {
            id: created.id.clone(),
            urn: kind.to_owned(),
            inputs: claimed,
            outputs: created.outputs.clone(),
            fence: None,
        };
        let error = resource(&provider, kind).delete(request).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ForeignObject, "{error:?}");
    }
    assert_eq!((count(&world, "script").await, count(&world, "container_application").await), (1, 1));
    end(world).await;
}

/// The Worker as a program with this version of its source and this fence uploads it.
async fn upload(
    provider: &Arc<dyn Provider>,
    made: &Created,
    version: &str,
    fence: Option<u64>,
) -> Result<(), ErrorCode> {
    let mut new_inputs = inputs(provider, "Worker", made);
    new_inputs.insert("version".to_owned(), version.into());
    let request = UpdateRequest {
        id: made.id.clone(),
        urn: "Worker".to_owned(),
        old_inputs: inputs(provider, "Worker", made),
        old_outputs: made.outputs.clone(),
        new_inputs,
        fence,
    };
    resource(provider, "Worker").update(request).await.map(drop).map_err(|error| error.code)
}

async fn version(provider: &Arc<dyn Provider>, made: &Created) -> Option<String> {
    let request = ReadRequest {
        id: made.id.clone(),
        inputs: inputs(provider, "Worker", made),
        outputs: Properties::new(),
    };
    let read = resource(provider, "Worker").read(request).await.unwrap()?;
    Some(read.inputs["version"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_late_with_an_old_worker_is_refused_and_leaves_the_new_one_as_it_is() {
    let world = world::start().await;
    let (old, new) = (world.provider(), world.provider());
    let mut shared = Stack::shared(old.clone(), &world.installation).under(Some(3));
    shared.up().await;
    let made = shared.state["worker"].1.clone();

    // It has looked, and then sleeps while the lease that it had goes to another.
    let uploads = async || {
        let calls = world.sim.lock().await.as_ref().map(Simulator::calls).unwrap();
        calls.iter().filter(|call| call.method == "PUT" && call.path.contains("/workers/scripts/")).count()
    };
    let before = uploads().await;
    let slow = Fault::once(Surface::Api, "PUT", "*/workers/scripts/*", Kind::Delay { ms: 6000 });
    world.sim.lock().await.as_ref().unwrap().fault(slow);
    let late = tokio::spawn({
        let (old, made) = (old.clone(), made.clone());
        async move { upload(&old, &made, "old", Some(3)).await }
    });
    eventually("the old one is on its way", async || uploads().await > before).await;
    upload(&new, &made, "new", Some(4)).await.unwrap();
    assert_eq!(late.await.unwrap(), Err(ErrorCode::Fenced));
    assert_eq!(version(&new, &made).await.as_deref(), Some("new"));

    // Who wakes up before it has looked, and who would remove all.
    assert_eq!(upload(&old, &made, "old", Some(3)).await, Err(ErrorCode::Fenced));
    let removal = DeleteRequest {
        id: made.id.clone(),
        urn: "Worker".to_owned(),
        inputs: inputs(&old, "Worker", &made),
        outputs: made.outputs.clone(),
        fence: Some(3),
    };
    let error = resource(&old, "Worker").delete(removal.clone()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Fenced, "{error}");
    assert_eq!(version(&new, &made).await.as_deref(), Some("new"));

    // The same fence again, a higher one, and somebody with an exported stack, who has none and leaves what is kept.
    for (text, fence) in [("again", Some(4)), ("higher", Some(6)), ("by hand", None)] {
        upload(&new, &made, text, fence).await.unwrap();
        assert_eq!(version(&new, &made).await.as_deref(), Some(text));
    }
    assert_eq!(upload(&new, &made, "old", Some(5)).await, Err(ErrorCode::Fenced));
    // An answer that is lost is no other program.
    let lost = Fault::once(Surface::Api, "PUT", "*/workers/scripts/*", Kind::CutAfter);
    world.sim.lock().await.as_ref().unwrap().fault(lost);
    upload(&new, &made, "sent twice", Some(7)).await.unwrap();
    assert_eq!(version(&new, &made).await.as_deref(), Some("sent twice"));
    resource(&new, "Worker").delete(DeleteRequest { fence: Some(7), ..removal }).await.unwrap();
    assert_eq!(version(&new, &made).await, None);
    end(world).await;
}
