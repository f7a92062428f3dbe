//! The table of processes: one for each environment, started on first use, and again after its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::process::{Environment, Launch, Lease, NoStart, Process};
use super::recycle::Replacing;
use super::unsettled::{Recoveries, StackKey};
use crate::engine::Place;
use crate::error::{Error, Result};

/// How often one call tries to start a process.
const ATTEMPTS: u32 = 4;

/// The pause after the first failure; it doubles with each that follows.
const PAUSE: Duration = Duration::from_millis(100);

const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long failures are remembered of an environment that nobody asks for.
const GRUDGE: Duration = Duration::from_secs(60);

/// Begins the recovery of a stack that a process of this environment was working on when it died.
pub(super) type Recover = fn(&Arc<Pool>, &Environment, StackKey, Place);

pub(super) struct Pool {
    pub launch: Launch,
    recover: Recover,
    pub recoveries: Recoveries,
    slots: Mutex<HashMap<Environment, Arc<Slot>>>,
    runs: std::sync::atomic::AtomicU64,
}

/// Where the process of one environment is.
#[derive(Default)]
struct Slot {
    process: Mutex<Option<Arc<Process>>>,
    /// Whoever has it starts the process; the others wait.
    gate: tokio::sync::Mutex<Strikes>,
}

/// What went wrong since a run came to its end.
#[derive(Default)]
struct Strikes {
    count: u32,
    last: Option<Instant>,
    /// When a call gave up, and why.
    gave_up: Option<(Instant, String)>,
}

impl Pool {
    pub fn new(launch: Launch, recover: Recover) -> Self {
        Self {
            launch,
            recover,
            recoveries: Recoveries::default(),
            slots: Mutex::default(),
            runs: std::sync::atomic::AtomicU64::new(1),
        }
    }

    /// A number that no other run of this pool has.
    pub fn next_run(&self) -> u64 {
        self.runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    pub fn processes(&self) -> Vec<u32> {
        let slots = lock(&self.slots);
        slots.values().filter_map(|slot| slot.living()).map(|process| process.pid).collect()
    }

    /// The process of this environment. Callers who come while it starts wait for the same start, and
    /// share its failure.
    pub async fn lease(self: &Arc<Self>, env: &Environment) -> Result<Lease> {
        let asked = Instant::now();
        let slot = self.slot(env);
        if let Some(lease) = slot.lease() {
            return Ok(lease);
        }
        let mut strikes = slot.gate.lock().await;
        if let Some(lease) = slot.lease() {
            return Ok(lease);
        }
        if let Some((when, message)) = &strikes.gave_up
            && *when >= asked
        {
            return Err(Error::HostDown { message: message.clone() });
        }
        if let Some(before) = lock(&slot.process).take() {
            strikes.judge(&before);
        }
        // It was down a moment ago: once is enough to see whether it still is.
        let attempts = if strikes.gave_up.is_some() { 1 } else { ATTEMPTS };
        let mut message = String::new();
        for _ in 0..attempts {
            strikes.pause().await;
            match start(Arc::downgrade(self), &self.launch, env).await {
                Ok(process) => {
                    strikes.gave_up = None;
                    let lease = process.lease();
                    *lock(&slot.process) = Some(process);
                    match lease {
                        Some(lease) => return Ok(lease),
                        None => message = "it ended as soon as it was ready".to_owned(),
                    }
                }
                Err(NoStart::Never(error)) => return Err(error),
                Err(NoStart::Again(reason)) => message = reason,
            }
            tracing::warn!(message, "the engine host does not start");
            strikes.add();
        }
        strikes.gave_up = Some((Instant::now(), message.clone()));
        Err(Error::HostDown { message })
    }

    /// An operation has ended in this process, in whatever way. Waits for nothing.
    pub fn after_operation(self: &Arc<Self>, env: &Environment, process: &Arc<Process>) {
        let Some(replacing) = process.recycle.after_operation(&self.launch.recycle, process.pid) else {
            return;
        };
        // Without a runtime, nobody is left who would use another one.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if process.is_alive() && !process.is_retired() {
            tracing::info!(pid = process.pid, "recycling the engine host");
            let old = Arc::clone(process);
            runtime.spawn(Self::replace(Arc::downgrade(self), env.clone(), old, replacing));
        }
    }

    /// Puts a new process in the place of this one, which takes runs until then and ends with its last.
    /// When there is no new one, everything stays as it is.
    async fn replace(pool: Weak<Self>, env: Environment, old: Arc<Process>, _replacing: Replacing) {
        let Some((slot, launch)) = pool.upgrade().map(|pool| (pool.slot(&env), pool.launch.clone())) else {
            return;
        };
        // Whoever finds the old one dead meanwhile waits for the one that is about to come.
        let mut strikes = slot.gate.lock().await;
        if !lock(&slot.process).as_ref().is_some_and(|process| Arc::ptr_eq(process, &old)) {
            return;
        }
        match start(Weak::clone(&pool), &launch, &env).await {
            // Not kept past this, so that its processes end with it.
            Ok(new) => match pool.upgrade() {
                Some(_pool) if new.is_alive() => {
                    strikes.gave_up = None;
                    *lock(&slot.process) = Some(new);
                    old.retire();
                }
                _ => new.retire(),
            },
            Err(reason) => {
                tracing::warn!(?reason, pid = old.pid, "the engine host is not recycled and goes on")
            }
        }
    }

    fn slot(&self, env: &Environment) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(env) {
            return Arc::clone(slot);
        }
        slots.retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.living().is_some() || slot.is_in_disgrace()
        });
        Arc::clone(slots.entry(env.clone()).or_default())
    }
}

/// Leaves the environments out, because their values may be secrets.
impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Pool")
            .field("launch", &self.launch)
            .field("processes", &self.processes())
            .finish()
    }
}

/// Whoever used the processes has gone; they end by themselves.
impl Drop for Pool {
    fn drop(&mut self) {
        for slot in lock(&self.slots).values() {
            if let Some(process) = slot.living() {
                process.retire();
            }
        }
    }
}

impl Slot {
    fn lease(&self) -> Option<Lease> {
        lock(&self.process).as_ref().and_then(Process::lease)
    }

    fn living(&self) -> Option<Arc<Process>> {
        lock(&self.process).clone().filter(|process| process.is_alive())
    }

    fn is_in_disgrace(&self) -> bool {
        let Ok(strikes) = self.gate.try_lock() else { return true };
        strikes.last.is_some_and(|last| last.elapsed() < GRUDGE)
    }
}

impl Strikes {
    fn add(&mut self) {
        self.count += 1;
        self.last = Some(Instant::now());
    }

    /// A process that has done something was a good one, however it ended.
    fn judge(&mut self, before: &Process) {
        if before.proved() {
            *self = Self::default();
        } else if !before.is_retired() {
            self.add();
        }
    }

    async fn pause(&self) {
        let Some(last) = self.last else { return };
        let doublings = self.count.saturating_sub(1).min(16);
        let pause = PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        tokio::time::sleep_until(last + pause).await;
    }
}

async fn start(
    pool: Weak<Pool>,
    launch: &Launch,
    env: &Environment,
) -> std::result::Result<Arc<Process>, NoStart> {
    let same = env.clone();
    Process::start(launch, env, move |process| {
        let stacks = process.unsettled.take();
        // Without a pool, nobody is left who would do anything with these stacks.
        let Some(pool) = pool.upgrade() else { return };
        for (key, place) in stacks {
            (pool.recover)(&pool, &same, key, place);
        }
    })
    .await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
