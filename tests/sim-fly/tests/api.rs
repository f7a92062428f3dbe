//! The API without anything that runs: objects, refusals and pages.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use reqwest::Method;
use serde_json::{Value, json};
use sim_fly::{Object, Region, Scope, State, Token, journal};
use world::{World, eventually, text};

fn image() -> Value {
    json!({"image": "registry.fly.io/guest:1"})
}

#[tokio::test]
async fn both_schemes_are_accepted_and_every_answer_has_a_request_id() {
    let world = World::new().await;
    for (header, status) in [
        ("Bearer sim-token", 200),
        ("FlyV1 sim-token", 200),
        ("Basic sim-token", 401),
        ("Bearer wrong", 401),
        ("sim-token", 401),
    ] {
        let answer =
            world.call_with(Method::GET, "/tokens/current", Value::Null, &[("authorization", header)]).await;
        assert_eq!(answer.status, status, "{header}");
        assert!(answer.headers["fly-request-id"].len() > 20);
    }
    assert_eq!(world.get("/tokens/current").await.body["tokens"][0]["org_slug"], "personal");
}

#[tokio::test]
async fn the_app_of_another_organisation_is_forbidden_and_its_name_taken() {
    let world = World::with(|settings| {
        settings.tokens.push(Token {
            secret: "other".to_owned(),
            org: "other".to_owned(),
            scope: Scope::Org,
        });
    })
    .await;
    world.app("mine").await;
    let other = [("authorization", "Bearer other")];
    let seen = world.call_with(Method::GET, "/apps/mine", Value::Null, &other).await;
    assert_eq!(seen.status, 403);
    let body = json!({"name": "mine", "org_slug": "other"});
    let taken = world.call_with(Method::POST, "/apps", body, &other).await;
    assert_eq!((taken.status.as_u16(), text(&taken.body, "status")), (422, "name_taken".to_owned()));
    assert_eq!(world.get("/orgs/other/machines").await.status, 403);
}

#[tokio::test]
async fn an_idempotency_key_gives_the_first_app_and_never_one_of_another_name() {
    let world = World::new().await;
    let create = |name: &str| json!({"app_name": name, "org_slug": "personal", "idempotency_key": "k", "network": "n"});
    let (first, second) = (world.post("/apps", create("a")).await, world.post("/apps", create("a")).await);
    assert_eq!((first.status.as_u16(), &first.body), (201, &second.body));
    assert_eq!(world.post("/apps", create("b")).await.status, 422);
    assert_eq!(world.get("/apps/a").await.body["network"], "n");
    assert_eq!(world.post("/apps", json!({"name": "Bad_", "org_slug": "personal"})).await.status, 422);
    assert_eq!(world.get("/apps/none").await.status, 404);
}

#[tokio::test]
async fn a_machines_name_is_unique_until_it_is_destroyed_and_the_dead_are_shown_before_they_are_forgotten() {
    let world = World::new().await;
    world.app("a").await;
    let create = json!({"name": "m", "config": image()});
    let machine = world.post("/apps/a/machines", create.clone()).await.body;
    assert_eq!(text(&machine, "state"), "created");
    let twice = world.post("/apps/a/machines", create.clone()).await;
    assert_eq!(twice.status, 409);
    assert!(text(&twice.body, "error").contains(&text(&machine, "id")));
    world.wait("a", &machine, "started").await;
    let path = format!("/apps/a/machines/{}", text(&machine, "id"));
    let refused = world.call(Method::DELETE, &path, Value::Null).await;
    assert_eq!(refused.status, 412);
    assert!(text(&refused.body, "error").contains("not currently stopped"));
    assert_eq!(
        world.call(Method::DELETE, &format!("{path}?force=true"), Value::Null).await.body,
        json!({"ok": true})
    );
    world.wait("a", &machine, "destroyed").await;
    assert_eq!(world.get(&path).await.body["state"], "destroyed");
    assert_eq!(world.get("/apps/a/machines").await.body, json!([]));
    assert_eq!(world.post("/apps/a/machines", create).await.status, 200, "its name is free again");
    eventually("it is forgotten", async || world.get(&path).await.status == 404).await;
}

#[tokio::test]
async fn an_update_makes_a_version_and_a_stale_one_is_refused() {
    let world = World::new().await;
    world.app("a").await;
    let machine = world.machine("a", image()).await;
    world.wait("a", &machine, "started").await;
    let path = format!("/apps/a/machines/{}", text(&machine, "id"));
    let update = |version: &Value| json!({"config": {"image": "next:2"}, "current_version": version});
    let updated = world.post(&path, update(&machine["version"])).await;
    assert_eq!(updated.status, 200, "{}", updated.body);
    assert_ne!(updated.body["version"], machine["version"]);
    assert_eq!(updated.body["version"], updated.body["instance_id"]);
    world.wait("a", &updated.body, "started").await;
    assert_eq!(world.post(&path, update(&machine["version"])).await.status, 409);
    let old = world.get(&format!("{path}?version={}", text(&machine, "version"))).await.body;
    assert_eq!((&old["state"], &old["config"]["image"]), (&json!("replaced"), &machine["config"]["image"]));
    assert_eq!(world.get(&format!("{path}/versions")).await.body.as_array().unwrap().len(), 2);
    let events = world.get(&format!("{path}/events?limit=2")).await.body;
    assert_eq!((events.as_array().unwrap().len(), &events[0]["status"]), (2, &json!("started")));
    let renamed = world.post(&path, json!({"name": "other", "config": image()})).await;
    assert_eq!(renamed.status, 400);
}

#[tokio::test]
async fn waiting_ends_with_408_and_wants_a_version_for_stopped() {
    let world = World::new().await;
    world.app("a").await;
    let machine = world.post("/apps/a/machines", json!({"config": image(), "skip_launch": true})).await.body;
    let path = format!("/apps/a/machines/{}/wait", text(&machine, "id"));
    assert_eq!(world.get(&format!("{path}?state=started&timeout=1")).await.status, 408);
    assert_eq!(world.get(&format!("{path}?state=stopped")).await.status, 400);
    assert_eq!(world.get(&format!("{path}?state=created")).await.status, 400);
    assert_eq!(world.get(&format!("{path}?state=started,settled")).await.status, 200);
    let refused = world.call(Method::POST, &path.replace("wait", "suspend"), Value::Null).await;
    assert_eq!(refused.status, 412);
    assert!(text(&refused.body, "error").contains("'created'"));
}

#[tokio::test]
async fn whoever_has_no_lease_changes_nothing() {
    let world = World::new().await;
    world.app("a").await;
    let made = world.post("/apps/a/machines", json!({"config": image(), "lease_ttl": 60})).await.body;
    let (path, nonce) = (format!("/apps/a/machines/{}", text(&made, "id")), text(&made, "nonce"));
    world.wait("a", &made, "started").await;
    let refused = world.post(&format!("{path}/stop"), json!({})).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body["status"], &refused.body["code"]),
        (409, &json!("error"), &json!("invalid"))
    );
    let header = [("fly-machine-lease-nonce", nonce.as_str())];
    let longer = world.call_with(Method::POST, &format!("{path}/lease?ttl=90"), Value::Null, &header).await;
    assert_eq!((longer.status.as_u16(), &longer.body["data"]["nonce"]), (201, &json!(nonce)));
    assert_eq!(world.get(&format!("{path}/lease")).await.status, 200);
    assert_eq!(
        world
            .call_with(Method::POST, &format!("{path}/stop"), json!({"timeout": "1s"}), &header)
            .await
            .status,
        200
    );
    assert_eq!(
        world.call_with(Method::DELETE, &format!("{path}/lease"), Value::Null, &header).await.status,
        200
    );
    assert_eq!(world.get(&format!("{path}/lease")).await.status, 404);
}

#[tokio::test]
async fn metadata_changes_without_a_version_and_filters_lists() {
    let world = World::new().await;
    world.app("a").await;
    let one = world.machine("a", json!({"image": "i", "metadata": {"role": "x"}})).await;
    world.machine("a", image()).await;
    let found = world.get("/apps/a/machines?metadata.role=x").await.body;
    assert_eq!((found.as_array().unwrap().len(), &found[0]["id"]), (1, &one["id"]));
    let path = format!("/apps/a/machines/{}/metadata", text(&one, "id"));
    let patch = |version: &str| json!({"metadata": {"role": null, "new": "1"}, "machine_version": version});
    assert_eq!(world.call(Method::PATCH, &path, patch("stale")).await.status, 412);
    assert_eq!(world.call(Method::PATCH, &path, patch(&text(&one, "version"))).await.status, 204);
    assert_eq!(world.get(&path).await.body, json!({"new": "1"}));
    assert_eq!(world.post(&format!("{path}/k"), json!({"value": "v"})).await.status, 204);
    assert_eq!(world.get(&format!("{path}/k")).await.body, json!({"value": "v"}));
}

#[tokio::test]
async fn lists_come_in_pages_also_for_a_whole_organisation() {
    let world = World::new().await;
    for app in ["a", "b"] {
        world.app(app).await;
        for _ in 0..3 {
            world.machine(app, image()).await;
        }
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/apps/a/machines?limit=2&cursor={cursor}")).await;
        seen.extend(page.body.as_array().unwrap().iter().map(|machine| text(machine, "id")));
        let Some(next) = page.headers.get("fly-next-cursor") else { break };
        cursor = next.to_str().unwrap().to_owned();
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
    let first = world.get("/orgs/personal/machines?limit=4").await.body;
    let next = world
        .get(&format!("/orgs/personal/machines?limit=4&cursor={}", text(&first, "next_cursor")))
        .await
        .body;
    assert_eq!(first["machines"].as_array().unwrap().len() + next["machines"].as_array().unwrap().len(), 6);
    assert_eq!(next["next_cursor"], "");
    assert!(first["machines"][0]["config"]["metadata"].is_object());
    assert_eq!(world.get("/apps/a/machines?limit=1001").await.status, 400);
}

#[tokio::test]
async fn a_volume_holds_one_machine_and_a_tight_host_wants_a_hint() {
    let world = World::with(|settings| settings.tight_hosts = true).await;
    world.app("a").await;
    let create = |compute: Value| json!({"name": "home", "region": "fra", "size_gb": 2, "compute": compute});
    let bare = world.post("/apps/a/volumes", create(Value::Null)).await.body;
    let with = |volume: &Value| json!({"image": "i", "mounts": [{"volume": volume["id"], "path": "/data"}]});
    let refused = world.post("/apps/a/machines", json!({"region": "fra", "config": with(&bare)})).await;
    assert_eq!((refused.status.as_u16(), &refused.body["status"]), (412, &json!("insufficient_capacity")));
    let volume = world.post("/apps/a/volumes", create(json!({"cpus": 1}))).await.body;
    let machine = world.machine("a", with(&volume)).await;
    assert_eq!(
        world.post("/apps/a/machines", json!({"region": "fra", "config": with(&volume)})).await.status,
        412
    );
    let path = format!("/apps/a/volumes/{}", text(&volume, "id"));
    assert_eq!(world.get(&path).await.body["attached_machine_id"], machine["id"]);
    assert_eq!(world.call(Method::DELETE, &path, Value::Null).await.status, 412);
    let extended = world.call(Method::PUT, &format!("{path}/extend"), json!({"size_gb": 5})).await.body;
    assert_eq!((&extended["volume"]["size_gb"], &extended["needs_restart"]), (&json!(5), &json!(false)));
    assert_eq!(world.call(Method::PUT, &format!("{path}/extend"), json!({"size_gb": 4})).await.status, 400);
    assert_eq!(world.post("/apps/a/volumes", json!({"name": "Bad-Name", "region": "fra"})).await.status, 400);
}

#[tokio::test]
async fn a_full_region_and_a_used_quota_refuse_each_in_its_way() {
    let full = |code: &str, capacity| Region { code: code.to_owned(), name: code.to_owned(), capacity };
    let world = World::with(|settings| {
        settings.regions = vec![full("fra", None), full("nrt", Some(0))];
        settings.quota = Some(1);
    })
    .await;
    world.app("a").await;
    let create = |region: &str| json!({"region": region, "config": image()});
    let refused = world.post("/apps/a/machines", create("nrt")).await;
    assert_eq!((refused.status.as_u16(), &refused.body["status"]), (409, &json!("insufficient_capacity")));
    let refused = world.post("/apps/a/volumes", json!({"name": "v", "region": "nrt"})).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body["status"]),
        (400, &json!("volume_placement_capacity"))
    );
    assert_eq!(world.post("/apps/a/machines", create("xxx")).await.status, 400);
    assert_eq!(world.post("/apps/a/machines", create("fra")).await.status, 200);
    let refused = world.post("/apps/a/machines", create("fra")).await;
    assert_eq!(refused.status, 403);
    assert!(text(&refused.body, "error").contains("quota"));
    let asked = json!({"org_slug": "personal", "region": "fra,nrt", "count": 1});
    let placed = world.post("/platform/placements", asked).await.body;
    assert_eq!(placed["regions"], json!([{"region": "fra", "count": 1, "concurrency": 1}]));
    assert_eq!(world.get("/platform/regions").await.body["regions"][1]["code"], "nrt");
}

#[tokio::test]
async fn secrets_have_versions_and_are_told_nowhere() {
    let world = World::new().await;
    world.app("a").await;
    let set =
        world.post("/apps/a/secrets", json!({"values": {"KEY": "canary-value", "GONE": "x"}})).await.body;
    assert_eq!(set["version"], 1);
    let shown = world.get("/apps/a/secrets?show_secrets=true").await.body;
    assert_eq!(shown["secrets"].as_array().unwrap().len(), 2);
    assert_eq!(world.post("/apps/a/secrets", json!({"values": {"GONE": null}})).await.body["version"], 2);
    assert_eq!(world.get("/apps/a/secrets/GONE").await.status, 404);
    let journal = std::fs::read_to_string(world.sim.journal()).unwrap();
    for text in [set.to_string(), shown.to_string(), journal] {
        assert!(!text.contains("canary-value"), "{text}");
    }
    let early = json!({"config": image(), "min_secrets_version": 3});
    assert_eq!(world.post("/apps/a/machines", early).await.status, 412);
    assert_eq!(world.post("/apps/a/secrets", json!({"values": {"1BAD": "x"}})).await.status, 400);
}

#[tokio::test]
async fn addresses_are_assigned_and_released() {
    let world = World::new().await;
    world.app("a").await;
    let address = world.post("/apps/a/ip_assignments", json!({"type": "private_v6"})).await.body;
    assert!(text(&address, "ip").starts_with("fdaa:"));
    assert_eq!(world.post("/apps/a/ip_assignments", json!({"type": "shared_v4"})).await.body["shared"], true);
    let path = format!("/apps/a/ip_assignments/{}", text(&address, "ip"));
    assert_eq!(world.call(Method::DELETE, &path, Value::Null).await.status, 204);
    assert_eq!(world.get("/apps/a/ip_assignments").await.body["ips"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn more_than_three_calls_of_an_action_at_once_are_too_many() {
    let world = World::with(|settings| settings.rate_limits = Some(1.0)).await;
    world.app("a").await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(world.get("/apps/a/machines").await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(world.get("/apps/a/volumes").await.status, 200, "another action has its own limit");
    let counted = world.sim.requests().iter().filter(|request| request.action == "machine_list").count();
    assert_eq!(counted, 4);
}

#[tokio::test]
async fn deleting_an_app_takes_all_that_is_in_it() {
    let world = World::new().await;
    world.app("a").await;
    let volume = world.post("/apps/a/volumes", json!({"name": "v", "region": "fra"})).await.body;
    let mount = json!({"image": "i", "mounts": [{"volume": volume["id"], "path": "/data"}]});
    world.machine("a", mount).await;
    assert_eq!(world.call(Method::DELETE, "/apps/a", Value::Null).await.status, 202);
    assert_eq!(world.get("/apps/a").await.status, 404);
    eventually("all is gone", async || {
        let entries = journal::read(&world.sim.journal()).unwrap();
        journal::living(&entries).is_empty()
    })
    .await;
    assert!(!world.sim.volume_folder(&text(&volume, "id")).exists());
    world.app("a").await;
}

#[tokio::test]
async fn a_simulator_that_starts_again_has_the_same_objects() {
    let world = World::new().await;
    world.app("a").await;
    world.post("/apps/a/secrets", json!({"values": {"KEY": "v"}})).await;
    let machine = world.machine("a", image()).await;
    world.wait("a", &machine, "started").await;
    let before = world.get("/apps/a/machines").await.body;
    let World { folder, sim, client } = world;
    // As a kill does it: nothing is said to anybody, and half a line is left.
    drop(sim);
    let mut file = std::fs::OpenOptions::new().append(true).open(folder.path().join(journal::FILE)).unwrap();
    std::io::Write::write_all(&mut file, b"{\"number\": 99, \"half").unwrap();
    let sim = sim_fly::Sim::start(sim_fly::Settings::new(folder.path())).await.unwrap();
    let world = World { folder, sim, client };
    // Nothing ran, so nothing runs that could be taken over; records are as they were.
    assert_eq!(world.get("/apps/a/machines").await.body, before);
    assert_eq!(world.get("/apps/a/secrets").await.body["secrets"][0]["name"], "KEY");
    assert_eq!(
        world.post("/apps/a/machines", json!({"name": before[0]["name"], "config": image()})).await.status,
        409
    );
    let entries = journal::read(&world.sim.journal()).unwrap();
    assert!(entries.windows(2).all(|pair| pair[0].number + 1 == pair[1].number));
    let living = journal::living(&entries);
    let started = living
        .values()
        .filter(|object| matches!(object, Object::Machine(machine) if machine.state == State::Started));
    assert_eq!((living.len(), started.count()), (2, 1));
}
