//! The resources of an installation and of one runtime, as plain values, and the sizes. Pure.

use contracts::updates::{Change, Updates};
use contracts::workspace::Size;
use contracts::{InstallationId, ProviderName};
use provider_api::{Declaration, Declared, Expr, Result, RuntimeSpec};
use provider_kit::inputs::DeclarationExt;
use provider_kit::offer;

use crate::config::{CloudflareConfig, Policy, script};
use crate::sign::fingerprint;
use crate::worker::bundle;

pub(crate) const WORKER: &str = "pilot:cloudflare:Worker";
pub(crate) const APPLICATION: &str = "pilot:cloudflare:Application";
pub(crate) const DNS_RECORD: &str = "pilot:cloudflare:DnsRecord";
pub(crate) const HOME: &str = "pilot:cloudflare:Home";
pub(crate) const RUNTIME: &str = "pilot:cloudflare:Runtime";

/// A size that Cloudflare names.
pub(crate) struct InstanceType {
    pub name: &'static str,
    pub cpu_millis: u32,
    pub memory_mib: u32,
    disk_gb: u32,
}

impl InstanceType {
    /// Cloudflare's GB are powers of ten.
    fn disk_mib(&self) -> u32 {
        u32::try_from((u64::from(self.disk_gb) * 1_000_000_000) >> 20).unwrap_or(u32::MAX)
    }
}

pub(crate) const TYPES: [InstanceType; 6] = [
    InstanceType { name: "lite", cpu_millis: 62, memory_mib: 256, disk_gb: 2 },
    InstanceType { name: "basic", cpu_millis: 250, memory_mib: 1024, disk_gb: 4 },
    InstanceType { name: "standard-1", cpu_millis: 500, memory_mib: 4096, disk_gb: 8 },
    InstanceType { name: "standard-2", cpu_millis: 1000, memory_mib: 6144, disk_gb: 12 },
    InstanceType { name: "standard-3", cpu_millis: 2000, memory_mib: 8192, disk_gb: 16 },
    InstanceType { name: "standard-4", cpu_millis: 4000, memory_mib: 12_288, disk_gb: 20 },
];

/// For an hour of a whole CPU that is never idle, of a GiB of memory, of a GB of disk.
const CPU_MICRO_USD: u32 = 72_000;
const MEMORY_MICRO_USD: u32 = 9_000;
const DISK_MICRO_USD: u32 = 252;

pub(crate) const NAME: ProviderName = ProviderName::constant("cloudflare");

/// What can be made with this policy: at a start Cloudflare knows no `basic`.
pub(crate) fn offered(policy: Policy) -> impl Iterator<Item = &'static InstanceType> {
    TYPES.iter().filter(move |each| policy == Policy::Default || each.name != "basic")
}

/// One where all instances share an application, which has one size: another is another setting. Where each start chooses,
/// all of them, and first that of the setting.
pub(crate) fn sizes(config: &CloudflareConfig) -> Vec<Size> {
    let chosen = config.setting("instanceType");
    let size = |each: &InstanceType| Size {
        name: each.name.to_owned(),
        memory_mib: Some(each.memory_mib),
        cpu_millis: Some(each.cpu_millis),
        disk_mib: Some(each.disk_mib()),
        hourly_micro_usd: Some(
            each.cpu_millis * CPU_MICRO_USD / 1000
                + each.memory_mib * MEMORY_MICRO_USD / 1024
                + each.disk_gb * DISK_MICRO_USD,
        ),
    };
    let mut sizes: Vec<Size> = offered(config.policy()).map(size).collect();
    match config.policy() {
        Policy::Default => sizes.retain(|size| size.name == chosen),
        Policy::DurableObject => sizes.sort_by_key(|size| size.name != chosen),
    }
    sizes
}

pub(crate) fn updates(config: &CloudflareConfig) -> Updates {
    match config.policy() {
        Policy::Default => Updates { image: Change::ForAll, size: Change::Fixed },
        Policy::DurableObject => Updates { image: Change::NewInstance, size: Change::Reboot },
    }
}

pub(crate) fn declare(config: &CloudflareConfig, runtime: &RuntimeSpec) -> Result<Declared> {
    // One that was made when instances had another size is told by that, and stays.
    offer::size(&NAME, &TYPES, |each| each.name, &runtime.size).map_err(|error| {
        let set = config.setting("instanceType");
        error.with_action(format!("Use {set}, or change the setting instanceType for all instances."))
    })?;
    offer::region(&NAME, &[], runtime.region.as_deref()).map_err(|error| {
        error.with_action("Leave the region out: Cloudflare runs an instance near its first request.")
    })?;
    let mut instance = Declaration::new("instance", RUNTIME)
        .owned_by(runtime)
        .input("size", runtime.size.as_str())
        .git_of(runtime)
        .delete_before_replace();
    let mut resources = Vec::new();
    if config.policy() == Policy::DurableObject {
        let image = match &runtime.image {
            Some(image) => image.exact(),
            None => config.settings.require("image")?,
        };
        resources.push(Declaration::new("home", HOME).owned_by(runtime).delete_before_replace().protected());
        instance = instance.input("image", image).input("home", Expr::output("home", "homeId"));
    }
    resources.push(instance);
    Ok(Declared {
        resources,
        outputs: [
            ("host".to_owned(), Expr::output("instance", "host")),
            ("runtimeId".to_owned(), runtime.runtime_id.as_str().into()),
        ]
        .into(),
    })
}

/// The Worker, its container application, and a DNS record if one is set.
pub(crate) fn shared(config: &CloudflareConfig, installation: &InstallationId) -> Result<Declared> {
    let (script, identity) = (script(installation), config.identity()?);
    let worker = Declaration::new("worker", WORKER)
        .input("script", script.as_str())
        .input("installation", installation.as_str())
        .input("version", bundle::version())
        .input("keys", fingerprint(&identity.control_key, &identity.gateway_key))
        .delete_before_replace();
    let application = Declaration::new("application", APPLICATION)
        .input("name", script.as_str())
        .input("installation", installation.as_str())
        .input("namespaceId", Expr::output("worker", "namespaceId"))
        .delete_before_replace();
    let application = match config.policy() {
        Policy::Default => application
            .input("image", config.settings.require("image")?)
            .input("instanceType", config.instance_type()?)
            .input("maxInstances", config.max_instances()?),
        Policy::DurableObject => application.input("schedulingPolicy", Policy::DurableObject.word()),
    };
    let mut resources = vec![worker, application];
    let record = ["dnsZone", "dnsName", "dnsTarget"].map(|name| config.settings.get(name));
    if let [Some(zone), Some(name), Some(target)] = record {
        resources.push(
            Declaration::new("record", DNS_RECORD)
                .input("zone", zone)
                .input("name", name)
                .input("type", "CNAME")
                .input("content", target)
                .input("installation", installation.as_str())
                .delete_before_replace(),
        );
    }
    Ok(Declared { resources, outputs: [("host".to_owned(), Expr::output("worker", "host"))].into() })
}

#[cfg(test)]
#[path = "declare_tests.rs"]
mod tests;
