//! Questions to a real vendor: within a budget, and so that nothing is left, whatever happens.
//!
//! All that is made belongs to one installation, the same for every run. A run begins with a sweep of what an earlier one left,
//! as after a crash, and ends with one. So no two runs at a time use one account.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use contracts::{InstallationId, RuntimeId};

use super::Stack;
use crate::{Provider, RuntimeSpec};

/// What a run may use at most; a step beyond it ends the run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Runtimes that are made.
    pub runtimes: usize,
    /// Calls of the module; each is a few of the vendor's.
    pub calls: usize,
    /// From the beginning to the last step. The sweep at the end is not hindered by it.
    pub time: Duration,
}

impl Limits {
    /// What a run has where nobody says otherwise.
    pub const USUAL: Self = Self { runtimes: 3, calls: 60, time: Duration::from_secs(30 * 60) };

    /// From `PILOT_LIVE_RUNTIMES`, `PILOT_LIVE_CALLS` and `PILOT_LIVE_MINUTES`.
    pub fn from_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u32>().expect("a number"));
        let count = |name, usual| number(name).map_or(usual, |number| number as usize);
        let minutes =
            number("PILOT_LIVE_MINUTES").map(|minutes| Duration::from_secs(60 * u64::from(minutes)));
        Self {
            runtimes: count("PILOT_LIVE_RUNTIMES", Self::USUAL.runtimes),
            calls: count("PILOT_LIVE_CALLS", Self::USUAL.calls),
            time: minutes.unwrap_or(Self::USUAL.time),
        }
    }
}

/// A run.
pub struct Live {
    /// The module that is asked.
    pub provider: Arc<dyn Provider>,
    limits: Limits,
    began: Instant,
    runtimes: AtomicUsize,
    calls: AtomicUsize,
}

impl Live {
    /// Owns what any run makes, and nothing else.
    pub fn installation() -> InstallationId {
        "in-11fe11fe11fe11fe".parse().expect("an id")
    }

    /// A new runtime of the smallest size that is offered first. It is not made yet.
    pub fn runtime(&self) -> Stack {
        let number = self.runtimes.fetch_add(1, Ordering::Relaxed);
        assert!(number < self.limits.runtimes, "the budget has {} runtimes", self.limits.runtimes);
        stack(&self.provider, RuntimeId::random())
    }

    /// One call of the module, or a few: it counts, has the time that is left, and says how long it took.
    pub async fn step<T>(&self, what: &str, act: impl Future<Output = T>) -> T {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        assert!(
            number < self.limits.calls,
            "the budget has {} calls, and {what} is one more",
            self.limits.calls
        );
        let left = self.limits.time.saturating_sub(self.began.elapsed());
        let began = Instant::now();
        let done = tokio::time::timeout(left, act).await;
        let done =
            done.unwrap_or_else(|_| panic!("the budget has {:?}, and {what} is not done", self.limits.time));
        self.tell(&format!("{what}: {:.1} s", began.elapsed().as_secs_f64()));
        done
    }

    /// What was learned, for whoever runs it.
    #[allow(clippy::print_stderr, reason = "what a live test says is what it is for")]
    pub fn tell(&self, learned: &str) {
        eprintln!("live {}: {learned}", self.provider.describe().name);
    }
}

fn stack(provider: &Arc<dyn Provider>, runtime_id: RuntimeId) -> Stack {
    let described = provider.describe();
    let size = &described.sizes.first().expect("a provider has a size").name;
    let region = described.regions.first().map(|region| region.name.clone());
    let spec = RuntimeSpec { region, ..RuntimeSpec::new(runtime_id, Live::installation(), size) };
    Stack::new(provider.clone(), spec)
}

/// Sweeps, asks and sweeps, whether the questions passed or not; then nothing is left.
pub async fn run<F, A>(provider: Arc<dyn Provider>, limits: Limits, ask: A)
where
    A: FnOnce(Arc<Live>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    sweep(&provider).await;
    let live = Live {
        provider: provider.clone(),
        limits,
        began: Instant::now(),
        runtimes: AtomicUsize::new(0),
        calls: AtomicUsize::new(0),
    };
    let asked = tokio::spawn(ask(Arc::new(live))).await;
    let left = sweep(&provider).await;
    if let Err(failed) = asked {
        std::panic::resume_unwind(failed.into_panic());
    }
    assert_eq!(left, 0, "what a run made was there still when it had ended");
}

/// Removes all of the installation by whose it is; how many runtimes there were.
pub async fn sweep(provider: &Arc<dyn Provider>) -> usize {
    let installation = Live::installation();
    let inventory = provider.inventory().expect("an inventory");
    // Where all goes through something that all share, nothing can be there without that.
    let shared = Stack::shared(provider.clone(), &installation);
    let owned = match inventory.list_installation(&installation).await {
        Ok(owned) => owned,
        Err(_) if !shared.names().is_empty() => Vec::new(),
        Err(error) => panic!("what an earlier run left cannot be listed: {error}"),
    };
    let runtimes: BTreeSet<RuntimeId> = owned.into_iter().map(|object| object.runtime_id).collect();
    for runtime in &runtimes {
        let left = stack(provider, runtime.clone());
        for name in left.names().iter().rev() {
            left.delete_blind(name)
                .await
                .unwrap_or_else(|error| panic!("sweep {name} of {runtime}: {error}"));
        }
    }
    for name in shared.names().iter().rev() {
        shared.delete_blind(name).await.unwrap_or_else(|error| panic!("sweep the shared {name}: {error}"));
    }
    runtimes.len()
}

/// What every vendor is asked: a runtime is made, stopped, started and deleted, and then nothing of it is there.
pub async fn ask_the_usual(live: &Live) {
    let mut stack = live.runtime();
    live.step("create", stack.up()).await;
    let (runtime, lifecycle) = (stack.runtime(), live.provider.lifecycle());
    let status = live.step("status", lifecycle.status(&runtime)).await.unwrap();
    assert!(status.is_up(), "{status:?}");
    live.step("endpoint", lifecycle.endpoint(&runtime)).await.unwrap();
    live.step("stop", lifecycle.stop(&runtime, Duration::from_secs(10))).await.unwrap();
    live.step("start", lifecycle.start(&runtime)).await.unwrap();
    for name in stack.names() {
        let read =
            live.step(&format!("read of {name}"), stack.read(&name)).await.unwrap().expect("it was made");
        assert_eq!(read.inputs, stack.state[&name].0, "{name}: a refresh would show a difference");
    }
    live.step("delete", stack.down()).await;
    let inventory = live.provider.inventory().expect("an inventory");
    assert_eq!(live.step("what is left", inventory.list_runtime(&runtime)).await.unwrap(), []);
}
