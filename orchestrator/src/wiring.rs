//! The only file that names concrete providers.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::network::{PortRange, network};
use contracts::{ErrorCode, Problem, ProviderName};
use provider_api::{BootSource, NoLogins, Provider, RegistryLogins, Setting, Settings};
use provider_cloudflare::{CloudflareConfig, CloudflareProvider, ControlKey, Identity};
use provider_docker::{DockerConfig, DockerEnv, DockerProvider};
use provider_fly::FlyProvider;
use provider_kit::logins::{self, DockerLogins};
use provider_local::{LocalConfig, LocalProvider};

use crate::data::Layout;
use crate::measured::Measured;
use crate::store::WorkspaceRow;
use crate::tools::ToolPaths;

/// The tag of the instance image; `cargo xtask image` builds it.
pub const INSTANCE_IMAGE: &str = concat!("pilot-instance:", env!("CARGO_PKG_VERSION"));

/// What the provider modules are made from.
#[derive(Debug, Clone, Default)]
pub struct ProviderSettings {
    /// A Docker engine other than the one that `docker` would ask.
    pub docker_host: Option<String>,
    /// An instance image other than [`INSTANCE_IMAGE`].
    pub image: Option<String>,
    /// Host ports of instances other than those of `NETWORK.yml`.
    pub instance_ports: Option<PortRange>,
    /// From where the settings that modules declare are read.
    pub variables: Variables,
}

impl ProviderSettings {
    /// What another program needs to have the same providers, but for values that are secret.
    pub fn exported(&self) -> Vec<(String, String)> {
        let own = [
            ("PILOT_DOCKER_HOST", self.docker_engine()),
            ("PILOT_IMAGE", self.image.clone()),
            (logins::VARIABLE, self.variables.0.get(logins::VARIABLE).cloned()),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let cloudflare = CloudflareProvider::settings();
        let modules: [(&str, &[Setting]); 4] = [
            ("docker", provider_docker::SETTINGS),
            ("fly", &provider_fly::SETTINGS),
            ("cloudflare", &cloudflare),
            ("fake", provider_fake::SETTINGS),
        ];
        let of_modules = modules.into_iter().flat_map(|(name, known)| self.variables.open(name, known));
        own.chain(of_modules).collect()
    }

    /// The one Docker engine that is used, so that another program does not find another in its environment. None where
    /// hosts are named, and where it cannot be known.
    fn docker_engine(&self) -> Option<String> {
        let settings = self.variables.settings("docker", provider_docker::SETTINGS).ok()?;
        if settings.get("hosts").is_some() {
            return None;
        }
        self.variables.env().address(self.docker_host.as_deref()).ok()
    }
}

/// `PILOT_*` of an environment, credentials among them, and what `docker` would look at.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Read once, at a program's edge.
    pub fn of_this_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let counts = |name: &str| name.starts_with("PILOT_") || DockerEnv::VARIABLES.contains(&name);
        Self(variables.filter(|(name, _)| counts(name)).collect())
    }

    /// These, with others over them. A value that is given outright wins over a file that holds one.
    pub fn with(&self, others: &BTreeMap<String, String>) -> Self {
        let named = |name: &str| name.strip_suffix("_FILE").is_some_and(|name| others.contains_key(name));
        let kept = self.0.iter().filter(|(name, _)| !named(name));
        Self(kept.chain(others).map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

impl Variables {
    fn env(&self) -> DockerEnv {
        DockerEnv::read(|name| self.0.get(name).cloned())
    }

    /// Those of registries, in a file of the operator's.
    fn logins(&self) -> Arc<dyn RegistryLogins> {
        match self.0.get(logins::VARIABLE).filter(|path| !path.is_empty()) {
            Some(path) => Arc::new(DockerLogins::new(path)),
            None => Arc::new(NoLogins),
        }
    }

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

impl Variables {
    /// Those of a module that hold no secret. The path of a file that holds one is none.
    fn open(&self, provider: &str, known: &[Setting]) -> Vec<(String, String)> {
        let Ok(name) = provider.parse::<ProviderName>() else { return Vec::new() };
        let variables = known.iter().flat_map(|setting| {
            let variable = setting.variable(&name);
            let file = format!("{variable}_FILE");
            [Some(variable).filter(|_| !setting.secret), Some(file)]
        });
        let given = |variable: String| {
            self.0.get_key_value(&variable).map(|(key, value)| (key.clone(), value.clone()))
        };
        variables.flatten().filter_map(given).collect()
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
        let given = |name: &'static str, known: &[Setting]| settings.variables.settings(name, known);
        let (hosts, fly) =
            (given("docker", provider_docker::SETTINGS)?, given("fly", &provider_fly::SETTINGS)?);
        // What is given and cannot be meant is told at the start, and not by the first create.
        provider_fly::check(&fly).map_err(crate::engine::provider_problem)?;
        provider_docker::check(&hosts, settings.docker_host.as_deref())
            .map_err(crate::engine::provider_problem)?;
        let cloudflare = given("cloudflare", &CloudflareProvider::settings())?;
        let timeout = CloudflareConfig::timeout(&cloudflare).map_err(crate::engine::provider_problem)?;
        let docker = Arc::new(DockerProvider::new(DockerConfig {
            host: settings.docker_host.clone(),
            env: settings.variables.env(),
            settings: hosts,
            image: settings.image.clone().unwrap_or_else(|| INSTANCE_IMAGE.to_owned()),
            boot: Arc::clone(&boot),
            logins: settings.variables.logins(),
            publish: std::net::Ipv4Addr::LOCALHOST.into(),
            ports: Some(settings.instance_ports.unwrap_or(network().host.instances)),
        }));
        let modules: Vec<Arc<dyn Provider>> = vec![
            local,
            docker,
            Arc::new(FlyProvider::new(fly, boot.clone())),
            Arc::new(CloudflareProvider::new(CloudflareConfig {
                settings: cloudflare,
                identity: identity(layout),
                boot: boot.clone(),
                timeout,
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
        let measured = |provider| -> (ProviderName, Arc<dyn Provider>) {
            let measured = Measured::new(provider);
            (measured.name().clone(), Arc::new(measured))
        };
        Self(providers.into_iter().map(measured).collect())
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

    /// Those whose runtimes several orchestrators reach.
    pub fn shared(self) -> Self {
        Self(self.0.into_iter().filter(|(_, provider)| provider.is_shared()).collect())
    }

    /// That of a create that names none.
    pub fn default(&self, named: Option<&str>) -> Result<ProviderName, Problem> {
        if let Some(name) = named {
            return Ok(self.get(name)?.describe().name);
        }
        let names = ["local", "docker"].into_iter().chain(self.0.keys().map(ProviderName::as_str));
        names.flat_map(|name| self.get(name).ok()).map(|provider| provider.describe().name).next().ok_or_else(
            || {
                Problem::new(ErrorCode::UnknownProvider, "No provider is offered.")
                    .with_action("Name one with `--providers`.")
            },
        )
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

    /// That of a workspace. No other will do.
    pub fn serving(&self, row: &WorkspaceRow) -> Result<&Arc<dyn Provider>, Problem> {
        self.get(row.provider.as_str()).map_err(|_| {
            let detail = format!("This server does not offer the provider {} of {}.", row.provider, row.slug);
            Problem::new(ErrorCode::UnknownProvider, detail).with_action(format!(
                "Start the server with it; nothing of the workspace is lost. If the provider is gone for good, `pilot ws rm \
                 --forget {}` releases the workspace and says what may be left.",
                row.slug
            ))
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::DataFolderBoot;

    fn given(variables: &[(&str, &str)]) -> ProviderSettings {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        ProviderSettings {
            docker_host: Some("unix:///run/user/1000/docker.sock".to_owned()),
            variables: variables.collect(),
            ..ProviderSettings::default()
        }
    }

    #[test]
    fn another_program_gets_every_setting_but_the_secrets() {
        let settings = given(&[
            ("PILOT_DOCKER_SUBNETS", "10.213.0.0/16"),
            ("PILOT_FLY_API_TOKEN", "canary-3f1"),
            ("PILOT_CLOUDFLARE_API_TOKEN_FILE", "/run/secrets/cloudflare"),
            ("PILOT_REGISTRY_AUTH_FILE", "/run/secrets/registries.json"),
            ("PILOT_LOG", "debug"),
        ]);
        let exported = settings.exported();
        let names: Vec<&str> = exported.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "PILOT_DOCKER_HOST",
            "PILOT_REGISTRY_AUTH_FILE",
            "PILOT_DOCKER_SUBNETS",
            "PILOT_CLOUDFLARE_API_TOKEN_FILE",
        ];
        assert_eq!(names, expected);
        assert!(!format!("{exported:?}").contains("canary-3f1"));
    }

    #[test]
    fn settings_that_cannot_be_meant_end_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { root: folder.path().to_owned() };
        let boot = Arc::new(DataFolderBoot::new(layout.clone(), None));
        let far = Some("tcp://10.0.0.5:2376".to_owned());
        for (docker_host, hosts, said) in [
            (None, "x=bad", "x:"),
            (given(&[]).docker_host, "x=unix:///x", "one Docker engine as well"),
            (far, "", "\"tcp://10.0.0.5:2376\" (--docker-host or PILOT_DOCKER_HOST)"),
        ] {
            let settings = ProviderSettings { docker_host, ..given(&[("PILOT_DOCKER_HOSTS", hosts)]) };
            let built = Providers::build(&layout, &ToolPaths::default(), &settings, boot.clone());
            let problem = built.err().unwrap();
            assert_eq!(problem.code, ErrorCode::ProviderNotConfigured);
            assert!(problem.detail.contains(said), "{problem}");
        }
        for (name, value, said) in [
            ("PILOT_FLY_REACH", "internal", "use flycast"),
            ("PILOT_CLOUDFLARE_TIMEOUT", "0", "from 1 to 600"),
        ] {
            let built =
                Providers::build(&layout, &ToolPaths::default(), &given(&[(name, value)]), boot.clone());
            assert!(built.err().unwrap().detail.contains(said), "an answer that leads nowhere");
        }
    }

    #[test]
    fn another_program_is_told_which_docker_engine_was_found_and_finds_no_other() {
        let engine = |settings: ProviderSettings| {
            settings
                .exported()
                .into_iter()
                .find(|(name, _)| name == "PILOT_DOCKER_HOST")
                .map(|(_, value)| value)
        };
        let found = |variables| ProviderSettings { docker_host: None, ..given(variables) };
        let ambient = [("DOCKER_HOST", "unix:///run/other.sock"), ("PILOT_DOCKER_HOSTS", "x=unix:///x")];
        assert_eq!(engine(given(&ambient[..1])).as_deref(), Some("unix:///run/user/1000/docker.sock"));
        assert_eq!(engine(found(&ambient[..1])).as_deref(), Some("unix:///run/other.sock"));
        assert_eq!(engine(found(&[])).as_deref(), Some("unix:///var/run/docker.sock"));
        assert_eq!(engine(found(&ambient)), None, "hosts that are named leave nothing to be found");
    }
}
