//! Another list of destinations for an instance that runs, on an internet of the test's own. Requires root.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/internet.rs"]
mod internet;
#[path = "support/listed.rs"]
mod listed;

use std::time::Duration;

use contracts::ErrorCode;
use contracts::egress::{MOST, MOST_PORTS};
use futures_util::StreamExt as _;
use internet::{PORTS, UNUSABLE, said};
use listed::{Here, keeper, list, table, tables};
use provider_api::RuntimeSpec;
use provider_api::conformance::{eventually, run};
use provider_docker::conformance::{World, name};

#[tokio::test(flavor = "multi_thread")]
async fn another_list_is_in_force_while_the_instance_runs() {
    let world = World::new().await;
    let here = Here::new(&world).await;
    run(world.fixture(), |fixture| async move {
        let port = PORTS[0];
        let mut stack = here.up(&fixture, list("one.example")).await;
        let runtime = stack.runtime();
        let started = || said(&format!("docker inspect -f '{{{{.Id}}}} {{{{.State.StartedAt}}}}' {}", name(&runtime)));
        let (before, again) = (started(), stack.spec.clone());
        assert!(here.reaches(&runtime, "one.example", port).await);
        fixture.backdoor.write_home(&runtime, "kept", "yes").await;
        // A connection that is there goes on.
        let talk = format!(
            "exec 3<>/dev/tcp/203.0.113.11/{port}; read -u 3 x; touch /tmp/open; while [ ! -e /tmp/go ]; do sleep 0.1; done; \
             echo >&3; read -t 3 -u 3 x && echo $x > /tmp/still"
        );
        here.sh(&runtime, &format!("({talk}) > /dev/null 2>&1 &")).await;
        eventually("it is connected", async || here.sh(&runtime, "ls /tmp/open").await == "/tmp/open").await;

        stack.change_to(RuntimeSpec { egress: list("two.example"), generation: 2, ..again.clone() }).await;
        assert_eq!(started(), before, "nothing starts anew");
        assert!(here.reaches(&runtime, "two.example", port).await);
        assert!(here.is_refused(&runtime, "one.example", port).await);
        assert!(here.is_refused(&runtime, "203.0.113.11", port).await, "what was answered before is forgotten");
        here.sh(&runtime, "touch /tmp/go").await;
        eventually("it talks still", async || here.sh(&runtime, "cat /tmp/still").await == "hello").await;

        // What is read back is what is in force, also for one that starts again.
        let read = stack.read("instance").await.unwrap().unwrap();
        assert_eq!(read.inputs["egressAllow"], serde_json::json!(["two.example"]));
        let lifecycle = here.provider.lifecycle();
        lifecycle.stop(&runtime, Duration::ZERO).await.unwrap();
        lifecycle.start(&runtime).await.unwrap();
        assert!(here.reaches(&runtime, "two.example", port).await);
        assert!(here.is_refused(&runtime, "203.0.113.11", port).await);

        // To none at all and back: another container with the same home.
        let bridge = table(&stack);
        stack.change_to(RuntimeSpec { egress: None, generation: 3, ..again.clone() }).await;
        assert!(here.reaches(&runtime, "203.0.113.13", port).await);
        assert_eq!(fixture.backdoor.read_home(&runtime, "kept").await.as_deref(), Some("yes"));
        eventually("its table is gone", async || !tables(&fixture).contains(&bridge)).await;
        stack.change_to(RuntimeSpec { egress: list("one.example"), generation: 4, ..again }).await;
        assert!(here.reaches(&runtime, "one.example", port).await);
        assert!(here.is_refused(&runtime, "203.0.113.13", port).await);
        assert_eq!(fixture.backdoor.read_home(&runtime, "kept").await.as_deref(), Some("yes"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_two_lists_have_keeps_its_addresses_and_no_other_does() {
    let world = World::new().await;
    let here = Here::new(&world).await;
    run(world.fixture(), |fixture| async move {
        let [port, other] = PORTS;
        let mut stack = here.up(&fixture, list("two.example,one.example,far.example")).await;
        let (runtime, first) = (stack.runtime(), stack.spec.clone());
        for name in ["one.example", "two.example", "far.example"] {
            assert!(here.reaches(&runtime, name, port).await, "{name}");
        }
        // By its address: nobody asks for the name again.
        let next = format!("two.example,*.two.example,many.example,*.example:{port}");
        stack.change_to(RuntimeSpec { egress: list(&next), generation: 2, ..first.clone() }).await;
        for address in ["203.0.113.11", "203.0.113.12", "203.0.113.14"] {
            assert!(here.reaches(&runtime, address, port).await, "{address}");
        }
        assert!(here.reaches(&runtime, "203.0.113.12", other).await, "every port, as before");
        assert!(here.is_refused(&runtime, "203.0.113.11", other).await, "the next list has one port of it");
        stack
            .change_to(RuntimeSpec { egress: list("two.example,many.example"), generation: 3, ..first })
            .await;
        for address in ["203.0.113.11", "203.0.113.14"] {
            assert!(here.is_refused(&runtime, address, port).await, "{address}: its name is gone");
        }
        assert!(here.is_refused(&runtime, "203.0.113.12", port).await, "names below it were in its set");
        assert!(here.reaches(&runtime, "two.example", port).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_list_that_is_allowed_is_in_force_and_so_is_each_port_of_a_name() {
    let world = World::new().await;
    let here = Here::new(&world).await;
    run(world.fixture(), |fixture| async move {
        let port = PORTS[0];
        let label = |letter: &str, length: usize| letter.repeat(length);
        let longest = |index: usize| {
            format!("n{index:03}{0}.{1}.{1}.{2}", label("a", 59), label("b", 63), label("c", 61))
        };
        let mut entries: Vec<_> =
            (0..MOST_PORTS - 1).map(|index| format!("one.example:{}", index + 1)).collect();
        entries.extend([format!("one.example:{port}"), "_mongodb._tcp.my_bucket.example:1".to_owned()]);
        while entries.len() < MOST {
            let index = entries.len();
            let wild = if index % 2 == 0 { "*." } else { "" };
            entries.push(format!("{wild}{}:{}", longest(index), index % (MOST_PORTS - 1) + 1));
        }
        let stack = here.up(&fixture, list(&entries.join(","))).await;
        assert!(here.reaches(&stack.runtime(), "one.example", port).await);
        assert!(here.is_refused(&stack.runtime(), "one.example", PORTS[1]).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_in_force_changes_nothing_of_what_runs() {
    let world = World::new().await;
    let here = Here::new(&world).await;
    run(world.fixture(), |fixture| async move {
        let port = PORTS[0];
        let mut stack = here.up(&fixture, list("one.example")).await;
        let (runtime, before) = (stack.runtime(), stack.spec.clone());
        assert!(here.reaches(&runtime, "one.example", port).await);
        let next = list(&format!("two.example,{UNUSABLE}"));
        stack.declare(RuntimeSpec { egress: next, generation: 2, ..before });
        let error = stack.update("instance").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::EgressOpen, "{error}");
        assert!(
            error.message.contains("cannot be put in force") && error.message.contains("dnsmasq"),
            "{error}"
        );
        assert!(here.reaches(&runtime, "one.example", port).await, "by its name");
        assert!(here.reaches(&runtime, "203.0.113.11", port).await, "by what was answered");
        assert!(here.is_refused(&runtime, "two.example", port).await);
        let read = stack.read("instance").await.unwrap().unwrap();
        assert_eq!(read.inputs["egressAllow"], serde_json::json!(["one.example"]));
        let told = here.provider.refuses().unwrap().refusals(&runtime).await.unwrap();
        assert_eq!(told.not_in_force, None);
        // Nor when it starts anew.
        let lifecycle = here.provider.lifecycle();
        lifecycle.stop(&runtime, Duration::ZERO).await.unwrap();
        lifecycle.start(&runtime).await.unwrap();
        assert!(here.reaches(&runtime, "one.example", port).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_somebody_ended_is_back_once_somebody_has_looked_at_all() {
    let world = World::new().await;
    let here = Here::new(&world).await;
    run(world.fixture(), |fixture| async move {
        let port = PORTS[0];
        let stack = here.up(&fixture, list("one.example")).await;
        let (runtime, keeper) = (stack.runtime(), keeper(&fixture));
        for end in ["kill", "stop -t 1", "rm -f"] {
            assert!(here.reaches(&runtime, "one.example", port).await, "before {end}");
            said(&format!("docker {end} {keeper}"));
            assert!(here.is_refused(&runtime, "203.0.113.13", port).await, "its rules stay: {end}");
            let runs = || said(&format!("docker inspect -f '{{{{.State.Running}}}}' {keeper}"));
            assert_ne!(runs(), "true", "Docker leaves it: {end}");
            let all = vec![runtime.runtime_id.clone()];
            let told: Vec<_> =
                here.provider.lifecycle().status_many(fixture.installation.clone(), all).collect().await;
            assert_eq!(told.len(), 1);
            eventually("names are answered", async || here.reaches(&runtime, "one.example", port).await)
                .await;
            assert!(here.is_refused(&runtime, "203.0.113.13", port).await);
        }
    })
    .await;
}
