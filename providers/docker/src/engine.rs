//! The connection to one host's Docker engine: made at the first use, with a limit on every call.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ImageInspect;
use contracts::ErrorCode;
use contracts::network::PortRange;
use provider_api::{ProviderError, RegistryLogins, Result};
use provider_kit::image::registry;
use tokio::sync::OnceCell;

use crate::DockerConfig;
use crate::chosen::Chosen;
use crate::confine::{Confinement, GVISOR, OciRuntime};
use crate::doubled::look::Looks;
use crate::egress::{Closed, Egress};
use crate::failure::{Answer, Failure, classify, image_missing, timed_out};
use crate::settings::{self, Address, Host};
use crate::subnet::Pool;
use crate::{Timing, lasting, transport};

/// To look at one object takes milliseconds, and a second on a host that is short of everything.
const LOOK: Duration = Duration::from_secs(20);
/// So long nobody waits for a host again who does not need it.
const SILENT: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(2);
/// A handshake of `ssh` takes several round trips, and its server may look up names.
const CONNECT_BY_SSH: Duration = Duration::from_secs(8);

pub(crate) struct Engine {
    pub host: Host,
    /// Host ports to choose from.
    pub ports: Option<PortRange>,
    /// From which networks get their subnets.
    pub subnets: Option<Pool>,
    pub confinement: Confinement,
    /// What a home may hold.
    pub home_mib: Option<u32>,
    /// What its instances may send.
    pub egress: Egress,
    pub closed: Closed,
    pub timing: Timing,
    /// How it was found, when the operator has named no hosts.
    chosen: Option<Chosen>,
    client: OnceCell<Docker>,
    has_gvisor: OnceCell<bool>,
    /// When others had answered, and it had not.
    silent: Mutex<Option<Instant>>,
    /// Its processors, in OCI's words.
    pub built_for: OnceCell<String>,
    /// What instances are usually made from.
    pub image: String,
    /// At homes that are there more than once.
    pub looks: Looks,
    pub logins: Arc<dyn RegistryLogins>,
    /// Whether its id was ever the same twice.
    keeps_id: AtomicBool,
}

impl Engine {
    pub fn new(host: Host, chosen: Option<Chosen>, config: &DockerConfig, timing: Timing) -> Result<Self> {
        let settings = &config.settings;
        Ok(Self {
            host,
            ports: config.ports,
            subnets: settings::subnets(settings)?,
            confinement: Confinement::read(settings)?,
            home_mib: lasting::home_mib(settings)?,
            egress: Egress::read(settings, &config.image)?,
            closed: Closed::default(),
            timing,
            chosen,
            image: config.image.clone(),
            looks: Looks::default(),
            client: OnceCell::new(),
            has_gvisor: OnceCell::new(),
            silent: Mutex::default(),
            built_for: OnceCell::new(),
            logins: config.logins.clone(),
            keeps_id: AtomicBool::new(false),
        })
    }

    /// Whether it is one of the operator's hosts: there may be others.
    pub fn is_named(&self) -> bool {
        self.chosen.is_none()
    }

    /// A failed attempt is not remembered: the next call tries again.
    pub async fn docker(&self) -> Result<&Docker> {
        let connect = || async {
            let docker = transport::open(&self.host.address)?;
            // An older engine refuses a newer API version outright instead of falling back.
            let docker = within(self.timeout(), "connect", docker.negotiate_version()).await?;
            Ok::<_, ProviderError>(docker.with_timeout(self.timing.call))
        };
        self.client.get_or_try_init(connect).await.map_err(|error| self.name(error))
    }

    /// One call with a limit and a classified error. `doing` completes "cannot ...".
    pub async fn ask<T>(
        &self,
        doing: &str,
        call: impl Future<Output = std::result::Result<T, Error>>,
    ) -> Answer<T> {
        self.limited(self.timing.call, doing, call).await
    }

    /// The same for what only looks at one object.
    pub async fn look<T>(
        &self,
        doing: &str,
        call: impl Future<Output = std::result::Result<T, Error>>,
    ) -> Answer<T> {
        self.limited(LOOK, doing, call).await
    }

    /// The same for what takes as long as that has files which it removes.
    pub async fn remove<T, F>(&self, doing: &str, call: impl FnOnce(Docker) -> F) -> Answer<T>
    where
        F: Future<Output = std::result::Result<T, Error>>,
    {
        let limit = self.timing.removal;
        let docker = self.docker().await?.clone().with_timeout(limit);
        self.limited(limit, doing, call(docker)).await
    }

    async fn limited<T>(
        &self,
        limit: Duration,
        doing: &str,
        call: impl Future<Output = std::result::Result<T, Error>>,
    ) -> Answer<T> {
        within(limit, doing, call).await.map_err(|failure| match failure {
            Failure::Other(error) => Failure::Other(self.name(error)),
            other => other,
        })
    }

    /// For what is no call with an end, as a stream.
    pub fn failed(&self, doing: &str, error: &Error) -> ProviderError {
        self.name(classify(doing, error).into())
    }

    pub fn name(&self, error: ProviderError) -> ProviderError {
        match &self.chosen {
            None => ProviderError { message: format!("host {}: {}", self.host.name, error.message), ..error },
            Some(chosen) => chosen.name(error),
        }
    }

    /// Who it says it is, now; `None` where that is not the same twice.
    pub async fn id(&self) -> Result<Option<String>> {
        let ask = || async {
            let info = self.look("ask the engine who it is", self.docker().await?.info()).await?;
            Ok::<_, ProviderError>(info.id.filter(|id| !id.is_empty()))
        };
        let Some(id) = ask().await? else { return Ok(None) };
        if !self.keeps_id.load(Ordering::Relaxed) && ask().await?.as_ref() == Some(&id) {
            self.keeps_id.store(true, Ordering::Relaxed);
        }
        Ok(Some(id).filter(|_| self.keeps_id.load(Ordering::Relaxed)))
    }

    /// Whether somebody waited for it in vain a moment ago.
    pub fn was_silent(&self) -> bool {
        let since = *self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < SILENT)
    }

    pub fn note_silence(&self) {
        if !self.was_silent() {
            *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    /// How it is reached, for people.
    pub fn via(&self) -> String {
        match &self.chosen {
            None => format!("the host {} at {}", self.host.name, self.host.address),
            Some(chosen) => chosen.to_string(),
        }
    }

    /// Whether it answers now.
    pub async fn is_reachable(&self) -> Result<()> {
        let docker = self.docker().await?;
        within(self.timeout(), "reach the engine", docker.ping())
            .await
            .map(drop)
            .map_err(|failure| self.name(failure.into()))
    }

    /// The image that has this name or id now; `None` when there is none.
    pub async fn image(&self, image: &str) -> Result<Option<ImageInspect>> {
        let docker = self.docker().await?;
        match within(self.timeout(), "look for the image", docker.inspect_image(image)).await {
            Ok(found) => Ok(Some(found)),
            Err(Failure::Other(error)) if error.code == ErrorCode::ImageMissing => Ok(None),
            Err(failure) => {
                Failure::optional::<()>(Err(failure)).map_err(|error| self.name(error)).map(|_| None)
            }
        }
    }

    /// Whether an instance can be made from it here: it is there, or can be pulled.
    pub async fn has_image(&self, image: &str) -> Result<bool> {
        Ok(registry(image).is_some() || self.image(image).await?.is_some())
    }

    /// What new containers run in; `None` is the engine's default. An engine learns of another runtime only
    /// when it starts, so it is asked once.
    pub async fn oci_runtime(&self) -> Result<Option<String>> {
        let ask = || async {
            let info = self.ask("ask which runtimes there are", self.docker().await?.info()).await?;
            let has = info.runtimes.is_some_and(|runtimes| runtimes.contains_key(GVISOR));
            tracing::info!(host = self.host.name, gvisor = has, "the runtime of new containers is known");
            Ok::<_, ProviderError>(has)
        };
        match &self.confinement.runtime {
            OciRuntime::Named(name) => Ok(Some(name.clone())),
            OciRuntime::Engines => Ok(None),
            OciRuntime::Auto => Ok(self.has_gvisor.get_or_try_init(ask).await?.then(|| GVISOR.to_owned())),
        }
    }

    pub fn no_image(&self, image: &str) -> ProviderError {
        self.name(image_missing(&format!("the image {image} is not on the Docker host")))
    }

    /// The address for callers.
    pub fn reached_at(&self) -> IpAddr {
        match self.host.publish {
            IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            address => address,
        }
    }

    fn timeout(&self) -> Duration {
        if matches!(self.host.address, Address::Ssh { .. }) { CONNECT_BY_SSH } else { CONNECT }
    }
}

/// The client's own limit ends with the response's head; this one covers the body too.
pub(crate) async fn within<T>(
    limit: Duration,
    doing: &str,
    call: impl Future<Output = std::result::Result<T, Error>>,
) -> Answer<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(|error| classify(doing, &error)),
        Err(_) => Err(timed_out(doing).into()),
    }
}
