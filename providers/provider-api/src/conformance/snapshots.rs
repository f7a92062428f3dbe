//! Cases about copies of homes.

use std::sync::Arc;
use std::time::Duration;

use contracts::{ErrorCode, RuntimeId, secrets};

use super::owners::refused;
use crate::conformance::{CanaryBootFiles, Fixture, Stack};
use crate::{RunStatus, RuntimeRef, RuntimeSpec, Snapshots, Source, Take, Told};

const GRACE: Duration = Duration::from_secs(5);

fn snapshots(fixture: &Fixture) -> Arc<dyn Snapshots> {
    fixture.provider.snapshots().expect("snapshots")
}

async fn ids(fixture: &Fixture, runtime: &RuntimeRef) -> Vec<String> {
    let listed = snapshots(fixture).list(runtime).await.unwrap();
    listed.into_iter().map(|each| each.id).collect()
}

/// A stack that begins with this snapshot.
fn fork(fixture: &Fixture, of: &Stack, snapshot: &str) -> Stack {
    let stack = fixture.stack();
    let source = Source { runtime_id: of.spec.runtime_id.clone(), snapshot: snapshot.to_owned() };
    Stack::new(fixture.provider.clone(), RuntimeSpec { source: Some(source), ..stack.spec.clone() })
}

pub async fn snapshots_are_listed_the_newest_first(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let runtime = stack.runtime();
    assert_eq!(ids(fixture, &runtime).await, Vec::<String>::new(), "nobody has taken one");
    let named = Take { name: Some("before \"the\" change".to_owned()), ..Take::of("first") };
    let first = snapshots(fixture).take(&runtime, &named).await.unwrap();
    let second = snapshots(fixture).take(&runtime, &Take::of("second")).await.unwrap();
    assert_ne!(first.id, second.id);
    let listed = snapshots(fixture).list(&runtime).await.unwrap();
    let place = |id: &str| listed.iter().position(|listed| listed.id == id).expect("it is listed");
    assert!(place(&second.id) < place(&first.id), "{listed:?}");
    assert_eq!(
        (first.id.as_str(), second.id.as_str()),
        ("first", "second"),
        "who took it knows it by its key"
    );
    // A vendor that keeps them by itself may know no names.
    if snapshots(fixture).restores() {
        assert_eq!(listed[place("first")].name.as_deref(), Some("before \"the\" change"));
    }
    assert_eq!(listed[place(&second.id)].name, None);
}

pub async fn a_snapshot_that_is_taken_again_under_its_key_is_found(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let runtime = stack.runtime();
    let first = snapshots(fixture).take(&runtime, &Take::of("one")).await.unwrap();
    let again =
        fixture.second.snapshots().expect("snapshots").take(&runtime, &Take::of("one")).await.unwrap();
    assert_eq!((&first.id, first.created), (&again.id, again.created));
    assert_eq!(ids(fixture, &runtime).await, [first.id]);
}

pub async fn what_runs_goes_on_after_a_snapshot_and_what_does_not_stays_so(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    snapshots(fixture).take(&runtime, &Take::of("running")).await.unwrap();
    assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Running);
    if fixture.provider.describe().suspend {
        lifecycle.suspend(&runtime).await.unwrap();
        snapshots(fixture).take(&runtime, &Take::of("suspended")).await.unwrap();
        assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Suspended);
    }
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    snapshots(fixture).take(&runtime, &Take::of("stopped")).await.unwrap();
    assert!(matches!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Stopped { .. }));
}

pub async fn a_snapshot_with_a_lower_fence_is_refused(fixture: &Fixture) {
    let mut stack = fixture.stack().under(Some(5));
    stack.up().await;
    let (late, successor) = (stack.under(Some(5)).runtime(), stack.under(Some(6)).runtime());
    let taken = snapshots(fixture).take(&successor, &Take::of("successor")).await.unwrap().id;
    let fenced = ErrorCode::Fenced;
    let second = fixture.second.snapshots().expect("snapshots");
    refused("a late take", second.take(&late, &Take::of("late")).await.map(drop), fenced);
    assert_eq!(ids(fixture, &late).await, [taken.as_str()]);
    if second.restores() {
        refused("a late removal", second.remove(&late, "successor").await, fenced);
        fixture.provider.lifecycle().stop(&successor, GRACE).await.unwrap();
        refused("a late restore", second.restore(&late, "successor", &Told::nobody()).await, fenced);
        assert_eq!(ids(fixture, &late).await, [taken.as_str()]);
    }
    stack.under(Some(6)).down().await;
    assert_eq!(fixture.owned().await, [], "the snapshots went with the home");
}

pub async fn a_snapshot_is_removed_once_and_for_all_and_goes_with_its_home(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let runtime = stack.runtime();
    for key in ["one", "two"] {
        snapshots(fixture).take(&runtime, &Take::of(key)).await.unwrap();
    }
    for _ in 0..2 {
        snapshots(fixture).remove(&runtime, "one").await.unwrap();
        assert_eq!(ids(fixture, &runtime).await, ["two"]);
    }
    snapshots(fixture).remove(&runtime, "never-taken").await.unwrap();
    stack.down().await;
    assert_eq!(fixture.owned().await, []);
    assert_eq!(ids(fixture, &runtime).await, Vec::<String>::new());
}

pub async fn a_restore_brings_back_the_files_of_then_and_no_others(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, lifecycle, backdoor) = (stack.runtime(), fixture.provider.lifecycle(), &fixture.backdoor);
    backdoor.write_home(&runtime, "kept.txt", "of then").await;
    snapshots(fixture).take(&runtime, &Take::of("then")).await.unwrap();
    backdoor.write_home(&runtime, "kept.txt", "of now").await;
    backdoor.write_home(&runtime, "new.txt", "of now").await;
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    // Repeated, as by who takes it over.
    for _ in 0..2 {
        snapshots(fixture).restore(&runtime, "then", &Told::nobody()).await.unwrap();
    }
    lifecycle.start(&runtime).await.unwrap();
    assert_eq!(backdoor.read_home(&runtime, "kept.txt").await.as_deref(), Some("of then"));
    assert_eq!(backdoor.read_home(&runtime, "new.txt").await, None);
    assert_eq!(ids(fixture, &runtime).await, ["then"], "the snapshot is there still");
    stack.down().await;
    assert_eq!(fixture.owned().await, []);
}

pub async fn what_is_no_snapshot_of_this_runtime_is_not_brought_back(fixture: &Fixture) {
    let (mut stack, mut other) = (fixture.stack(), fixture.stack());
    stack.up().await;
    other.up().await;
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    fixture.backdoor.write_home(&runtime, "kept.txt", "kept").await;
    snapshots(fixture).take(&other.runtime(), &Take::of("of-another")).await.unwrap();
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    let restored = snapshots(fixture).restore(&runtime, "of-another", &Told::nobody()).await;
    refused("a restore of another's snapshot", restored, ErrorCode::SnapshotNotFound);
    snapshots(fixture).remove(&runtime, "of-another").await.unwrap();
    assert_eq!(ids(fixture, &other.runtime()).await, ["of-another"], "it is not this runtime's");
    lifecycle.start(&runtime).await.unwrap();
    assert_eq!(fixture.backdoor.read_home(&runtime, "kept.txt").await.as_deref(), Some("kept"));
}

pub async fn a_fork_begins_with_the_files_and_without_the_secrets(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, backdoor) = (stack.runtime(), &fixture.backdoor);
    let file = "project/deep/a file.txt";
    backdoor.write_home(&runtime, file, "of then").await;
    backdoor.write_home(&runtime, ".local/share/opencode/opencode.db", "sessions").await;
    for path in secrets::BELOW_HOME.iter().filter(|path| !path.starts_with(".config/pilot")) {
        backdoor.write_home(&runtime, path, "secret").await;
    }
    let canary = fixture.boot.canary();
    let then = snapshots(fixture).take(&runtime, &Take::of("then")).await.unwrap();
    backdoor.write_home(&runtime, file, "of now").await;
    fixture.boot.change();
    let mut forked = fork(fixture, &stack, &then.id);
    forked.up().await;
    let copy = forked.runtime();
    assert_eq!(backdoor.read_home(&copy, file).await.as_deref(), Some("of then"));
    let sessions = backdoor.read_home(&copy, ".local/share/opencode/opencode.db").await;
    assert_eq!(sessions.as_deref(), Some("sessions"));
    for path in secrets::BELOW_HOME {
        assert_eq!(backdoor.read_home(&copy, path).await, None, "{path} is a secret of the original");
    }
    assert_ne!(backdoor.read_home(&copy, CanaryBootFiles::PATH).await, Some(canary), "it has its own");
    assert_eq!(backdoor.read_home(&runtime, file).await.as_deref(), Some("of now"));
    // A fork that is there is not begun anew by a second create.
    backdoor.write_home(&copy, file, "of the fork").await;
    forked.up().await;
    assert_eq!(backdoor.read_home(&copy, file).await.as_deref(), Some("of the fork"));
    // Nor by the loss of its source, which is no part of what is there.
    forked.change_to(RuntimeSpec { source: None, ..forked.spec.clone() }).await;
    assert_eq!(backdoor.read_home(&copy, file).await.as_deref(), Some("of the fork"));
    assert!(backdoor.runs(&copy).await);
}

pub async fn a_fork_and_its_original_are_deleted_without_harm_to_the_other(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, backdoor) = (stack.runtime(), &fixture.backdoor);
    backdoor.write_home(&runtime, "kept.txt", "kept").await;
    let then = snapshots(fixture).take(&runtime, &Take::of("then")).await.unwrap();
    let (mut first, mut second) = (fork(fixture, &stack, &then.id), fork(fixture, &stack, &then.id));
    first.up().await;
    second.up().await;
    first.down().await;
    assert_eq!(backdoor.read_home(&runtime, "kept.txt").await.as_deref(), Some("kept"));
    assert_eq!(ids(fixture, &runtime).await, [then.id]);
    stack.down().await;
    assert_eq!(backdoor.read_home(&second.runtime(), "kept.txt").await.as_deref(), Some("kept"));
    second.down().await;
    assert_eq!(fixture.owned().await, []);
}

pub async fn a_fork_of_what_is_no_snapshot_makes_no_home(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let forked = fork(fixture, &stack, "never-taken");
    let mut failed = None;
    let mut made = Stack::new(fixture.provider.clone(), forked.spec.clone());
    for name in made.names() {
        failed = made.create(&name).await.err();
        if failed.is_some() {
            break;
        }
    }
    assert_eq!(failed.expect("there is nothing to begin with").code, ErrorCode::SnapshotNotFound);
    let runtime: &RuntimeId = &forked.spec.runtime_id;
    let homes = fixture.owned().await.into_iter().filter(|it| it.is_home() && it.runtime_id == *runtime);
    assert_eq!(homes.count(), 0);
}
