//! What the module is configured with.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::{ErrorCode, InstallationId};
use provider_api::{BootSource, ProviderError, Result, Setting, Settings};
use url::Url;

use crate::declare::{TYPES, offered};
use crate::images::{is_exact, not_exact};

/// As references to images of an account begin.
pub(crate) const REGISTRY: &str = "registry.cloudflare.com";

pub(crate) const SETTINGS: [Setting; 14] = [
    Setting::required("apiToken", "an API token with Workers Scripts and Containers: Edit").secret(),
    Setting::required("accountId", "the account in which everything is made"),
    Setting::required("image", "the instance image in a registry that Cloudflare reads"),
    Setting::optional("instanceType", "the size of every instance").default("standard-1"),
    Setting::optional("maxInstances", "how many instances may run at once").default("50"),
    Setting::optional(
        "schedulingPolicy",
        "default, or durable_object: homes outlive a stop, and each workspace has an image and a size of its own",
    )
    .default("default"),
    Setting::optional("host", "the host name of the Worker, if it is not on workers.dev"),
    Setting::optional("apiUrl", "where Cloudflare's API is").default("https://api.cloudflare.com/client/v4"),
    Setting::optional("registry", "the registry of Cloudflare's accounts").default(REGISTRY),
    Setting::optional("workerUrl", "where the Worker is connected to, if not at its host name"),
    Setting::optional("timeout", "for how many seconds a call waits for what comes by itself").default("90"),
    Setting::optional("dnsZone", "a zone in which a record is kept, for example for the gateway"),
    Setting::optional("dnsName", "the name of that record, for example *.ws.example.com"),
    Setting::optional("dnsTarget", "the name that it points to"),
];

/// Who decides what a container begins with. It is chosen once for a container application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The application, for all: the disk ends with its container.
    Default,
    /// Each Durable Object at each start; and file systems can be kept.
    DurableObject,
}

impl Policy {
    /// As Cloudflare calls it.
    pub fn word(self) -> &'static str {
        match self {
            Policy::Default => "default",
            Policy::DurableObject => "durable_object",
        }
    }
}

/// The key that the orchestrator and the Worker share; whoever has it may change runtimes.
#[derive(Clone)]
pub struct ControlKey([u8; 32]);

impl ControlKey {
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As the Worker is given it.
    pub(crate) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl std::fmt::Debug for ControlKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ControlKey(...)")
    }
}

/// Whose installation it is, and what its Worker trusts.
#[derive(Debug, Clone)]
pub struct Identity {
    pub installation: InstallationId,
    pub control_key: ControlKey,
    /// base64url of the gateway's Ed25519 public key, as in the boot file.
    pub gateway_key: String,
}

/// Which account, and for whom.
#[derive(Clone)]
pub struct CloudflareConfig {
    pub settings: Settings,
    /// `None` where no server has begun yet; the module can be described all the same.
    pub identity: Option<Identity>,
    pub boot: Arc<dyn BootSource>,
    /// How long a call may take with all its attempts.
    pub timeout: Duration,
}

impl CloudflareConfig {
    pub const TIMEOUT: Duration = Duration::from_secs(90);

    /// As the operator gives it, or [`Self::TIMEOUT`]; refused if no call could keep it.
    pub fn timeout(settings: &Settings) -> Result<Duration> {
        let Some(text) = settings.get("timeout") else { return Ok(Self::TIMEOUT) };
        let seconds = text.parse().ok().filter(|seconds| (1..=600).contains(seconds));
        seconds.map(Duration::from_secs).ok_or_else(|| {
            settings.unusable("timeout", &format!("{text:?} is not a number of seconds from 1 to 600"))
        })
    }

    pub(crate) fn identity(&self) -> Result<&Identity> {
        self.identity.as_ref().ok_or_else(|| {
            let message = "the provider cloudflare has no keys in the data folder yet";
            ProviderError::new(ErrorCode::ProviderNotConfigured, message)
                .with_action("Start `pilot serve` once with this data folder: it makes them.")
        })
    }

    pub(crate) fn installation(&self) -> Result<&InstallationId> {
        self.identity().map(|identity| &identity.installation)
    }

    pub(crate) fn account(&self) -> Result<&str> {
        self.settings.require("accountId")
    }

    /// Where images of the account are.
    pub(crate) fn registry(&self) -> &str {
        self.settings.get("registry").unwrap_or(REGISTRY)
    }

    pub(crate) fn setting(&self, name: &str) -> &str {
        self.settings.get(name).unwrap_or_default()
    }

    fn unusable(&self, name: &str, expected: &str) -> ProviderError {
        self.settings.unusable(name, &format!("{:?} is not {expected}", self.setting(name)))
    }

    /// The script and everything else of the installation has this name.
    pub(crate) fn script(&self) -> Result<String> {
        self.installation().map(script)
    }

    pub(crate) fn max_instances(&self) -> Result<u64> {
        let text = self.setting("maxInstances");
        text.parse()
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| self.unusable("maxInstances", "a number above 0"))
    }

    /// The default one where the setting says nothing that is known: [`check`] refuses that.
    pub(crate) fn policy(&self) -> Policy {
        match self.setting("schedulingPolicy") == Policy::DurableObject.word() {
            true => Policy::DurableObject,
            false => Policy::Default,
        }
    }

    pub(crate) fn instance_type(&self) -> Result<&str> {
        let name = self.setting("instanceType");
        let known = TYPES.iter().any(|each| each.name == name);
        if known {
            Ok(name)
        } else {
            Err(self.unusable("instanceType", "the name of one of Cloudflare's sizes"))
        }
    }

    pub(crate) fn url(&self, name: &'static str) -> Result<Url> {
        Url::parse(self.setting(name))
            .map_err(|_| self.unusable(name, "an address such as https://example.com"))
    }
}

pub(crate) fn script(installation: &InstallationId) -> String {
    format!("pilot-{installation}")
}

/// What is missing or cannot be meant, before anything is asked.
pub(crate) fn check(config: &CloudflareConfig) -> Result<()> {
    config.settings.require("apiToken")?;
    config.account()?;
    let image = config.settings.require("image")?;
    config.max_instances()?;
    let size = config.instance_type()?;
    match config.policy() {
        Policy::Default if config.setting("schedulingPolicy") != Policy::Default.word() => {
            return Err(config.unusable("schedulingPolicy", "default or durable_object"));
        }
        Policy::Default => {}
        Policy::DurableObject if !is_exact(config, image) => return Err(not_exact(image)),
        Policy::DurableObject if !offered(Policy::DurableObject).any(|each| each.name == size) => {
            return Err(config.unusable("instanceType", "a size that can be chosen at a start"));
        }
        Policy::DurableObject => {}
    }
    if config.settings.get("host").is_some_and(|host| !is_exact_name(host)) {
        let expected =
            "one whole host name; Cloudflare gives a custom domain no wildcard, and no certificate for one";
        return Err(config.unusable("host", expected));
    }
    config.url("apiUrl").map(drop)
}

fn is_exact_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(known)
    };
    host.contains('.') && host.split('.').all(is_label)
}
