//! The main job on clouds: the vendors' APIs are simulated, and what they run is real: the instance image
//! with OpenCode, in containers. Cloudflare's Worker runs in the vendor's own `workerd`.

use serde_json::json;

use crate::life::whole_life;
use crate::support::clouds::{CloudflareCloud, Environment, FlyCloud};
use crate::support::repo::Repo;
use crate::support::world::{World, docker_address};

async fn life_on(provider: &str, environment: Environment) {
    let given: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let world = World::start_on_docker_with_env(&given).await;
    let repo = Repo::new();
    let server = repo.serve(docker_address());
    let git = json!({ "url": server.url(), "ref": "main" });
    whole_life(&world, json!({"slug": "demo", "provider": provider, "git": git})).await;
    let credential = given.iter().find(|(name, _)| name.ends_with("_API_TOKEN")).unwrap().1;
    assert!(!world.witness.state_holds(credential) && !world.log().contains(credential));
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
    life_on("cloudflare", cloud.environment()).await;
}
