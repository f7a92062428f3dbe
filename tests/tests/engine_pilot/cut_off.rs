//! kill -9 of the server after each write of the provider that an operation makes, whose answer nobody has heard: whoever
//! takes the operation over finds the effect, and comes to the same end.

use std::net::Ipv4Addr;
use std::time::Duration;

use provider_fake::Cloud;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::support::eventually;
use crate::support::world::World;

/// A kind of operation, what the workspace was before it, and what it is after.
struct Kind {
    path: &'static str,
    body: fn() -> Value,
    before: &'static [&'static str],
    after: &'static str,
}

const KINDS: [Kind; 11] = [
    Kind { path: "start", body: nothing, before: &["stop"], after: "ready" },
    Kind { path: "stop", body: nothing, before: &[], after: "stopped" },
    Kind { path: "suspend", body: nothing, before: &[], after: "suspended" },
    Kind { path: "resume", body: nothing, before: &["suspend"], after: "ready" },
    Kind { path: "hibernate", body: nothing, before: &[], after: "suspended" },
    Kind { path: "resume", body: nothing, before: &["hibernate"], after: "ready" },
    Kind { path: "restart", body: nothing, before: &[], after: "ready" },
    Kind { path: "apply", body: nothing, before: &[], after: "ready" },
    Kind { path: "update", body: another_image, before: &[], after: "ready" },
    Kind { path: "update", body: another_image, before: &["stop"], after: "stopped" },
    Kind { path: "update", body: another_size, before: &[], after: "ready" },
];

fn nothing() -> Value {
    json!({})
}

fn another_image() -> Value {
    json!({"image": "fake:2"})
}

fn another_size() -> Value {
    json!({"size": "medium"})
}

#[tokio::test]
async fn an_operation_that_was_cut_off_after_any_of_its_writes_comes_to_its_end() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let cloud = Cloud::with_journal();
    let _service = AbortOnDropHandle::new(tokio::spawn(cloud.clone().serve(listener)));
    let env = [("PILOT_FAKE_URL", url.as_str())];
    let mut world = World::start_with_env(&["--providers", "fake"], &env).await;
    let mut cuts = 0;
    for kind in KINDS {
        for write in 1.. {
            if !cut(&mut world, &cloud, &kind, write).await {
                break;
            }
            cuts += 1;
        }
    }
    assert!(cuts >= 10, "only {cuts} writes were cut off");
}

/// False when the operation has fewer writes than that.
async fn cut(world: &mut World, cloud: &Cloud, kind: &Kind, write: u32) -> bool {
    let what = format!("{} {} after {:?}, cut at write {write}", kind.path, (kind.body)(), kind.before);
    world.api.create_ready("demo", "fake").await;
    for change in kind.before {
        world.api.succeeded(&world.api.change("demo", change).await).await;
    }
    let writes = cloud.journal_len() + write as usize;
    cloud.hold_answer(write);
    let path = format!("/v1/workspaces/demo/{}", kind.path);
    let answer: Value = world.api.post(&path, &(kind.body)()).await.json().await.unwrap();
    let id = answer["operation"]["id"].as_str().unwrap_or_else(|| panic!("{what}: {answer:#}")).to_owned();
    let was_cut = eventually(&what, Duration::from_secs(60), || async {
        let now = world.api.get(&format!("/v1/operations/{id}")).await;
        match now["state"] == "queued" || now["state"] == "running" {
            true => (cloud.journal_len() >= writes).then_some(true),
            false => Some(false),
        }
    })
    .await;
    if was_cut {
        world.kill();
    }
    cloud.heal();
    if was_cut {
        world.serve().await;
    }
    let ended = world.api.ended(&answer["operation"]).await;
    assert_eq!(ended["state"], "succeeded", "{what}: {ended:#}");
    let now = world.api.workspace("demo").await;
    assert_eq!((&now["state"], &now["error"]), (&json!(kind.after), &Value::Null), "{what}: {now:#}");
    let asked = (kind.body)();
    for (field, shown) in [("image", &now["image"]["reference"]), ("size", &now["size"])] {
        assert!(asked[field].is_null() || asked[field] == *shown, "{what}: {now:#}");
    }
    let machines = cloud.everything().into_iter().filter(|object| object.kind == "machine").count();
    assert_eq!(machines, 1, "{what}");
    let purge = world.api.request(reqwest::Method::DELETE, "/v1/workspaces/demo?purge=true");
    let purge: Value = purge.send().await.unwrap().json().await.unwrap();
    world.api.succeeded(&purge["operation"]).await;
    assert_eq!(cloud.everything(), [], "{what}");
    was_cut
}
