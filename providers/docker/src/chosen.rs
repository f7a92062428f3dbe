//! The one engine of an installation without hosts: found as `docker` finds it, so that both mean the same.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use contracts::ErrorCode;
use provider_api::{ProviderError, Result};
use serde::Deserialize;

use crate::settings::{Address, Host};

const DEFAULT: &str = "unix:///var/run/docker.sock";
/// The context that is none: its engine is the default one.
const NO_CONTEXT: &str = "default";

/// What `docker` looks at to find its engine.
#[derive(Debug, Clone, Default)]
pub struct DockerEnv {
    host: Option<String>,
    context: Option<String>,
    /// Where `docker` keeps its settings and contexts.
    folder: Option<PathBuf>,
}

impl DockerEnv {
    /// The variables of the environment that count.
    pub const VARIABLES: [&str; 4] = ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "HOME"];

    /// Of an environment. Empty variables are none, as for `docker`.
    pub fn read(var: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name: &str| var(name).filter(|value| !value.is_empty());
        let own = || given("HOME").map(|home| Path::new(&home).join(".docker"));
        let folder = given("DOCKER_CONFIG").map(PathBuf::from).or_else(own);
        Self { host: given("DOCKER_HOST"), context: given("DOCKER_CONTEXT"), folder }
    }

    /// The engine's address: `named` if there is one, else that of `DOCKER_HOST`, of `DOCKER_CONTEXT`, of the
    /// current context, or Docker's default. Fails for a context that cannot be read.
    pub fn address(&self, named: Option<&str>) -> Result<String> {
        self.choose(named).map(|chosen| chosen.address)
    }

    pub(crate) fn choose(&self, named: Option<&str>) -> Result<Chosen> {
        if let Some(named) = named {
            return Ok(Chosen::named(named));
        }
        if let Some(host) = &self.host {
            return Ok(Chosen::new(host, "DOCKER_HOST", "set DOCKER_HOST to it"));
        }
        let (context, origin) = match (&self.context, self.current()) {
            (Some(context), _) => (context.clone(), "DOCKER_CONTEXT".to_owned()),
            (None, Ok(Some((context, file)))) => (context, file),
            (None, Ok(None)) => return Ok(Chosen::default_of("Docker's default")),
            // `docker` warns and goes on as if there were no file.
            (None, Err(why)) => return Ok(Chosen::default_of(&format!("Docker's default, because {why}"))),
        };
        if context == NO_CONTEXT {
            return Ok(Chosen::default_of(&format!("the context `{context}` of {origin}")));
        }
        self.of_context(&context, &origin)
    }

    /// The current context of `docker`'s settings, and where that is said.
    fn current(&self) -> std::result::Result<Option<(String, String)>, String> {
        #[derive(Deserialize)]
        struct Config {
            #[serde(rename = "currentContext", default)]
            current: String,
        }
        let Some(folder) = &self.folder else { return Ok(None) };
        let file = folder.join("config.json");
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{} cannot be read ({error})", file.display())),
        };
        let config: Config = serde_json::from_slice(&text)
            .map_err(|error| format!("{} cannot be read ({error})", file.display()))?;
        Ok(Some((config.current, file.display().to_string())).filter(|(current, _)| !current.is_empty()))
    }

    /// What `docker context create` has stored.
    fn of_context(&self, name: &str, origin: &str) -> Result<Chosen> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Meta {
            endpoints: Endpoints,
        }
        #[derive(Deserialize)]
        struct Endpoints {
            docker: Endpoint,
        }
        #[derive(Deserialize)]
        struct Endpoint {
            #[serde(rename = "Host")]
            host: String,
        }
        let id: String =
            digest(&SHA256, name.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let contexts = self.folder.clone().unwrap_or_default().join("contexts");
        let file = contexts.join("meta").join(&id).join("meta.json");
        let read = std::fs::read(&file).map_err(|error| error.to_string());
        let meta =
            read.and_then(|text| serde_json::from_slice::<Meta>(&text).map_err(|error| error.to_string()));
        let meta = meta.map_err(|why| {
            let reason =
                format!("the Docker context {name:?} of {origin} cannot be used: {}: {why}", file.display());
            ProviderError::new(ErrorCode::ProviderNotConfigured, reason).with_action(
                "`docker context ls` lists those that there are. Choose one, and start Pilot again.",
            )
        })?;
        let tls = contexts.join("tls").join(&id).join("docker");
        Ok(Chosen {
            tls: tls.is_dir().then_some(tls),
            ..Chosen::new(
                &meta.endpoints.docker.host,
                &format!("the context `{name}` of {origin}"),
                "choose it with `docker context use NAME` and start Pilot again",
            )
        })
    }
}

/// An engine, and why this one: errors say both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub address: String,
    why: String,
    other: String,
    /// A folder with a context's certificates.
    tls: Option<PathBuf>,
}

impl std::fmt::Display for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.address, self.why)
    }
}

impl Chosen {
    /// The one that is named to Pilot itself.
    pub fn named(address: &str) -> Self {
        Self::new(address, "--docker-host or PILOT_DOCKER_HOST", "name it there")
    }

    fn default_of(why: &str) -> Self {
        Self::new(DEFAULT, why, "set DOCKER_HOST to it, or choose a Docker context, and start Pilot again")
    }

    fn new(address: &str, why: &str, other: &str) -> Self {
        Self { address: address.to_owned(), why: why.to_owned(), other: other.to_owned(), tls: None }
    }

    /// As a host. Only an engine of this machine can be the one host: of others nobody has said where their instances
    /// are reached.
    pub fn host(&self, publish: IpAddr) -> Result<Host> {
        let Self { address, why, .. } = self;
        if let Some(path) = address.strip_prefix("unix://").or(address.starts_with('/').then_some(address)) {
            return Ok(Host { name: "local".to_owned(), address: Address::Unix(path.to_owned()), publish });
        }
        if !["tcp://", "ssh://"].iter().any(|scheme| address.starts_with(scheme)) {
            let reason = format!("{address:?} ({why}) is no address of a Docker engine that Pilot can use");
            return Err(ProviderError::new(ErrorCode::ProviderNotConfigured, reason).with_action(
                "An engine of this machine is unix:///path/to/docker.sock; one of another is a host, tcp://HOST:PORT or \
                 ssh://USER@HOST in PILOT_DOCKER_HOSTS. docs/providers/docker.md has the settings.",
            ));
        }
        let tls = self.tls.as_ref().map(|folder| format!(" PILOT_DOCKER_TLS={}", folder.display()));
        let reason = format!(
            "{address:?} ({why}) is not an address of the form unix:///path/to/docker.sock, and where instances of an \
             engine elsewhere are reached is not known"
        );
        Err(ProviderError::new(ErrorCode::ProviderNotConfigured, reason).with_action(format!(
            "Name it as a host and start Pilot again: PILOT_DOCKER_HOSTS=far={address} \
             PILOT_DOCKER_PUBLISH=far=ADDRESS{}. docs/providers/docker.md has the settings.",
            tls.unwrap_or_default()
        )))
    }

    /// An error with which engine was asked, and what to do if another is meant.
    pub fn name(&self, error: ProviderError) -> ProviderError {
        if ![ErrorCode::DockerUnavailable, ErrorCode::ProviderTimeout].contains(&error.code) {
            return error;
        }
        let message = format!("{} (asked was {self})", error.message);
        let action = error.action.clone().unwrap_or_default();
        let action = format!("{action} If another engine is meant, {}.", self.other);
        ProviderError { message, ..error }.with_action(action.trim_start().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home(tempfile::TempDir);

    impl Home {
        fn new(config: Option<&str>, contexts: &[(&str, &str)]) -> Self {
            let home = tempfile::tempdir().unwrap();
            let folder = home.path().join(".docker");
            for (id, meta) in contexts {
                let folder = folder.join("contexts/meta").join(id);
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join("meta.json"), meta).unwrap();
            }
            std::fs::create_dir_all(&folder).unwrap();
            if let Some(config) = config {
                std::fs::write(folder.join("config.json"), config).unwrap();
            }
            Self(home)
        }

        fn env(&self, variables: &[(&str, &str)]) -> DockerEnv {
            let home = self.0.path().to_str().unwrap();
            let all = [&[("HOME", home)], variables].concat();
            let var = |name: &str| {
                all.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            DockerEnv::read(var)
        }
    }

    /// As `docker context create ctx1` stores it.
    const CTX1: (&str, &str) = (
        "8f9d61fac39402898f831bfec31c774438bb77be6a0cbd47c83cf53d31858372",
        r#"{"Name":"ctx1","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///one.sock","SkipTLSVerify":false}}}"#,
    );
    const CURRENT: Option<&str> = Some(r#"{ "auths": {}, "currentContext": "ctx1" }"#);

    #[test]
    fn the_engine_is_the_one_that_docker_would_ask() {
        let home = Home::new(CURRENT, &[CTX1]);
        for (named, variables, address, why) in [
            (Some("unix:///flag"), &[("DOCKER_HOST", "unix:///env")][..], "unix:///flag", "--docker-host"),
            (None, &[("DOCKER_HOST", "unix:///env"), ("DOCKER_CONTEXT", "x")], "unix:///env", "DOCKER_HOST"),
            (None, &[("DOCKER_CONTEXT", "ctx1")], "unix:///one.sock", "`ctx1` of DOCKER_CONTEXT"),
            (None, &[("DOCKER_CONTEXT", "default")], DEFAULT, "`default` of DOCKER_CONTEXT"),
            (None, &[("DOCKER_HOST", "")], "unix:///one.sock", "config.json"),
            (None, &[("DOCKER_CONFIG", "/nowhere")], DEFAULT, "Docker's default"),
        ] {
            let chosen = home.env(variables).choose(named).unwrap();
            assert_eq!(chosen.address, address, "{variables:?}");
            assert!(chosen.why.contains(why), "{chosen:?}");
        }
        let none = Home::new(Some(r#"{"auths":{}}"#), &[]).env(&[]);
        assert_eq!(none.address(None).unwrap(), DEFAULT);
        let broken = Home::new(Some("{"), &[]).env(&[]).choose(None).unwrap();
        assert_eq!(broken.address, DEFAULT);
        assert!(broken.why.contains("config.json cannot be read"), "{broken:?}");
    }

    #[test]
    fn a_context_that_cannot_be_used_is_refused_with_its_name_and_why_it_is_meant() {
        let gone = Home::new(CURRENT, &[]).env(&[]).choose(None).unwrap_err();
        let odd = Home::new(CURRENT, &[(CTX1.0, r#"{"Endpoints":{}}"#)]).env(&[]).choose(None).unwrap_err();
        for error in [gone, odd] {
            assert_eq!(error.code, ErrorCode::ProviderNotConfigured);
            assert!(error.message.contains("\"ctx1\"") && error.message.contains("config.json"), "{error}");
        }
    }

    #[test]
    fn an_engine_elsewhere_is_refused_with_the_settings_that_reach_it() {
        let far = r#"{"Endpoints":{"docker":{"Host":"tcp://10.0.0.5:2376"}}}"#;
        let home = Home::new(CURRENT, &[(CTX1.0, far)]);
        let tls = home.0.path().join(".docker/contexts/tls").join(CTX1.0).join("docker");
        std::fs::create_dir_all(&tls).unwrap();
        let error = home.env(&[]).choose(None).unwrap().host([127, 0, 0, 1].into()).unwrap_err();
        assert_eq!(error.code, ErrorCode::ProviderNotConfigured);
        let action = error.action.unwrap();
        assert!(action.contains("PILOT_DOCKER_HOSTS=far=tcp://10.0.0.5:2376"), "{action}");
        assert!(action.contains(&format!("PILOT_DOCKER_TLS={}", tls.display())), "{action}");
    }
    #[test]
    fn what_is_no_machines_address_is_refused_with_the_forms_that_are_taken() {
        for address in ["unix:/run/docker.sock", "fd://", "npipe:////./pipe/docker_engine", "docker.sock"] {
            let chosen = Home::new(None, &[]).env(&[("DOCKER_HOST", address)]).choose(None).unwrap();
            let error = chosen.host([127, 0, 0, 1].into()).unwrap_err();
            assert_eq!(error.code, ErrorCode::ProviderNotConfigured);
            assert!(error.message.contains(address) && error.message.contains("DOCKER_HOST"), "{error}");
            let action = error.action.unwrap();
            assert!(!action.contains("far="), "it is no host either: {action}");
            for form in ["unix:///", "tcp://HOST:PORT", "ssh://USER@HOST"] {
                assert!(action.contains(form), "{action}");
            }
        }
    }
}
