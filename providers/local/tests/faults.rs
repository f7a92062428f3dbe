//! Instances that misbehave, machines that lack something, and folders that are not ours.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::ErrorCode;
use provider_api::conformance::{CanaryBootFiles, eventually, run};
use provider_api::{Lifecycle, Outcome, Provider, RunStatus, RuntimeRef};
use provider_local::conformance::{kill, labelled};
use provider_local::{LocalConfig, LocalProvider};
use world::{leaders, named, world};

const GRACE: Duration = Duration::from_secs(5);

fn processes(runtime: &RuntimeRef) -> usize {
    labelled(&runtime.installation, Some(&runtime.runtime_id)).len()
}

/// Every process of the machine that runs the stand-in with this home, labels or not.
fn with_home(runtime: &RuntimeRef) -> usize {
    let home = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        let home = format!("/{}/home", runtime.runtime_id);
        String::from_utf8_lossy(&environ)
            .split('\0')
            .any(|entry| entry.starts_with("HOME=") && entry.ends_with(&home))
    });
    home.count()
}

/// Which process it was, once its end is seen.
async fn kill_leader(lifecycle: &dyn Lifecycle, runtime: &RuntimeRef) -> i32 {
    let leader = leaders(runtime)[0];
    kill(leader);
    eventually("the exit is seen", async || {
        lifecycle.status(runtime).await.unwrap() == RunStatus::Stopped { exit_code: Some(137) }
    })
    .await;
    leader
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_ends_at_once_says_why_and_stays_owned() {
    let world = world();
    let root = world.config().root;
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.create("home").await.unwrap();
        let home = root.join(stack.spec.runtime_id.as_str()).join("home");
        fs::write(home.join("behave-die"), "").unwrap();
        let error = stack.create("process").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InstanceFailed);
        assert!(error.message.contains("cannot work today") && error.action.is_some(), "{error}");
        let Outcome::Partial { id, outputs } = error.outcome else { panic!("{:?}", error.outcome) };
        assert_eq!(id, stack.spec.runtime_id.as_str());
        assert!(outputs["port"].is_u64());
        let lifecycle = fixture.provider.lifecycle();
        let status = lifecycle.status(&stack.runtime()).await.unwrap();
        assert_eq!(status, RunStatus::Stopped { exit_code: Some(7) });

        fs::remove_file(home.join("behave-die")).unwrap();
        stack.create("process").await.unwrap();
        assert_eq!(lifecycle.status(&stack.runtime()).await.unwrap(), RunStatus::Running);
        stack.down().await;
        assert!(!root.join(stack.spec.runtime_id.as_str()).exists());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_children_that_ignore_signals_or_cleaned_their_environment() {
    let world = world();
    let root = world.config().root;
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.create("home").await.unwrap();
        let home = root.join(stack.spec.runtime_id.as_str()).join("home");
        fs::write(home.join("behave-fork"), "").unwrap();
        fs::write(home.join("behave-ignore-term"), "").unwrap();
        stack.create("process").await.unwrap();
        let runtime = stack.runtime();
        eventually("all children run", async || with_home(&runtime) == 21).await;
        let before = Instant::now();
        fixture.provider.lifecycle().stop(&runtime, Duration::from_millis(300)).await.unwrap();
        assert!(before.elapsed() >= Duration::from_millis(300), "the grace was given");
        assert_eq!((processes(&runtime), with_home(&runtime)), (0, 0));
        let status = fixture.provider.lifecycle().status(&runtime).await.unwrap();
        assert!(matches!(status, RunStatus::Stopped { .. }));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_of_a_leader_that_died_make_room_for_the_next() {
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
        eventually("its child runs", async || processes(&runtime) == 2).await;
        let leader = kill_leader(&*lifecycle, &runtime).await;
        assert_eq!(processes(&runtime), 1, "its child is left");
        lifecycle.start(&runtime).await.unwrap();
        eventually("one leader and one child run", async || processes(&runtime) == 2).await;
        assert_ne!(leaders(&runtime), [leader]);
    })
    .await;
}

/// In sessions of their own and without labels, they are nobody's descendants any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_a_start_and_a_delete_end_what_cleaned_its_environment_and_outlived_a_killed_leader() {
    let world = world();
    let root = world.config().root;
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.create("home").await.unwrap();
        let home = root.join(stack.spec.runtime_id.as_str()).join("home");
        fs::write(home.join("behave-fork"), "").unwrap();
        stack.create("process").await.unwrap();
        let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
        let killed = async || {
            eventually("all children run", async || with_home(&runtime) == 21).await;
            kill_leader(&*lifecycle, &runtime).await;
            assert_eq!((processes(&runtime), with_home(&runtime)), (10, 20), "half of them have no label");
        };
        killed().await;
        lifecycle.stop(&runtime, GRACE).await.unwrap();
        assert_eq!(with_home(&runtime), 0, "a stop");
        lifecycle.start(&runtime).await.unwrap();
        killed().await;
        lifecycle.start(&runtime).await.unwrap();
        eventually("those of before are gone", async || with_home(&runtime) == 21).await;
        killed().await;
        stack.down().await;
        assert_eq!(with_home(&runtime), 0, "a delete");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_leaders_the_older_one_stays() {
    let world = world();
    let (config, root) = (world.config(), world.config().root);
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let runtime = stack.runtime();
        let older = leaders(&runtime);
        let mut second = Command::new(&config.instance_binary)
            .env_clear()
            .env("HOME", root.join(runtime.runtime_id.as_str()).join("home"))
            .env("PILOT_RUNTIME", runtime.runtime_id.as_str())
            .env("PILOT_INSTALLATION", runtime.installation.as_str())
            .env("PILOT_LISTEN", "127.0.0.1:0")
            .env("PILOT_OPENCODE_PORT", "0")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        eventually("two leaders run", async || leaders(&runtime).len() == 2).await;
        fixture.provider.lifecycle().start(&runtime).await.unwrap();
        second.wait().unwrap();
        eventually("only the older one is left", async || leaders(&runtime) == older).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_run_by_hand_inside_the_instance_is_no_second_leader() {
    let world = world();
    let root = world.config().root;
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.create("home").await.unwrap();
        fs::write(root.join(stack.spec.runtime_id.as_str()).join("home/behave-nest"), "").unwrap();
        stack.create("process").await.unwrap();
        let runtime = stack.runtime();
        eventually("two of the program run", async || named(&runtime).len() == 2).await;
        fixture.second.lifecycle().start(&runtime).await.unwrap();
        assert_eq!(named(&runtime).len(), 2);
        fixture.provider.lifecycle().stop(&runtime, GRACE).await.unwrap();
        assert_eq!(processes(&runtime), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_zombie_stays_after_a_stop() {
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let leader = leaders(&stack.runtime())[0];
        fixture.provider.lifecycle().stop(&stack.runtime(), GRACE).await.unwrap();
        eventually("the leader is reaped", async || {
            !std::path::Path::new(&format!("/proc/{leader}")).exists()
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_was_taken_while_the_instance_was_stopped_is_replaced() {
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
        let before = lifecycle.endpoint(&runtime).await.unwrap();
        lifecycle.stop(&runtime, GRACE).await.unwrap();
        lifecycle.start(&runtime).await.unwrap();
        assert_eq!(lifecycle.endpoint(&runtime).await.unwrap(), before, "a port is kept over a stop");
        lifecycle.stop(&runtime, GRACE).await.unwrap();
        let taken = TcpListener::bind(("127.0.0.1", before.port)).unwrap();
        lifecycle.start(&runtime).await.unwrap();
        assert_ne!(lifecycle.endpoint(&runtime).await.unwrap(), before);
        assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Running);
        drop(taken);
        let owned =
            fixture.provider.inventory().unwrap().list_installation(&fixture.installation).await.unwrap();
        assert_eq!(owned.iter().filter(|object| object.kind == "port").count(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_of_an_instance_holds_what_it_needs_and_no_more() {
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let leader = leaders(&stack.runtime())[0];
        let environ = fs::read_to_string(format!("/proc/{leader}/environ")).unwrap();
        let names: BTreeSet<&str> =
            environ.split('\0').filter_map(|entry| Some(entry.split_once('=')?.0)).collect();
        let expected = [
            "HOME",
            "LANG",
            "PATH",
            "PILOT_FOLDER",
            "PILOT_GENERATION",
            "PILOT_INSTALLATION",
            "PILOT_LISTEN",
            "PILOT_OPENCODE_BIN",
            "PILOT_OPENCODE_PORT",
            "PILOT_RUNTIME",
            "TERM",
        ];
        assert_eq!(names, expected.into());
        let cmdline = fs::read_to_string(format!("/proc/{leader}/cmdline")).unwrap();
        assert!(!cmdline.contains(&fixture.boot.canary()) && !environ.contains(&fixture.boot.canary()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_home_and_what_is_in_it_is_private() {
    let world = world();
    let root = world.config().root;
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let folder = root.join(stack.spec.runtime_id.as_str());
        let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.clone()), mode(folder.join("home"))), (0o700, 0o700));
        assert_eq!((mode(folder.join("instance.log")), mode(folder.join("process.json"))), (0o600, 0o600));
        let boot = folder.join("home").join(CanaryBootFiles::PATH);
        assert_eq!((mode(boot.clone()), mode(boot.parent().unwrap().to_owned())), (0o600, 0o700));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_programs_are_named_with_the_way_to_install_them() {
    let world = world();
    let nowhere = || "/nowhere/at-all".into();
    let cases = [
        (LocalConfig { instance_binary: nowhere(), ..world.config() }, ErrorCode::InstanceBinaryMissing),
        (LocalConfig { opencode_binary: nowhere(), ..world.config() }, ErrorCode::OpencodeMissing),
    ];
    run(world.fixture(), |fixture| async move {
        fixture.provider.ready().await.unwrap();
        for (config, code) in cases {
            let provider: Arc<dyn Provider> = Arc::new(LocalProvider::new(config));
            let mut stack =
                fixture.stack_of(&provider, &fixture.installation, fixture.stack().spec.runtime_id);
            for error in [provider.ready().await.unwrap_err(), stack.try_up().await.unwrap_err()] {
                assert_eq!((error.code, &error.outcome), (code, &Outcome::NothingHappened));
                assert_eq!(error.action.as_deref(), Some("Install it: cargo xtask tools"));
            }
            stack.down().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_pilot_did_not_make_is_left_alone() {
    let world = world();
    let root = world.config().root;
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        let folder = root.join(stack.spec.runtime_id.as_str());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("thesis.txt"), "years of work").unwrap();
        let error = stack.create("home").await.unwrap_err();
        assert!(error.message.contains("does not touch it"), "{error}");
        let inputs = stack.inputs("home");
        stack.state.insert(
            "home".to_owned(),
            (inputs.clone(), provider_api::Created { id: "x".to_owned(), outputs: inputs }),
        );
        assert!(stack.delete("home").await.is_err());
        assert_eq!(fs::read_to_string(folder.join("thesis.txt")).unwrap(), "years of work");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_cannot_be_written_is_a_clear_error() {
    let world = world();
    let blocked = world.root.path().join("file");
    fs::write(&blocked, "").unwrap();
    let config = LocalConfig { root: blocked.join("runtimes"), ..world.config() };
    run(world.fixture(), |fixture| async move {
        let provider: Arc<dyn Provider> = Arc::new(LocalProvider::new(config));
        let mut stack = fixture.stack_of(&provider, &fixture.installation, fixture.stack().spec.runtime_id);
        let error = stack.create("home").await.unwrap_err();
        assert_eq!((error.code, error.outcome), (ErrorCode::DataFolderUnusable, Outcome::NothingHappened));
    })
    .await;
}

/// One that is made for a start is an empty one, and nobody is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_is_gone_is_not_made_anew_by_a_start() {
    let world = world();
    let root = world.config().root;
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
        let home = root.join(runtime.runtime_id.as_str()).join("home");
        lifecycle.stop(&runtime, GRACE).await.unwrap();
        let aside = home.with_file_name("elsewhere");
        fs::rename(&home, &aside).unwrap();
        assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Absent);
        let error = lifecycle.start(&runtime).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::HomeGone, "{error}");
        let error = stack.create("process").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ProviderFailed, "{error}");
        assert!(!home.exists() && processes(&runtime) == 0);

        fs::rename(&aside, &home).unwrap();
        lifecycle.start(&runtime).await.unwrap();
        stack.down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_while_the_files_of_a_home_are_removed_and_a_removal_that_was_broken_off_goes_on() {
    let world = world();
    let root = world.config().root;
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
        let folder = root.join(runtime.runtime_id.as_str());
        for number in 0..40_000 {
            fs::File::create(folder.join(format!("home/{number}"))).unwrap();
        }
        stack.delete("process").await.unwrap();
        let aside = folder.join(".gone-0");
        let removal = tokio::spawn({
            let stack = stack.clone();
            async move { stack.delete("home").await }
        });
        eventually("the home put aside", async || aside.exists()).await;
        lifecycle.stop(&runtime, GRACE).await.unwrap();
        assert!(aside.exists(), "the stop has waited for the files");
        assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Absent);
        removal.await.unwrap().unwrap();
        assert!(!folder.exists());

        stack.up().await;
        fs::rename(folder.join("home"), &aside).unwrap();
        stack.down().await;
        assert!(!folder.exists());
    })
    .await;
}
