//! The main job on clouds: the vendors' APIs are simulated, and what they run is real: the instance image
//! with OpenCode, in containers. Cloudflare's Worker runs in the vendor's own `workerd`.

use serde_json::{Value, json};

use crate::life::whole_life;
use crate::support::clouds::{CloudflareCloud, Environment, FlyCloud};
use crate::support::repo::Repo;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_on_fly_lives_its_whole_life() {
    let cloud = FlyCloud::start().await;
    life_on("fly", cloud.environment()).await;
    assert_eq!((cloud.sim.apps().len(), cloud.sim.volumes().len(), cloud.sim.machines().len()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_on_cloudflare_lives_its_whole_life() {
    let cloud = CloudflareCloud::start().await;
    let world = life_on("cloudflare", cloud.environment()).await;
    let scripts = || cloud.sim.objects()["script"].as_object().map_or(0, serde_json::Map::len);
    assert_eq!(scripts(), 1, "the Worker stays for the next workspace");

    // It goes when nobody needs it any more, and not before.
    world.api.create_ready("other", "cloudflare").await;
    let refused = world.pilot_output(&["provider", "teardown", "cloudflare", "--json"]);
    assert!(String::from_utf8_lossy(&refused.stdout).contains("provider_in_use"), "{refused:?}");
    world.api.succeeded(&world.api.delete("other").await).await;
    for removed in [true, false] {
        let torn =
            world.pilot(&["provider", "teardown", if removed { "cloudflare" } else { "fly" }, "--json"]);
        let torn: Value = serde_json::from_str(&torn).unwrap();
        assert_eq!(torn["removed"], removed);
    }
    assert_eq!(scripts(), 0);
}
