//! From inputs to what Docker is asked for, and back. Pure.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerUpdateBody, HostConfig, Mount, MountType,
    PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use contracts::boot::{HOME, USER};
use contracts::egress::EgressAllow;
use contracts::network::network;
use provider_kit::inputs::{Git, Owned};
use provider_kit::instance::{self, Ports};
use serde::{Deserialize, Serialize};

use crate::egress::RESOLVER;
use crate::engine::Engine;
use crate::generation::Seen;
use crate::placement::{MIB, Need};
use crate::{logs, names};

/// A fork bomb ends here; language servers and builds stay far below.
const PIDS: i64 = 2048;
/// Programs are unpacked and mapped from /tmp, so it may not be `noexec`. It counts as memory.
const TMP: &str = "rw,exec,nosuid,nodev,size=512m,mode=1777";
/// CPU as time in each period, in microseconds. Docker refuses more "CPUs" than the host has; of time
/// one may grant more, and a size means the same on every host.
const CPU_PERIOD: i64 = 100_000;
const QUOTA_PER_MILLI: i64 = CPU_PERIOD / 1000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Inputs {
    #[serde(flatten)]
    pub owned: Owned,
    pub image: String,
    pub network: String,
    pub volume: String,
    pub memory_mib: i64,
    pub cpu_millis: i64,
    #[serde(flatten)]
    pub git: Git,
    /// Another list changes in place; a first or no more one is another container, because it asks another resolver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress_allow: Option<EgressAllow>,
}

impl Inputs {
    /// The inputs that would make this container; `None` when it is not one of Pilot's.
    pub fn of(found: &ContainerInspectResponse) -> Option<Self> {
        let config = found.config.as_ref()?;
        let host = found.host_config.as_ref()?;
        let labels = config.labels.as_ref()?;
        let env = |name: &str| {
            let entry =
                config.env.iter().flatten().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
            entry.map(str::to_owned)
        };
        let volume = found.mounts.iter().flatten().find(|mount| mount.destination.as_deref() == Some(HOME));
        Some(Self {
            owned: Owned::new(names::owner(labels)?, names::generation(labels)),
            image: config.image.clone()?,
            network: host.network_mode.clone()?,
            volume: volume.and_then(|mount| mount.name.clone()).unwrap_or_default(),
            memory_mib: host.memory.unwrap_or_default() / MIB,
            cpu_millis: host.cpu_quota.unwrap_or_default() / QUOTA_PER_MILLI,
            git: instance::git(env),
            egress_allow: names::egress(labels),
        })
    }

    /// With what its container has seen since it was made.
    pub fn seen(mut self, seen: Seen) -> Self {
        self.owned.generation = seen.generation;
        self.egress_allow = seen.egress;
        self
    }

    /// Whether the container can be kept, limits aside and what is in its list.
    pub fn fits(&self, found: &Inputs) -> bool {
        let (owned, memory_mib, cpu_millis) = (self.owned.clone(), self.memory_mib, self.cpu_millis);
        let is_its = owned.runtime().is(&found.owned.runtime());
        let has_list = self.egress_allow.is_some() == found.egress_allow.is_some();
        let egress_allow = self.egress_allow.clone();
        is_its && has_list && *self == Inputs { owned, memory_mib, cpu_millis, egress_allow, ..found.clone() }
    }

    pub fn has_limits_of(&self, found: &Inputs) -> bool {
        (self.memory_mib, self.cpu_millis) == (found.memory_mib, found.cpu_millis)
    }

    pub fn need(&self) -> Need {
        Need { memory_mib: self.memory_mib, cpu_millis: self.cpu_millis }
    }

    /// Whose it is, and what it takes.
    pub fn labels(&self, fence: Option<u64>) -> HashMap<String, String> {
        let mut labels = names::labels(&self.owned.runtime().under(fence), self.owned.generation);
        labels.extend(names::need_labels(self.need()));
        labels.extend(self.egress_allow.as_ref().map(names::egress_label));
        labels
    }

    pub fn limits(&self) -> ContainerUpdateBody {
        ContainerUpdateBody {
            memory: Some(self.memory_mib * MIB),
            memory_swap: Some(self.memory_mib * MIB),
            cpu_period: Some(CPU_PERIOD),
            cpu_quota: Some(self.cpu_millis * QUOTA_PER_MILLI),
            ..Default::default()
        }
    }

    pub fn body(
        &self,
        engine: &Engine,
        oci_runtime: Option<String>,
        fence: Option<u64>,
    ) -> ContainerCreateBody {
        let mut env = instance::variables(&self.owned.runtime(), &self.git, Ports::inside());
        env.extend([("HOME", HOME.to_owned()), (instance::GENERATION, self.owned.generation.to_string())]);
        ContainerCreateBody {
            image: Some(self.image.clone()),
            user: Some(format!("{USER}:{USER}")),
            env: Some(env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()),
            labels: Some(self.labels(fence)),
            exposed_ports: Some(vec![backend_port()]),
            host_config: Some(engine.confinement.apply(self.host_config(engine), oci_runtime)),
            ..Default::default()
        }
    }

    fn host_config(&self, engine: &Engine) -> HostConfig {
        let limits = self.limits();
        HostConfig {
            network_mode: Some(self.network.clone()),
            dns: self.egress_allow.as_ref().map(|_| vec![RESOLVER.to_owned()]),
            mounts: Some(vec![Mount {
                typ: Some(MountType::VOLUME),
                source: Some(self.volume.clone()),
                target: Some(HOME.to_owned()),
                ..Default::default()
            }]),
            tmpfs: Some(HashMap::from([("/tmp".to_owned(), TMP.to_owned())])),
            port_bindings: Some(HashMap::from([(backend_port(), Some(vec![binding(engine)]))])),
            memory: limits.memory,
            memory_swap: limits.memory_swap,
            cpu_period: limits.cpu_period,
            cpu_quota: limits.cpu_quota,
            pids_limit: Some(PIDS),
            // Reaps what the instance's children leave behind.
            init: Some(true),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            log_config: Some(logs::limited()),
            ..Default::default()
        }
    }
}

/// Docker takes the first free port of a range at each start, and any free one for 0. A fixed port would make a start fail when
/// another program has taken it meanwhile.
fn binding(engine: &Engine) -> PortBinding {
    let host_port = engine.ports.map_or("0".to_owned(), |range| format!("{}-{}", range.first, range.last));
    PortBinding { host_ip: Some(engine.host.publish.to_string()), host_port: Some(host_port) }
}

/// Whether it is published where the settings say now: that may be another address than when it was made.
pub(super) fn is_published_here(engine: &Engine, found: &ContainerInspectResponse) -> bool {
    let bindings = found.host_config.as_ref().and_then(|config| config.port_bindings.as_ref());
    let bound = bindings.and_then(|bindings| bindings.get(&backend_port())?.as_ref());
    bound.is_some_and(|bound| *bound == [binding(engine)])
}

/// The published port as Docker writes it.
pub(crate) fn backend_port() -> String {
    format!("{}/tcp", network().instance.backend)
}
