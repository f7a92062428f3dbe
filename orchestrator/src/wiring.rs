//! The only file that names concrete providers.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::network::{PortRange, network};
use contracts::{ErrorCode, Problem, ProviderName};
use provider_api::{BootSource, Provider, Setting, Settings};
use provider_cloudflare::{CloudflareConfig, CloudflareProvider, ControlKey, Identity};
use provider_docker::{DockerConfig, DockerProvider};
use provider_fly::FlyProvider;
use provider_local::{LocalConfig, LocalProvider};

use crate::data::Layout;
use crate::tools::ToolPaths;

/// The tag of the instance image; `cargo xtask image` builds it.
pub const INSTANCE_IMAGE: &str = concat!("pilot-instance:", env!("CARGO_PKG_VERSION"));

/// What the provider modules are made from.
#[derive(Debug, Clone, Default)]
pub struct ProviderSettings {
    /// A Docker host other than the local socket.
    pub docker_host: Option<String>,
    /// An instance image other than [`INSTANCE_IMAGE`].
    pub image: Option<String>,
    /// Host ports of instances other than those of `NETWORK.yml`.
    pub instance_ports: Option<PortRange>,
    /// From where the settings that modules declare are read.
    pub variables: Variables,
}

/// `PILOT_*` of an environment, credentials among them.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Read once, at a program's edge.
    pub fn of_this_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(variables.filter(|(name, _)| name.starts_with("PILOT_")).collect())
    }

    /// These, with others over them. A value that is given outright wins over a file that holds one.
    pub fn with(&self, others: &BTreeMap<String, String>) -> Self {
        let named = |name: &str| name.strip_suffix("_FILE").is_some_and(|name| others.contains_key(name));
        let kept = self.0.iter().filter(|(name, _)| !named(name));
        Self(kept.chain(others).map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

impl Variables {
    /// What an operator has set of what a module knows. All problems are told together.
    fn settings(&self, provider: &str, known: &[Setting]) -> Result<Settings, Problem> {
        let refuse = |detail| {
            Problem::new(ErrorCode::ProviderNotConfigured, detail)
                .with_action("Correct the environment of this program and start it again.")
        };
        let name: ProviderName = provider.parse().map_err(|error| refuse(format!("{error}.")))?;
        Settings::read(&name, known, |variable| self.0.get(variable).cloned()).map_err(|problems| {
            let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
            refuse(format!("Settings of the provider {name} cannot be read: {}.", texts.join("; ")))
        })
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The provider modules of this installation by name.
#[derive(Clone)]
pub struct Providers(BTreeMap<ProviderName, Arc<dyn Provider>>);

impl Providers {
    /// Every module. Fails when settings are given and cannot be read; what is missing is told by a module
    /// when somebody wants to use it.
    pub fn build(
        layout: &Layout,
        tools: &ToolPaths,
        settings: &ProviderSettings,
        boot: Arc<dyn BootSource>,
    ) -> Result<Self, Problem> {
        let local = Arc::new(LocalProvider::new(LocalConfig {
            root: layout.local(),
            instance_binary: tools.instance(),
            opencode_binary: tools.opencode(),
            ports: settings.instance_ports.unwrap_or(network().host.instances),
            boot: Arc::clone(&boot),
        }));
        let given = |name, known| settings.variables.settings(name, known);
        let docker = Arc::new(DockerProvider::new(DockerConfig {
            host: settings.docker_host.clone(),
            settings: given("docker", provider_docker::SETTINGS)?,
            image: settings.image.clone().unwrap_or_else(|| INSTANCE_IMAGE.to_owned()),
            boot: Arc::clone(&boot),
            publish: std::net::Ipv4Addr::LOCALHOST.into(),
            ports: Some(settings.instance_ports.unwrap_or(network().host.instances)),
        }));
        let modules: Vec<Arc<dyn Provider>> = vec![
            local,
            docker,
            Arc::new(FlyProvider::new(given("fly", &provider_fly::SETTINGS)?, boot.clone())),
            Arc::new(CloudflareProvider::new(CloudflareConfig {
                settings: given("cloudflare", &CloudflareProvider::settings())?,
                identity: identity(layout),
                boot: boot.clone(),
                patience: CloudflareConfig::PATIENCE,
            })),
            Arc::new(provider_fake::FakeProvider::new(
                &given("fake", provider_fake::SETTINGS)?,
                boot.clone(),
            )),
            // `pilot provider new` adds a module above this line.
        ];
        Ok(Self::of(modules))
    }

    pub fn of(providers: impl IntoIterator<Item = Arc<dyn Provider>>) -> Self {
        Self(providers.into_iter().map(|provider| (provider.describe().name, provider)).collect())
    }

    /// Those of these names; all when there are none.
    pub fn only(self, names: &[String]) -> Result<Self, Problem> {
        for name in names {
            self.get(name)?;
        }
        let keep =
            |name: &ProviderName| names.is_empty() || names.iter().any(|wanted| wanted == name.as_str());
        Ok(Self(self.0.into_iter().filter(|(name, _)| keep(name)).collect()))
    }

    pub fn get(&self, name: &str) -> Result<&Arc<dyn Provider>, Problem> {
        self.0.iter().find(|(known, _)| known.as_str() == name).map(|(_, provider)| provider).ok_or_else(
            || {
                let known: Vec<&str> = self.0.keys().map(ProviderName::as_str).collect();
                Problem::new(ErrorCode::UnknownProvider, format!("There is no provider {name:?}."))
                    .with_action(format!("Use one of: {}.", known.join(", ")))
            },
        )
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.0.values()
    }
}

/// Who this installation is to its Worker; nobody before the folder's first server.
fn identity(layout: &Layout) -> Option<Identity> {
    let key = URL_SAFE_NO_PAD.decode(layout.read_secret("control-key")?).ok()?;
    Some(Identity {
        installation: layout.read_secret("installation")?.parse().ok()?,
        control_key: ControlKey::new(key.try_into().ok()?),
        gateway_key: layout.read_secret("assertion-public-key")?,
    })
}
