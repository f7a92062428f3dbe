//! The simulated account: everything that a handler needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::sync::watch;

use crate::call::Calls;
use crate::fault::Faults;
use crate::journal::{Journal, Object};
use crate::limit::Limit;
use crate::machines::Machines;
use crate::objects::{Domain, Namespace, Script, Zone, new_id};
use crate::options::Options;
use crate::registry::AccountRegistry;
use crate::workers::Workers;

/// Whether so much time has passed.
pub fn is_past(since: jiff::Timestamp, ms: u64, now: jiff::Timestamp) -> bool {
    ms == 0 || now.as_millisecond() - since.as_millisecond() >= i64::try_from(ms).unwrap_or(i64::MAX)
}

pub struct Cloud {
    pub options: Options,
    pub journal: Arc<Journal>,
    pub calls: Calls,
    pub faults: Faults,
    pub limit: Limit,
    pub registry: Arc<AccountRegistry>,
    pub machines: Arc<Machines>,
    pub workers: Workers,
    /// One change of scripts and applications after the other.
    pub changes: tokio::sync::Mutex<()>,
    /// Whether connections are made.
    pub network: watch::Sender<bool>,
    /// How long a new object is missing in lists.
    list_lag_ms: AtomicU64,
    /// How far Cloudflare's clocks are ahead of this machine's.
    skew_seconds: AtomicI64,
}

impl Cloud {
    pub async fn open(options: Options) -> anyhow::Result<Arc<Self>> {
        std::fs::create_dir_all(&options.folder)?;
        let journal = Arc::new(Journal::open(&options.folder.join("journal.ndjson"))?);
        let registry = Arc::new(AccountRegistry::start(&options.account).await?);
        let machines = Machines::start(&options, journal.clone(), registry.clone()).await?;
        let workers = Workers::new(&options, machines.socket(), machines.platform());
        let cloud = Self {
            calls: Calls::default(),
            faults: Faults::new(options.seed),
            limit: Limit::new(options.rate_limit),
            changes: tokio::sync::Mutex::default(),
            network: watch::Sender::new(true),
            list_lag_ms: AtomicU64::new(0),
            skew_seconds: AtomicI64::new(0),
            journal,
            registry,
            machines,
            workers,
            options,
        };
        for name in &cloud.options.zones {
            if !cloud.journal.all::<Zone>().iter().any(|zone| zone.name == *name) {
                let zone = Zone { id: new_id(), name: name.clone(), status: "active".to_owned() };
                cloud.journal.put(&zone)?;
            }
        }
        for script in cloud.journal.all() {
            cloud.workers.deploy(&script, &cloud.namespaces(&script.name), 0).await?;
        }
        Ok(Arc::new(cloud))
    }

    pub fn now(&self) -> jiff::Timestamp {
        let skew = jiff::SignedDuration::from_secs(self.skew_seconds());
        jiff::Timestamp::now().saturating_add(skew).unwrap_or_else(|_| jiff::Timestamp::now())
    }

    pub fn skew_seconds(&self) -> i64 {
        self.skew_seconds.load(Ordering::Relaxed)
    }

    /// Sets all of Cloudflare's clocks; Workers start anew with theirs.
    pub async fn skew(&self, seconds: i64) -> anyhow::Result<()> {
        let _change = self.changes.lock().await;
        self.skew_seconds.store(seconds, Ordering::Relaxed);
        for script in self.journal.all() {
            self.workers.deploy(&script, &self.namespaces(&script.name), seconds).await?;
        }
        Ok(())
    }

    /// Whether the edge knows the script's name on the subdomain by now.
    pub fn is_known(&self, script: &Script) -> bool {
        script.on_subdomain.is_some_and(|since| is_past(since, self.options.name_lag_ms, self.now()))
    }

    /// Whether a custom domain has its record and its certificate by now.
    pub fn is_served(&self, domain: &Domain) -> bool {
        is_past(domain.attached_on, self.options.name_lag_ms, self.now())
    }

    pub fn set_list_lag(&self, ms: u64) {
        self.list_lag_ms.store(ms, Ordering::Relaxed);
    }

    /// What a list shows: not what is too young for it.
    pub fn listed<T: Object>(&self, born: impl Fn(&T) -> jiff::Timestamp) -> Vec<T> {
        let lag = i64::try_from(self.list_lag_ms.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        let now = self.now().as_millisecond();
        let mut all = self.journal.all::<T>();
        all.retain(|object| lag == 0 || now - born(object).as_millisecond() >= lag);
        all
    }

    pub fn namespaces(&self, script: &str) -> Vec<Namespace> {
        let mut all = self.journal.all::<Namespace>();
        all.retain(|namespace| namespace.script == script);
        all
    }

    /// Ends every Worker and every container.
    pub async fn end(&self) {
        self.workers.end().await;
        self.machines.end().await;
    }
}
