//! What all parts of the module share: settings, the client, and hints that spare calls. A hint is never
//! believed where being wrong would matter.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use contracts::RuntimeId;
use provider_api::{BootSource, Result, RuntimeRef, Settings};

use crate::client::Client;
use crate::settings::{Config, Reach, reach};
use crate::{Timing, failure, names};

pub(crate) struct Fly {
    pub settings: Settings,
    pub boot: Arc<dyn BootSource>,
    pub timing: Timing,
    client: OnceLock<Client>,
    /// Apps that this program has seen to be their runtime's. Nobody else can get the name while the app
    /// is there, and when it is gone every call says so.
    ours: Mutex<HashSet<Key>>,
    /// Apps that had no volume when this program made or found them; each is believed once.
    empty: Mutex<HashSet<Key>>,
    /// Where a runtime's machine was last seen; reading it is cheaper than looking for it.
    machines: Mutex<HashMap<RuntimeId, String>>,
}

/// Runtime and installation, as something to hash.
type Key = (String, String);

fn key(runtime: &RuntimeRef) -> Key {
    (runtime.runtime_id.to_string(), runtime.installation.to_string())
}

impl Fly {
    pub fn new(settings: Settings, boot: Arc<dyn BootSource>, timing: Timing) -> Self {
        let (ours, empty, machines) = Default::default();
        Self { settings, boot, timing, client: OnceLock::new(), ours, empty, machines }
    }

    /// Made at the first use, so that nobody configures a cloud that is not used.
    pub fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(&Config::read(&self.settings)?, self.timing)?;
        Ok(self.client.get_or_init(|| client))
    }

    pub fn reach(&self) -> Result<Reach> {
        reach(&self.settings)
    }

    pub fn probes(&self) -> Result<bool> {
        Config::read(&self.settings).map(|config| config.probe)
    }

    /// Whether the runtime's app is there. One that is somebody else's is an error.
    pub async fn app_is_ours(&self, runtime: &RuntimeRef) -> Result<bool> {
        if self.ours().contains(&key(runtime)) {
            return Ok(true);
        }
        let name = names::app(&runtime.runtime_id);
        let Some(app) = failure::optional(self.client()?.app(&name).await, "read the app")? else {
            return Ok(false);
        };
        names::must_own("app", &name, names::owner_by_network(&app.network), runtime)?;
        self.app_seen(runtime);
        Ok(true)
    }

    pub fn app_seen(&self, runtime: &RuntimeRef) {
        self.ours().insert(key(runtime));
    }

    pub fn app_is_empty(&self, runtime: &RuntimeRef) {
        self.empty().insert(key(runtime));
    }

    /// True once after [`Self::app_is_empty`]: then there is no need to look before the first volume is made.
    /// Should another program be as quick, the look afterwards finds both.
    pub fn take_empty_app(&self, runtime: &RuntimeRef) -> bool {
        self.empty().remove(&key(runtime))
    }

    pub fn app_gone(&self, runtime: &RuntimeRef) {
        self.ours().remove(&key(runtime));
        self.empty().remove(&key(runtime));
        self.machine_gone(&runtime.runtime_id);
    }

    pub fn machine_hint(&self, runtime: &RuntimeId) -> Option<String> {
        self.machines().get(runtime).cloned()
    }

    pub fn machine_seen(&self, runtime: &RuntimeId, id: &str) {
        self.machines().insert(runtime.clone(), id.to_owned());
    }

    pub fn machine_gone(&self, runtime: &RuntimeId) {
        self.machines().remove(runtime);
    }

    fn ours(&self) -> std::sync::MutexGuard<'_, HashSet<Key>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn empty(&self) -> std::sync::MutexGuard<'_, HashSet<Key>> {
        self.empty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn machines(&self) -> std::sync::MutexGuard<'_, HashMap<RuntimeId, String>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
