//! The main job on clouds: the vendors' APIs are simulated, and what they run is real: the instance image
//! with OpenCode, in containers. Cloudflare's Worker runs in the vendor's own `workerd`.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sim_cloudflare::{Fault, Kind, Options, Surface};

use crate::life::whole_life;
use crate::postgres::Postgres;
use crate::support::clouds::{CloudflareCloud, Environment, FlyCloud};
use crate::support::eventually;
use crate::support::repo::Repo;
use crate::support::sse::Events;
use crate::support::world::{World, docker_address};

async fn life_on(provider: &str, environment: Environment) -> World {
    let given: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let world = World::start_on_docker_with_env(&given).await;
    let repo = Repo::new();
    let server = repo.serve(docker_address());
    let git = json!({ "url": server.url(), "ref": "main" });
    whole_life(&world, json!({"slug": "demo", "provider": provider, "git": git})).await;
    let credential = given.iter().find(|(name, _)| name.ends_with("_API_TOKEN")).unwrap().1;
    assert!(!world.witness.state_holds(credential) && !world.log().contains(credential));
    world
}

/// What people were told of the only operation of this kind.
async fn said(world: &World, slug: &str, kind: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(&world.pilot(&["op", "ls", "--json"])).unwrap();
    let all = list["operations"].as_array().unwrap();
    let one = all.iter().find(|one| one["slug"] == slug && one["kind"] == kind).unwrap();
    let path = format!("/v1/operations/{}/events", one["id"].as_str().unwrap());
    let mut events = Events::new(world.api.request(Method::GET, &path).send().await.unwrap());
    let seen = events.until("end", |event| event["type"] == "done").await;
    let text = |(_, event): &(_, Value)| event["text"].as_str().map(str::to_owned);
    seen.iter().filter_map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_on_fly_lives_its_whole_life() {
    let cloud = FlyCloud::start().await;
    life_on("fly", cloud.environment()).await;
    assert_eq!((cloud.sim.apps().len(), cloud.sim.volumes().len(), cloud.sim.machines().len()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_on_cloudflare_lives_its_whole_life() {
    // Everything is new at the account, and takes longer than what one call waits for.
    let lag = |options: &mut Options| (options.name_lag_ms, options.provisioning_ms) = (7000, 7000);
    let cloud = CloudflareCloud::with(lag).await;
    let mut environment = cloud.environment();
    environment.push(("PILOT_CLOUDFLARE_TIMEOUT", "5".to_owned()));
    let mut world = life_on("cloudflare", environment).await;
    let said = said(&world, "demo", "create").await;
    for why in ["a name that is known everywhere after some minutes", "no place for a first container yet"] {
        let told = said.iter().any(|text| text.contains(why) && text.contains("Trying again in"));
        assert!(told, "{why}: {said:#?}");
    }
    let scripts = || cloud.sim.objects()["script"].as_object().map_or(0, serde_json::Map::len);
    assert_eq!(scripts(), 1, "the Worker stays for the next workspace");
    let script = cloud.sim.objects()["script"].to_string();
    assert!(
        script.contains("\"v1-fence-"),
        "it keeps the fence of the lease under which it was uploaded: {script}"
    );

    // It goes when nobody needs it any more, and not before.
    world.api.create_ready("other", "cloudflare").await;
    let refused = world.pilot_output(&["provider", "teardown", "cloudflare", "--json"]);
    assert!(String::from_utf8_lossy(&refused.stdout).contains("provider_in_use"), "{refused:?}");
    world.api.succeeded(&world.api.delete("other").await).await;

    // Nor is it taken for removed by who asks another account.
    world.kill();
    let environment = world.env.clone();
    let account = world.env.iter_mut().find(|(name, _)| name == "PILOT_CLOUDFLARE_ACCOUNT_ID").unwrap();
    account.1 = "another".to_owned();
    world.serve().await;
    let refused = world.pilot_output(&["provider", "teardown", "cloudflare"]);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("runtime_elsewhere"), "{words}");
    assert_eq!(scripts(), 1);
    world.kill();
    world.env = environment;
    world.serve().await;

    let accepted = world.api.request(Method::DELETE, "/v1/providers/cloudflare/shared").send().await.unwrap();
    let teardown: Value = accepted.json().await.unwrap();
    world.kill();
    world.serve().await;
    world.api.succeeded(&teardown).await;
    assert_eq!(scripts(), 0, "whoever serves next goes on with it");
    let torn = world.pilot(&["provider", "teardown", "cloudflare", "--json"]);
    let operation: Value = serde_json::from_str(torn.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&operation["kind"], &operation["provider"], &operation["state"], &operation["slug"]),
        (&json!("teardown"), &json!("cloudflare"), &json!("succeeded"), &Value::Null),
        "{operation:#}"
    );
    // Where nothing is shared there is nothing to remove, and it says so.
    let nothing = world.pilot(&["provider", "teardown", "fly"]);
    assert!(nothing.contains("share nothing"), "{nothing}");
}

/// What is thrown away is not saved first.
#[tokio::test(flavor = "multi_thread")]
async fn on_cloudflare_a_stop_that_cannot_keep_the_files_ends_nothing_and_a_purge_needs_no_snapshot() {
    let cloud = CloudflareCloud::start().await;
    let mut environment = cloud.keeping_environment();
    environment.push(("PILOT_HOME_GRACE", "1h".to_owned()));
    let given: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let world = World::start_on_docker_with_env(&given).await;
    world.api.create_ready("demo", "cloudflare").await;
    cloud.sim.fail_snapshots(true);
    let stopped = world.api.ended(&world.api.change("demo", "stop").await).await;
    assert_eq!(stopped["state"], "failed", "a stop keeps the files, or does not happen: {stopped:#}");
    eventually("its user can fetch from it what cannot be kept", Duration::from_secs(30), || async {
        let answer = world.api.chamber(Method::GET, "demo", "/session").send().await.unwrap();
        let demo = world.api.workspace("demo").await;
        (answer.status() == 200 && demo["state"] == "ready" && demo["error"].is_object()).then_some(())
    })
    .await;
    let kept = world.api.ended(&world.api.delete("demo").await).await;
    assert_eq!(kept["state"], "failed", "a delete keeps the files, or does not happen: {kept:#}");
    world.pilot(&["ws", "rm", "--purge", "--yes", "demo"]);
    let left = world.pilot(&["ws", "ls", "--deleted", "--json"]);
    assert!(!left.contains("demo"), "{left}");
}

/// Of two orchestrators that share a database: what the one removes the other makes again.
#[tokio::test(flavor = "multi_thread")]
async fn what_workspaces_on_cloudflare_share_is_removed_at_one_orchestrator_and_made_again_at_another() {
    let cloud = CloudflareCloud::start().await;
    let environment = cloud.environment();
    let given: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Postgres::start();
    let one = World::start_on_database_with_env(&server.url(), None, &given).await;
    // It makes all, and knows that it has.
    one.api.create_ready("first", "cloudflare").await;
    let mut other = World::start_on_database_with_env(&server.url(), Some(&one), &given).await;
    let scripts = || cloud.sim.objects()["script"].as_object().map_or(0, serde_json::Map::len);
    one.pilot(&["ws", "rm", "--purge", "--yes", "first"]);
    let path = "/v1/providers/cloudflare/shared";
    let ask = |world: &World| world.api.request(Method::DELETE, path).header("idempotency-key", "once");
    let accepted = ask(&other).send().await.unwrap();
    assert_eq!(accepted.status(), 202);
    let teardown: Value = accepted.json().await.unwrap();
    let ended = other.api.succeeded(&teardown).await;
    assert_eq!(scripts(), 0);
    let again: Value = ask(&one).send().await.unwrap().json().await.unwrap();
    assert_eq!(again, ended, "one key is one teardown");
    // The one that had made it has not removed it.
    other.terminate();
    one.api.create_ready("second", "cloudflare").await;
    assert_eq!(scripts(), 1);
    let refused = one.api.request(Method::DELETE, path).send().await.unwrap();
    assert_eq!(refused.status(), 409);
    one.pilot(&["ws", "rm", "--purge", "--yes", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_waits_for_what_another_makes_for_both_can_be_ended_and_holds_nothing() {
    let cloud = CloudflareCloud::start().await;
    let environment = cloud.environment();
    let given: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let world = World::start_on_docker_with_env(&given).await;
    let slow = Kind::Delay { ms: 8000 };
    cloud.sim.fault(Fault::once(Surface::Api, "PUT", "*/workers/scripts/*", slow));
    let begun = async |slug: &str| {
        let create = world.api.create(json!({"slug": slug, "provider": "cloudflare"})).await;
        let path = format!("/v1/operations/{}", create["id"].as_str().unwrap());
        eventually("a create that has begun", Duration::from_secs(30), || async {
            world.api.get(&path).await["phases"]["planned"].is_string().then_some(())
        })
        .await;
        create
    };
    let first = begun("first").await;
    eventually("the upload of the Worker", Duration::from_secs(30), || async {
        cloud.sim.calls().iter().any(|call| call.method == "PUT").then_some(())
    })
    .await;
    let second = begun("second").await;
    let cancel = format!("/v1/operations/{}/cancel", second["id"].as_str().unwrap());
    world.api.post(&cancel, &json!({})).await;
    assert_eq!(world.api.ended(&second).await["state"], "canceled");
    let path = format!("/v1/operations/{}", first["id"].as_str().unwrap());
    assert_eq!(world.api.get(&path).await["state"], "running", "the other is not done yet");
    world.api.succeeded(&first).await;
    for slug in ["first", "second"] {
        world.api.succeeded(&world.api.delete(slug).await).await;
    }
}
