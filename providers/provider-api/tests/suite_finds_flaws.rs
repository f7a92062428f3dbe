//! The suite itself: a provider with one flaw must fail at the promise that the flaw breaks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::workspace::{Endpoint, Image};
use contracts::{ErrorCode, InstallationId, RuntimeId};
use futures_util::StreamExt as _;
use provider_api::conformance::{Fixture, Verdict, check, new_fixture};
use provider_api::*;

#[derive(Debug, Clone, PartialEq)]
enum Flaw {
    None,
    ReadsErrorsAsGone,
    TellsErrorsAsAbsent,
    SwallowsErrorsOfDelete,
    DeletesByItsMemoryAlone,
    AdoptsWhateverIsThere,
    DeclaresAtRandom,
    ForgetsToStop,
    StopsInsteadOfSuspend,
    IgnoresFences,
    StartsWithoutAWordOfItsFence,
    ListsAllAsOnesOwn,
    ListsWhatIsLeftAsTheHome,
    KeepsWhatIsShared,
    UpdatesWhatIsGone,
    ReplacesForAnotherSource,
    SaysOfManyWhatItKnowsOfNone,
    HidesAFailedBoot,
    LeavesAFailedBoot,
    TakesAStopForAFailure,
    AnswersWithoutAPush,
    PushesWhatCannotRun,
    Logs(String),
}

impl Flaw {
    /// What the module hears of a call's fence.
    fn said(&self, fence: Option<u64>) -> Option<u64> {
        if *self == Flaw::IgnoresFences { None } else { fence }
    }
}

struct Flawed {
    inner: Arc<dyn Provider>,
    flaw: Flaw,
}

#[async_trait]
impl Provider for Flawed {
    fn describe(&self) -> Description {
        self.inner.describe()
    }

    fn declare(&self, runtime: &RuntimeSpec) -> Result<Declared> {
        let mut declared = self.inner.declare(runtime)?;
        if self.flaw == Flaw::DeclaresAtRandom {
            declared.outputs.insert("chance".to_owned(), RuntimeId::random().as_str().into());
        }
        Ok(declared)
    }

    fn shared(&self, installation: &InstallationId) -> Result<Declared> {
        self.inner.shared(installation)
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        let flawed =
            |inner| -> Arc<dyn Resource> { Arc::new(FlawedResource { inner, flaw: self.flaw.clone() }) };
        self.inner.resources().into_iter().map(flawed).collect()
    }

    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        Arc::new(FlawedLifecycle { inner: self.inner.lifecycle(), flaw: self.flaw.clone() })
    }

    async fn ready(&self) -> Result<()> {
        self.inner.ready().await
    }

    async fn examine(&self, installation: &InstallationId) -> Vec<Finding> {
        self.inner.examine(installation).await
    }

    fn images(&self) -> Option<Arc<dyn Images>> {
        self.inner.images()
    }

    fn image_store(&self) -> Option<Arc<dyn ImageStore>> {
        Some(Arc::new(FlawedStore { inner: self.inner.image_store()?, flaw: self.flaw.clone() }))
    }

    fn logs(&self) -> Option<Arc<dyn Logs>> {
        self.inner.logs()
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        let inner = self.inner.inventory()?;
        Some(Arc::new(FlawedInventory { inner, flaw: self.flaw.clone() }))
    }
}

struct FlawedStore {
    inner: Arc<dyn ImageStore>,
    flaw: Flaw,
}

#[async_trait]
impl ImageStore for FlawedStore {
    async fn push(&self, name: &str, archive: &Path, told: &Told) -> Result<Image> {
        match self.inner.push(name, archive, told).await {
            Err(error)
                if self.flaw == Flaw::PushesWhatCannotRun && error.code == ErrorCode::ImageUnusable =>
            {
                Ok(Image::named(name))
            }
            Ok(pushed) if self.flaw == Flaw::AnswersWithoutAPush => {
                let exact = format!("{}@0", pushed.reference);
                Ok(Image { digest: Some(exact), ..pushed })
            }
            pushed => pushed,
        }
    }
}

struct FlawedInventory {
    inner: Arc<dyn Inventory>,
    flaw: Flaw,
}

#[async_trait]
impl Inventory for FlawedInventory {
    async fn list_installation(&self, installation: &InstallationId) -> Result<Vec<OwnedObject>> {
        self.inner.list_installation(installation).await
    }

    async fn list_runtime(&self, runtime: &RuntimeRef) -> Result<Vec<OwnedObject>> {
        let mut owned = self.list_installation(&runtime.installation).await?;
        owned
            .retain(|object| self.flaw == Flaw::ListsAllAsOnesOwn || object.runtime_id == runtime.runtime_id);
        if self.flaw == Flaw::ListsWhatIsLeftAsTheHome {
            let (runtime_id, kind) = (runtime.runtime_id.clone(), "fence".to_owned());
            owned.push(OwnedObject { runtime_id, kind, id: "6".to_owned(), home: Home::Is });
        }
        Ok(owned)
    }
}

struct FlawedResource {
    inner: Arc<dyn Resource>,
    flaw: Flaw,
}

#[async_trait]
impl Resource for FlawedResource {
    fn schema(&self) -> ResourceSchema {
        let mut schema = self.inner.schema();
        let is_source = |property: &&mut Property| property.name.starts_with("git");
        for property in schema.inputs.iter_mut().filter(is_source) {
            property.replaces |= self.flaw == Flaw::ReplacesForAnotherSource;
        }
        schema
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs = request.inputs.clone();
        let fence = self.flaw.said(request.fence);
        match self.inner.create(CreateRequest { fence, ..request }).await {
            Err(_) if self.flaw == Flaw::AdoptsWhateverIsThere => {
                Ok(Created { id: "whatever".to_owned(), outputs: inputs })
            }
            other => other,
        }
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        match self.inner.read(request).await {
            Err(_) if self.flaw == Flaw::ReadsErrorsAsGone => Ok(None),
            Err(ProviderError { outcome: Outcome::Partial { id, outputs }, .. })
                if self.flaw == Flaw::HidesAFailedBoot =>
            {
                Ok(Some(ReadState { id, inputs: outputs.clone(), outputs }))
            }
            other => other,
        }
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        if self.flaw == Flaw::LeavesAFailedBoot {
            return Ok(request.new_inputs);
        }
        let (fence, inputs) = (self.flaw.said(request.fence), request.new_inputs.clone());
        if self.flaw == Flaw::TakesAStopForAFailure {
            let create = CreateRequest { urn: request.urn, inputs, timeout: None, fence };
            return self.inner.create(create).await.map(|created| created.outputs);
        }
        match self.inner.update(UpdateRequest { fence, ..request }).await {
            Err(_) if self.flaw == Flaw::UpdatesWhatIsGone => Ok(inputs),
            other => other,
        }
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let keeps = match self.flaw {
            Flaw::KeepsWhatIsShared => request.urn.contains("rt-shared"),
            Flaw::DeletesByItsMemoryAlone => request.id.is_empty(),
            _ => false,
        };
        if keeps {
            return Ok(());
        }
        let fence = self.flaw.said(request.fence);
        match self.inner.delete(DeleteRequest { fence, ..request }).await {
            Err(_) if self.flaw == Flaw::SwallowsErrorsOfDelete => Ok(()),
            other => other,
        }
    }
}

struct FlawedLifecycle {
    inner: Arc<dyn Lifecycle>,
    flaw: Flaw,
}

impl FlawedLifecycle {
    fn spoken(&self, runtime: &RuntimeRef) -> RuntimeRef {
        runtime.clone().under(self.flaw.said(runtime.fence))
    }
}

#[async_trait]
impl Lifecycle for FlawedLifecycle {
    async fn start(&self, runtime: &RuntimeRef) -> Result<()> {
        match self.flaw {
            Flaw::StartsWithoutAWordOfItsFence => self.inner.start(&runtime.clone().under(None)).await,
            _ => self.inner.start(&self.spoken(runtime)).await,
        }
    }

    async fn stop(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()> {
        match self.flaw {
            Flaw::ForgetsToStop => Ok(()),
            _ => self.inner.stop(&self.spoken(runtime), grace).await,
        }
    }

    fn watch(&self, installation: InstallationId) -> Option<Changes<'_>> {
        self.inner.watch(installation)
    }

    async fn hibernate(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()> {
        self.inner.hibernate(&self.spoken(runtime), grace).await
    }

    async fn suspend(&self, runtime: &RuntimeRef) -> Result<()> {
        match self.flaw {
            Flaw::StopsInsteadOfSuspend => self.inner.stop(runtime, Duration::ZERO).await,
            _ => self.inner.suspend(&self.spoken(runtime)).await,
        }
    }

    async fn status(&self, runtime: &RuntimeRef) -> Result<RunStatus> {
        if let Flaw::Logs(text) = &self.flaw {
            tracing::info!(%text, "asked for the status");
        }
        match self.inner.status(runtime).await {
            Err(_) if self.flaw == Flaw::TellsErrorsAsAbsent => Ok(RunStatus::Absent),
            Ok(RunStatus::Stopped { .. }) if self.flaw == Flaw::StopsInsteadOfSuspend => {
                Ok(RunStatus::Suspended)
            }
            other => other,
        }
    }

    fn status_many(&self, installation: InstallationId, runtimes: Vec<RuntimeId>) -> Statuses<'_> {
        let inner = self.inner.status_many(installation, runtimes);
        match self.flaw {
            Flaw::SaysOfManyWhatItKnowsOfNone => inner.map(|(id, _)| (id, Ok(RunStatus::Absent))).boxed(),
            _ => inner,
        }
    }

    async fn endpoint(&self, runtime: &RuntimeRef) -> Result<Endpoint> {
        self.inner.endpoint(runtime).await
    }
}

async fn flawed(flaw: Flaw) -> Fixture {
    let fixture = provider_fake::conformance::networked_fixture().await;
    let flaw = match flaw {
        Flaw::Logs(_) => Flaw::Logs(fixture.credential.clone().unwrap()),
        other => other,
    };
    let with_flaw = |inner: &Arc<dyn Provider>| -> Arc<dyn Provider> {
        Arc::new(Flawed { inner: inner.clone(), flaw: flaw.clone() })
    };
    Fixture { provider: with_flaw(&fixture.provider), second: with_flaw(&fixture.second), ..fixture }
}

/// One test, because a check keeps what panics in this program to itself.
#[tokio::test(flavor = "multi_thread")]
async fn each_flaw_breaks_its_promise_and_what_is_not_offered_is_not_applicable() {
    for (flaw, promise) in [
        (Flaw::ReadsErrorsAsGone, "a_timeout_is_never_read_as_gone"),
        (Flaw::TellsErrorsAsAbsent, "what_cannot_be_reached_is_never_read_as_gone"),
        (Flaw::SwallowsErrorsOfDelete, "a_stale_generation_is_fenced_and_leaves_the_object_as_it_is"),
        (Flaw::SwallowsErrorsOfDelete, "what_cannot_be_reached_is_never_read_as_gone"),
        (Flaw::DeletesByItsMemoryAlone, "what_no_state_knows_is_deleted_by_whose_it_is"),
        (Flaw::AdoptsWhateverIsThere, "the_objects_of_another_installation_are_never_touched"),
        (Flaw::AdoptsWhateverIsThere, "a_generation_that_an_update_made_stale_is_fenced"),
        (Flaw::DeclaresAtRandom, "a_declaration_is_the_same_every_time_and_passes_its_own_check"),
        (Flaw::ForgetsToStop, "only_a_persistent_home_outlives_a_stop"),
        (Flaw::StopsInsteadOfSuspend, "a_suspended_instance_goes_on_with_its_files_and_memory"),
        (Flaw::IgnoresFences, "a_write_with_a_lower_fence_is_refused_and_changes_nothing"),
        (Flaw::IgnoresFences, "every_write_keeps_a_higher_fence"),
        (Flaw::IgnoresFences, "a_suspend_and_a_resume_keep_a_higher_fence"),
        (Flaw::StartsWithoutAWordOfItsFence, "a_write_with_a_lower_fence_is_refused_and_changes_nothing"),
        (Flaw::SaysOfManyWhatItKnowsOfNone, "what_is_said_of_many_is_what_is_said_of_each"),
        (Flaw::SaysOfManyWhatItKnowsOfNone, "what_cannot_be_reached_is_never_read_as_gone"),
        (
            Flaw::HidesAFailedBoot,
            "an_instance_that_ended_by_itself_is_told_by_a_read_and_started_by_an_update",
        ),
        (
            Flaw::LeavesAFailedBoot,
            "an_instance_that_ended_by_itself_is_told_by_a_read_and_started_by_an_update",
        ),
        (Flaw::TakesAStopForAFailure, "what_was_stopped_is_told_as_well_and_no_update_starts_it"),
        (Flaw::ListsWhatIsLeftAsTheHome, "a_home_that_was_removed_is_not_listed_as_one"),
        (Flaw::ListsAllAsOnesOwn, "what_one_runtime_owns_is_what_the_installation_owns_of_it"),
        (Flaw::UpdatesWhatIsGone, "what_is_gone_cannot_be_updated"),
        (Flaw::ReplacesForAnotherSource, "another_git_source_starts_nothing_that_is_stopped"),
        (Flaw::KeepsWhatIsShared, "what_is_shared_is_deleted_once_and_can_be_made_anew"),
        (Flaw::AnswersWithoutAPush, "an_image_that_is_pushed_can_be_run"),
        (Flaw::PushesWhatCannotRun, "an_image_that_nothing_there_can_run_is_not_pushed"),
        (Flaw::Logs(String::new()), "the_credential_is_never_shown"),
    ] {
        for flaw in [Flaw::None, flaw] {
            let fixture = flaw.clone();
            let report = check(new_fixture(move || flawed(fixture.clone())), promise, |_| (), |_| ()).await;
            let [checked] = report.as_slice() else { panic!("{promise} is not one promise") };
            match (&flaw, &checked.verdict) {
                (Flaw::None, Verdict::Passed) => {}
                (Flaw::None, other) => panic!("without a flaw {promise} is kept: {other:?}"),
                (_, Verdict::Failed(why)) => {
                    assert!(why.contains("conformance/"), "it names its place: {why}")
                }
                (flaw, other) => panic!("{flaw:?} breaks {promise}, and it is {other:?}"),
            }
        }
    }
    let fixture = new_fixture(|| flawed(Flaw::None));
    let report = check(fixture, "snapshots", |_| (), |_| ()).await;
    let reason = "the provider takes no snapshots".to_owned();
    assert_eq!(report[0].verdict, Verdict::NotApplicable(reason));
}
