//! On which of several hosts a runtime is made, whoever makes it, and what is told of one that is on two.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/engine.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod engine;

use std::collections::HashMap;
use std::sync::Arc;

use bollard::Docker;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters as query;
use contracts::{ErrorCode, RuntimeId};
use engine::SecondEngine;
use provider_api::conformance::{Fixture, Stack, run};
use provider_api::site::{all, must_be_reached};
use provider_api::{Provider, RunStatus, RuntimeRef, RuntimeSpec, Settings, Source, Take};
use provider_docker::conformance::{self as world, World};
use provider_docker::{DockerConfig, DockerProvider, SETTINGS};

/// What instances are made from, by programs that choose one engine or the other.
const IMAGES: [&str; 2] = ["pilot-conformance-test:here", "pilot-conformance-test:there"];

/// A module with these hosts and this usual image.
fn provider(world: &World, hosts: &str, image: &str) -> Arc<dyn Provider> {
    let var = |name: &str| match name {
        "PILOT_DOCKER_HOSTS" => Some(hosts.to_owned()),
        "PILOT_DOCKER_SUBNETS" => Some("10.208.0.0/12".to_owned()),
        _ => None,
    };
    let settings = Settings::read(&"docker".parse().unwrap(), SETTINGS, var).unwrap();
    let config = DockerConfig { settings, image: image.to_owned(), ..world.config() };
    Arc::new(DockerProvider::new(config))
}

/// Everything of the runtime on an engine, with what is only kept.
async fn all_of(docker: &Docker, runtime: &RuntimeRef) -> Vec<String> {
    let label = format!("pilot.runtime={}", runtime.runtime_id);
    let filters = HashMap::from([("label".to_owned(), vec![label])]);
    let networks = query::ListNetworksOptionsBuilder::default().filters(&filters).build();
    let volumes = query::ListVolumesOptionsBuilder::default().filters(&filters).build();
    let containers = query::ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let networks = docker.list_networks(Some(networks)).await.unwrap();
    let volumes = docker.list_volumes(Some(volumes)).await.unwrap().volumes.unwrap_or_default();
    let containers = docker.list_containers(Some(containers)).await.unwrap();
    let prefix = world::name(runtime);
    let short = |name: String| name.strip_prefix(&prefix).unwrap_or(&name).to_owned();
    let mut found: Vec<_> = networks.into_iter().map(|network| short(network.name.unwrap())).collect();
    found.extend(volumes.into_iter().map(|volume| short(volume.name)));
    found.extend(containers.into_iter().map(|_| "container".to_owned()));
    found.sort();
    found
}

/// As an engine is called in what is said of hosts.
async fn who(docker: &Docker) -> String {
    let info = docker.info().await.unwrap();
    format!("id {} {} {}", info.id.unwrap(), info.name.unwrap(), info.docker_root_dir.unwrap())
}

/// Two engines, and two programs: each has the image of its choice on one of them alone.
struct Two {
    here: Docker,
    there: Docker,
    _engines: [SecondEngine; 2],
    prefers_here: Arc<dyn Provider>,
    prefers_there: Arc<dyn Provider>,
}

impl Two {
    async fn new(world: &World) -> Self {
        let engines = [SecondEngine::apart().await, SecondEngine::apart().await];
        engines.iter().zip(IMAGES).for_each(|(engine, image)| engine.name_image(image));
        let [one, other] = [engines[0].socket(), engines[1].socket()];
        Self {
            here: engines[0].docker().await,
            there: engines[1].docker().await,
            prefers_here: provider(world, &format!("one={one},two={other}"), IMAGES[0]),
            prefers_there: provider(world, &format!("b={other},a={one}"), IMAGES[1]),
            _engines: engines,
        }
    }

    async fn all_of(&self, runtime: &RuntimeRef) -> (Vec<String>, Vec<String>) {
        (all_of(&self.here, runtime).await, all_of(&self.there, runtime).await)
    }

    /// The one on which programs say their choice.
    async fn judge(&self) -> &Docker {
        if who(&self.here).await < who(&self.there).await { &self.here } else { &self.there }
    }

    /// As a program leaves it that ends in between: what was said by whoever chose a host.
    async fn claim(&self, runtime: &RuntimeRef, host: &Docker) {
        self.say(runtime, &who(host).await).await;
    }

    async fn say(&self, runtime: &RuntimeRef, host: &str) {
        let labels = [
            ("pilot.installation", runtime.installation.to_string()),
            ("pilot.runtime", runtime.runtime_id.to_string()),
            ("pilot.claim", host.to_owned()),
        ];
        let body = VolumeCreateRequest {
            name: Some(format!("{}-claim", world::name(runtime))),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value)).into()),
            ..Default::default()
        };
        self.judge().await.create_volume(body).await.unwrap();
    }

    async fn is_here(&self, stack: &Stack) {
        assert_eq!(self.all_of(&stack.runtime()).await, (MADE.map(str::to_owned).to_vec(), vec![]));
    }

    fn stacks(&self, fixture: &Fixture) -> (Stack, Stack) {
        let runtime = RuntimeId::random();
        let of = |provider| fixture.stack_of(provider, &fixture.installation, runtime.clone());
        (of(&self.prefers_here), of(&self.prefers_there))
    }
}

/// A module that has both, and one for each alone.
async fn fleet(world: &World, engines: &[SecondEngine; 2]) -> (Arc<dyn Provider>, [Arc<dyn Provider>; 2]) {
    for engine in engines {
        engine.load(&world.docker, world::IMAGE).await;
    }
    let hosts = [format!("one={}", engines[0].socket()), format!("two={}", engines[1].socket())];
    let of = |hosts: &str| provider(world, hosts, world::IMAGE);
    (of(&hosts.join(",")), [of(&hosts[0]), of(&hosts[1])])
}

/// A shell, as root, in a volume of an engine.
fn in_home(engine: &SecondEngine, volume: &str, script: &str) {
    let output = std::process::Command::new("docker")
        .args(["-H", &engine.socket(), "run", "--rm", "--network", "none", "--user", "0:0"])
        .args(["-v", &format!("{volume}:/into"), "--entrypoint", "sh", world::IMAGE, "-c", script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

const MADE: [&str; 2] = ["", "-home"];

#[tokio::test(flavor = "multi_thread")]
async fn two_programs_that_place_a_runtime_at_the_same_moment_choose_one_host() {
    let world = World::new().await;
    let two = Two::new(&world).await;
    run(world.fixture(), |fixture| async move {
        for _ in 0..3 {
            let (mut one, mut other) = two.stacks(&fixture);
            let (first, later) = tokio::join!(one.create("network"), other.create("network"));
            first.unwrap();
            later.unwrap();
            let (first, later) = tokio::join!(other.create("home"), one.create("home"));
            first.unwrap();
            later.unwrap();
            let (here, there) = two.all_of(&one.runtime()).await;
            let is_whole = |found: &[String]| *found == MADE;
            assert!(
                (is_whole(&here) && there.is_empty()) || (is_whole(&there) && here.is_empty()),
                "{here:?} and {there:?}"
            );
            one.delete("home").await.unwrap();
            other.delete("network").await.unwrap();
            assert_eq!(two.all_of(&one.runtime()).await, (vec![], vec![]));
        }
        // Homes alone, as in a stack that begins with them.
        let (mut one, mut other) = two.stacks(&fixture);
        let (first, later) = tokio::join!(one.create("home"), other.create("home"));
        first.unwrap();
        later.unwrap();
        let (here, there) = two.all_of(&one.runtime()).await;
        assert_eq!([here, there].concat(), ["-home"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_on_after_any_step_of_a_program_that_ended_goes_on_on_its_host() {
    let world = World::new().await;
    let two = Two::new(&world).await;
    run(world.fixture(), |fixture| async move {
        // A word, and nothing made.
        let (one, mut other) = two.stacks(&fixture);
        two.claim(&one.runtime(), &two.here).await;
        other.create("network").await.unwrap();
        other.create("home").await.unwrap();
        two.is_here(&one).await;
        other.down().await;

        // A network, and no home.
        let (mut one, mut other) = two.stacks(&fixture);
        one.create("network").await.unwrap();
        other.create("network").await.unwrap();
        other.create("home").await.unwrap();
        two.is_here(&one).await;

        // A home, and a word that nobody removed, or that was said too late.
        two.claim(&one.runtime(), &two.there).await;
        other.create("network").await.unwrap();
        other.create("home").await.unwrap();
        two.is_here(&one).await;
        other.down().await;

        // A delete takes along what only was said.
        let (mut one, _) = two.stacks(&fixture);
        one.create("network").await.unwrap();
        one.delete("network").await.unwrap();
        assert_eq!(two.all_of(&one.runtime()).await, (vec![], vec![]));

        // A word for a host that this program does not have.
        let (one, mut other) = two.stacks(&fixture);
        two.say(&one.runtime(), "id of a third").await;
        let error = other.create("network").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::RuntimeElsewhere, "{error}");
        assert!(error.action.unwrap().contains(&format!("{}-claim", world::name(&one.runtime()))));
        let (here, there) = two.all_of(&one.runtime()).await;
        assert_eq!([here, there].concat(), ["-claim"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_made_on_the_host_of_its_snapshot() {
    let world = World::new().await;
    let engines = [SecondEngine::apart().await, SecondEngine::apart().await];
    let (fleet, alone) = fleet(&world, &engines).await;
    let (here, there) = (engines[0].docker().await, engines[1].docker().await);
    run(world.fixture(), |fixture| async move {
        let stack = |provider| fixture.stack_of(provider, &fixture.installation, RuntimeId::random());
        for (alone, host, elsewhere) in [(&alone[0], &here, &there), (&alone[1], &there, &here)] {
            let mut original = stack(alone);
            original.create("network").await.unwrap();
            original.create("home").await.unwrap();
            let runtime = original.runtime();
            fleet.snapshots().unwrap().take(&runtime, &Take::of("then")).await.unwrap();
            let source = Some(Source { runtime_id: runtime.runtime_id, snapshot: "then".to_owned() });
            let spec = RuntimeSpec { source, ..stack(&fleet).spec };
            let mut fork = Stack::new(fleet.clone(), spec);
            fork.create("home").await.unwrap();
            fork.create("network").await.unwrap();
            assert_eq!(all_of(host, &fork.runtime()).await, MADE);
            assert_eq!(all_of(elsewhere, &fork.runtime()).await, Vec::<String>::new());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_on_two_hosts_is_told_and_nothing_is_done_until_one_is_left() {
    let world = World::new().await;
    let mut engines = [SecondEngine::apart().await, SecondEngine::apart().await];
    let (fleet, alone) = fleet(&world, &engines).await;
    let here = engines[0].docker().await;
    run(world.fixture(), |fixture| async move {
        let runtime = RuntimeId::random();
        let stack = |provider| fixture.stack_of(provider, &fixture.installation, runtime.clone());
        let mut original = stack(&alone[0]);
        original.up().await;
        let (mut copied, mut both) = (stack(&alone[1]), stack(&fleet));
        copied.create("home").await.unwrap();
        both.state = original.state.clone();
        let id = original.runtime();
        // The copy is of long ago, and small.
        for (engine, script) in [
            (&engines[0], "head -c 3M /dev/urandom > /into/large"),
            (&engines[1], "echo old > /into/notes; touch -d @1000000000 /into/notes /into"),
        ] {
            in_home(engine, &format!("{}-home", world::name(&id)), script);
        }

        let lifecycle = fleet.lifecycle();
        let grace = std::time::Duration::from_secs(1);
        let told = [
            lifecycle.status(&id).await.map(drop).unwrap_err(),
            lifecycle.start(&id).await.unwrap_err(),
            lifecycle.stop(&id, grace).await.unwrap_err(),
            both.create("home").await.map(drop).unwrap_err(),
            both.read("home").await.map(drop).unwrap_err(),
            both.delete("home").await.unwrap_err(),
            fleet.sites().unwrap().locate(&id).await.map(drop).unwrap_err(),
        ];
        for error in told {
            assert_eq!(error.code, ErrorCode::HomeDoubled, "{error}");
            for word in ["the host one at", "the host two at", "in use by a container", "not used by any"] {
                assert!(error.message.contains(word), "{word}: {error}");
            }
            let [first, second] = [0, 1].map(|at| error.message.split("; ").nth(at).unwrap());
            assert!(first.contains("MB, last written 2"), "{first}");
            assert!(second.contains("kB, last written 2001-09-09T01:46:40Z"), "{second}");
            let action = error.action.unwrap();
            let remove = format!("`docker -H {} volume rm {}-home`", engines[1].socket(), world::name(&id));
            assert!(action.contains(&remove) && action.contains("du -sh /home"), "{action}");
        }
        assert_eq!(all_of(&engines[1].docker().await, &id).await, ["-home"]);
        assert_eq!(alone[0].lifecycle().status(&id).await.unwrap(), RunStatus::Running, "what runs goes on");

        // Of a host that is away nobody knows it, and what is on others goes on.
        engines[1].stop();
        assert_eq!(lifecycle.status(&id).await.unwrap(), RunStatus::Running);
        engines[1].resume().await;
        assert_eq!(lifecycle.status(&id).await.unwrap_err().code, ErrorCode::HomeDoubled);

        let name = format!("{}-home", world::name(&id));
        engines[1].docker().await.remove_volume(&name, None::<query::RemoveVolumeOptions>).await.unwrap();
        assert_eq!(lifecycle.status(&id).await.unwrap(), RunStatus::Running);
        both.down().await;
        assert_eq!(all_of(&here, &id).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_a_host_that_was_taken_out_is_elsewhere_and_not_deleted_until_that_is_back_under_any_name()
{
    let world = World::new().await;
    let engines = [SecondEngine::apart().await, SecondEngine::apart().await];
    let (fleet, [here, there]) = fleet(&world, &engines).await;
    let again = format!("here={},renamed={}", engines[0].socket(), engines[1].socket());
    let again = provider(&world, &again, world::IMAGE);
    let docker = engines[1].docker().await;
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack_of(&there, &fixture.installation, RuntimeId::random());
        stack.create("network").await.unwrap();
        stack.create("home").await.unwrap();
        let runtime = stack.runtime();
        // As it is kept of a workspace: where it is, and before that is known, where it may be.
        let places = all(fleet.sites().unwrap().as_ref()).await.unwrap();
        let held = fleet.sites().unwrap().locate(&runtime).await.unwrap().unwrap().site;
        assert_eq!(places.len(), 2);
        for known in [std::slice::from_ref(&held), &places] {
            // Whoever acts on it asks this first: the host that is left says of all that it is not there.
            let error = must_be_reached(here.sites().unwrap().as_ref(), &runtime, known).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::RuntimeElsewhere, "{known:?}: {error}");
            for words in [&held.id, &engines[1].socket(), "neither gone, nor made anew, nor deleted"] {
                assert!(error.message.contains(words), "{words}: {error}");
            }
            assert!(error.action.unwrap().contains("Name that engine in PILOT_DOCKER_HOSTS"));
            for whole in [&fleet, &again] {
                must_be_reached(whole.sites().unwrap().as_ref(), &runtime, known).await.unwrap();
            }
        }
        assert_eq!(all_of(&docker, &runtime).await, MADE);
        let mut back = fixture.stack_of(&again, &fixture.installation, runtime.runtime_id.clone());
        back.state = stack.state.clone();
        back.down().await;
        assert_eq!(all_of(&docker, &runtime).await, Vec::<String>::new());
    })
    .await;
}
