//! How instances are reached: an address that is gone is seen and comes back, and another way is a difference.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use provider_api::RuntimeSpec;
use provider_api::conformance::{Backdoor, Stack};
use sim_fly::RunnerKind;
use world::{World, app, stack_in};

const FORCE: &str = "fly-force-instance-id";

async fn answers_at(world: &World, stack: &Stack) -> u16 {
    let endpoint = stack.provider.lifecycle().endpoint(&stack.runtime()).await.unwrap();
    let mut request = reqwest::Client::new().get(format!("http://{endpoint}/"));
    for (name, value) in &endpoint.headers {
        request = request.header(name, value);
    }
    assert_eq!(endpoint.port, world.sim.edge().port());
    // The stand-in answers each line with this, which is no HTTP: 502 is the machine's, 404 that of an edge that knows no such address.
    world.write_memory(&stack.runtime(), "a word").await;
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_somebody_has_released_is_a_difference_and_comes_back() {
    for reach in ["edge", "flycast"] {
        let world = world::new().await;
        let provider = world.provider_with(&[("PILOT_FLY_REACH", reach)]);
        let mut stack = stack_in(&world, &provider, "fra");
        stack.up().await;
        assert_eq!(answers_at(&world, &stack).await, 502);
        let app = app(&stack.runtime());
        let address = world.sim.apps()[0].addresses[0].ip.clone();
        let url = format!("{}/v1/apps/{app}/ip_assignments/{address}", world.sim.api_url());
        let released = reqwest::Client::new().delete(url).bearer_auth(&world.token).send().await.unwrap();
        assert_eq!(released.status(), 204);
        let read = stack.read("app").await.unwrap().unwrap();
        assert_ne!(read.inputs, stack.state["app"].0, "{reach}: a refresh shows it");
        stack.update("app").await.unwrap();
        assert_eq!(answers_at(&world, &stack).await, 502, "{reach}");
        stack.down().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_way_to_instances_is_a_difference_of_those_that_are_there() {
    let world = world::new().await;
    let mut stack = stack_in(&world, &world.provider(), "fra");
    stack.up().await;
    stack.provider = world.provider_with(&[("PILOT_FLY_REACH", "flycast")]);
    stack.change_to(RuntimeSpec { generation: 2, ..stack.spec.clone() }).await;
    assert_eq!(answers_at(&world, &stack).await, 502);
    let services = &world.machine(&stack.runtime()).unwrap().config["services"];
    assert_eq!(services[0]["ports"][0]["port"], 80);
    stack.down().await;
}

/// As it is at Fly, where nobody names another edge.
#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_connects_to_each_reach_as_fly_has_it() {
    for (reach, port) in [("edge", 443), ("flycast", 80)] {
        let world = World::with(|settings| settings.runner = RunnerKind::Records).await;
        let provider = world.provider_with(&[("PILOT_FLY_REACH", reach), ("PILOT_FLY_EDGE_ADDRESS", "")]);
        let mut stack = stack_in(&world, &provider, "fra");
        stack.up().await;
        let endpoint = provider.lifecycle().endpoint(&stack.runtime()).await.unwrap();
        let address = world.sim.apps()[0].addresses[0].ip.clone();
        let (host, there) = match reach {
            "edge" => {
                let name = format!("{}.fly.dev", app(&stack.runtime()));
                (name.clone(), format!("{name}:443"))
            }
            _ => (address.clone(), format!("[{address}]:80")),
        };
        assert_eq!((&endpoint.host, endpoint.port, endpoint.tls), (&host, port, reach == "edge"));
        assert_eq!(endpoint.usable().unwrap(), there);
        let machine = world.machine(&stack.runtime()).unwrap().id;
        assert_eq!(endpoint.headers.into_iter().collect::<Vec<_>>(), [(FORCE.to_owned(), machine)]);
        assert_eq!(reach == "flycast", host.starts_with("fdaa:"), "{host}");
    }
}
