use std::sync::Mutex;

use async_trait::async_trait;
use contracts::operation::{OperationKind, OperationState};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use provider_api::conformance::{Fixture, Stack};
use provider_api::{Declared, Description, Lifecycle, OwnedObject, Resource, RuntimeSpec};

use super::*;
use crate::store::{End, Hold, Left, NewOperation, WorkspaceRow};

struct World {
    fixture: Fixture,
    store: Store,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("pilot.db")).await.unwrap();
        Self { fixture: provider_fake::conformance::fixture().await, store, _folder: folder }
    }

    fn sweeper(&self, grace: Duration, repair: Repair) -> Arc<Sweeper> {
        Arc::new(Sweeper {
            store: self.store.clone(),
            providers: Providers::of([self.fixture.provider.clone()]),
            installation: self.fixture.installation.clone(),
            repair,
            grace,
            hurry: 1,
            name: "one".to_owned(),
        })
    }

    /// Of this installation, and in no row.
    async fn orphan(&self) -> Stack {
        let mut stack = self.fixture.stack();
        stack.up().await;
        stack
    }

    async fn kinds(&self) -> Vec<(String, bool)> {
        let strays = self.store.strays().await.unwrap();
        strays
            .into_iter()
            .map(|Stray { object, .. }| (object.kind.clone(), object.stays_with_home()))
            .collect()
    }

    async fn accept(&self, runtime: &RuntimeId) {
        let mut row = WorkspaceRow::new(slug(runtime), "fake".parse().unwrap(), "small".to_owned());
        row.runtime_id = runtime.clone();
        let create = NewOperation::of(OperationKind::Create, "admin", "req-1");
        self.store.insert_workspace(&row, &create).await.unwrap();
    }
}

fn slug(runtime: &RuntimeId) -> contracts::Slug {
    runtime.as_str().parse().unwrap()
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_put_aside_and_removed_after_the_grace_but_for_its_home() {
    let world = World::new().await;
    let orphan = world.orphan().await;
    let other = InstallationId::random();
    let mut theirs = world.fixture.stack_of(&world.fixture.second, &other, RuntimeId::random());
    theirs.up().await;

    world.sweeper(DAY, Repair::Auto).round().await;
    world.sweeper(Duration::ZERO, Repair::Report).round().await;
    let both = [("machine".to_owned(), false), ("volume".to_owned(), true)];
    assert_eq!(world.kinds().await, both, "it is told, and nothing is done");
    assert!(world.fixture.backdoor.runs(&orphan.runtime()).await);

    world.sweeper(Duration::ZERO, Repair::Auto).round().await;
    assert_eq!(world.kinds().await, both[1..], "the home stays, and is told");
    let left = world.fixture.backdoor.objects(&orphan.runtime()).await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(!world.fixture.backdoor.runs(&orphan.runtime()).await);
    assert_eq!(world.fixture.backdoor.objects(&theirs.runtime()).await.len(), 2, "nobody else's is touched");
    assert!(world.fixture.backdoor.runs(&theirs.runtime()).await);

    world.accept(&orphan.runtime().runtime_id).await;
    world.sweeper(Duration::ZERO, Repair::Auto).round().await;
    assert_eq!(world.kinds().await, [], "it became known");
}

/// What happens while the provider makes its list.
#[derive(Default)]
struct Meanwhile {
    before: Mutex<Option<BoxFuture<'static, ()>>>,
    after: Mutex<Option<BoxFuture<'static, ()>>>,
}

async fn happens(what: &Mutex<Option<BoxFuture<'static, ()>>>) {
    let taken = what.lock().unwrap().take();
    if let Some(what) = taken {
        what.await;
    }
}

/// A module whose list takes so long that something else happens.
#[derive(Clone)]
struct Slow(Arc<dyn Provider>, Arc<Meanwhile>);

#[async_trait]
impl Provider for Slow {
    fn describe(&self) -> Description {
        self.0.describe()
    }

    fn declare(&self, runtime: &RuntimeSpec) -> provider_api::Result<Declared> {
        self.0.declare(runtime)
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        self.0.resources()
    }

    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        self.0.lifecycle()
    }

    async fn ready(&self) -> provider_api::Result<()> {
        self.0.ready().await
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        Some(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Inventory for Slow {
    async fn list_installation(
        &self,
        installation: &InstallationId,
    ) -> provider_api::Result<Vec<OwnedObject>> {
        happens(&self.1.before).await;
        let listed = self.0.inventory().unwrap().list_installation(installation).await;
        happens(&self.1.after).await;
        listed
    }
}

impl World {
    /// A sweep while this happens.
    async fn sweep_while(&self, grace: Duration, meanwhile: Meanwhile) {
        let slow = Arc::new(Slow(self.fixture.provider.clone(), Arc::new(meanwhile)));
        let sweeper = Arc::into_inner(self.sweeper(grace, Repair::Auto)).unwrap();
        Arc::new(Sweeper { providers: Providers::of([slow as Arc<dyn Provider>]), ..sweeper }).round().await;
    }

    /// Its delete comes to its end: nothing is left of it.
    async fn gone(&self, stack: &Stack) {
        let claimed = self.store.claim("one", DAY, &[], &[]).await.unwrap().unwrap();
        stack.down().await;
        let hold = Hold {
            operation: claimed.operation.id,
            runtime: claimed.operation.runtime_id,
            fence: claimed.fence,
        };
        let state = OperationState::Succeeded;
        let end = End { state, phases: Default::default(), error: None, change: None, left: Left::Nothing };
        self.store.finish(&hold, end).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_and_made_while_the_provider_makes_its_list_is_never_hit() {
    let world = Arc::new(World::new().await);
    let stack = world.fixture.stack();
    let (creating, mut made) = (Arc::clone(&world), stack.clone());
    let create = async move {
        creating.accept(&made.spec.runtime_id).await;
        made.up().await;
    };
    let meanwhile = Meanwhile { before: Mutex::new(Some(create.boxed())), ..Default::default() };
    world.sweep_while(Duration::ZERO, meanwhile).await;
    assert!(world.fixture.backdoor.runs(&stack.runtime()).await);
    assert_eq!(world.kinds().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_after_it_was_listed_is_not_taken_for_left_over() {
    let world = Arc::new(World::new().await);
    let stack = world.orphan().await;
    world.accept(&stack.spec.runtime_id).await;
    let deleting = Arc::clone(&world);
    let delete = async move { deleting.gone(&stack).await };
    let meanwhile = Meanwhile { after: Mutex::new(Some(delete.boxed())), ..Default::default() };
    // With a grace, so that it would be seen.
    world.sweep_while(DAY, meanwhile).await;
    assert_eq!(world.kinds().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_does_not_tell_of_is_neither_forgotten_nor_removed() {
    let world = World::new().await;
    let orphan = world.orphan().await;
    world.sweeper(DAY, Repair::Auto).round().await;
    world.fixture.faults.as_ref().unwrap().unreachable().await;
    world.sweeper(Duration::ZERO, Repair::Auto).round().await;
    world.fixture.faults.as_ref().unwrap().heal().await;
    assert_eq!(world.kinds().await.len(), 2);
    assert!(world.fixture.backdoor.runs(&orphan.runtime()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_turn_is_when_the_first_is_due_and_never_at_once() {
    let world = World::new().await;
    let usual = world.sweeper(DAY, Repair::Auto).turn().await.unwrap();
    assert_eq!(usual, EVERY);
    world.orphan().await;
    let soon = world.sweeper(Duration::from_secs(60), Repair::Auto).turn().await.unwrap();
    assert!(soon > Duration::from_secs(30) && soon <= Duration::from_secs(60), "{soon:?}");
    // It is due, and is not removed.
    assert_eq!(world.sweeper(Duration::ZERO, Repair::Report).turn().await.unwrap(), EVERY);
}
