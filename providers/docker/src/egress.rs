//! What instances may send, closed by default: the internet is open, and the host, private networks, other instances and
//! the addresses of metadata are not.
//!
//! The bridge of each runtime's network has a name by which a table of rules knows it (`egress/rules.rs`). A *keeper*, one
//! small container for each installation on each host, puts the table in place and keeps it there (`egress/keeper.sh`): it
//! has the right for that wherever the engine is, and Docker starts it again with the host. Nothing of Pilot's starts
//! before its host is closed.

mod probe;
mod rules;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RestartContainerOptions, StartContainerOptions,
};
use contracts::{ErrorCode, InstallationId};
use futures_util::TryStreamExt as _;
use provider_api::{ProviderError, Result, Settings};
use tokio::sync::Mutex;

use crate::engine::Engine;
use crate::failure::{Answer, Failure, contended};
use crate::placement::MIB;
use crate::settings::unusable;
use crate::{container, logs, network};

pub(crate) use probe::look;
use rules::Destination;
pub(crate) use rules::bridge;

const KEEPER: &str = include_str!("egress/keeper.sh");
/// Whose a keeper is. Not the label of what belongs to a runtime: it is of none.
const OWNER: &str = "pilot.egress";
/// What the keeper was made from; it is replaced when that is something else now.
const VERSION: &str = "pilot.egress.version";
/// What rules take to be put in place; the first time the host loads parts of its kernel for it.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);
/// A keeper of so long ago is started anew by the next start of an instance: the engine's resolvers may be others by now.
const TRUSTED: Duration = Duration::from_secs(60 * 60);
/// One that was told to take its rules away is told again after so long.
const REPEATED: Duration = Duration::from_secs(3);
const ATTEMPTS: u32 = 5;
/// So often Docker may start it again before that is a failure.
const RESTARTS: i64 = 2;
/// As `keeper.sh` says it.
const IN_PLACE: &str = "the rules are in place";
/// As `keeper.sh` ends when it has taken its rules away.
const REMOVED: i64 = 3;
const ERROR_LOG_BYTES: usize = 1000;

/// What an operator wants of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Egress {
    /// Where a host cannot be closed, its instances run all the same.
    allow_open: bool,
    /// What stays open though it is private.
    open: Vec<Destination>,
    /// What the keeper is made from: it has `sh` and `nft`.
    image: String,
}

impl Egress {
    /// `usual`: the image of instances.
    pub fn read(settings: &Settings, usual: &str) -> Result<Self> {
        let allow_open = match settings.get("egress") {
            None | Some("closed") => false,
            Some("allow-open") => true,
            Some(other) => {
                return Err(unusable("egress", &format!("{other:?} is neither closed nor allow-open")));
            }
        };
        let destination = |text: &str| {
            let reason = format!("{text:?} is no address or network like 10.0.0.5 or 10.0.0.0/24");
            Destination::read(text).ok_or_else(|| unusable("egressOpen", &reason))
        };
        let open = settings.get("egressOpen").unwrap_or_default().split(',').map(str::trim);
        let open = open.filter(|part| !part.is_empty()).map(destination).collect::<Result<_>>()?;
        let image = settings.get("egressImage").unwrap_or(usual).to_owned();
        Ok(Self { allow_open, open, image })
    }
}

/// Which keeper of one host was seen with its rules in place. It keeps them there.
#[derive(Default)]
pub(crate) struct Closed(Mutex<Option<Seen>>);

struct Seen {
    whose: InstallationId,
    /// Which container, running since when.
    start: String,
    /// By this program's clock.
    at: Instant,
}

/// True when what instances of this installation send on this host goes to the internet alone; false where that cannot be, and
/// the operator has allowed it.
pub(crate) async fn close(engine: &Engine, installation: &InstallationId) -> Result<bool> {
    let mut known = engine.closed.0.lock().await;
    let before = known.take().filter(|seen| seen.whose == *installation);
    match (Keeper { engine, installation }).ensure(before.as_ref()).await {
        Ok(start) => {
            let at = before.filter(|seen| seen.start == start).map_or_else(Instant::now, |seen| seen.at);
            *known = Some(Seen { whose: installation.clone(), start, at });
            Ok(true)
        }
        Err(error) if engine.egress.allow_open && error.code == ErrorCode::EgressOpen => {
            tracing::warn!(host = engine.host.name, %error, "instances here may reach the host and private networks");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Removes keeper and rules when no network of the installation is left on the host. One that is made meanwhile is seen here, or
/// its instance sees that the keeper is gone: [`close`] comes before each start.
pub(crate) async fn open_unless_needed(engine: &Engine, installation: &InstallationId) -> Result<()> {
    if network::is_any(engine, installation).await? {
        return Ok(());
    }
    Keeper { engine, installation }.remove().await?;
    if network::is_any(engine, installation).await? {
        close(engine, installation).await?;
    }
    Ok(())
}

/// The container that keeps the rules.
struct Keeper<'a> {
    engine: &'a Engine,
    installation: &'a InstallationId,
}

impl Keeper<'_> {
    fn name(&self) -> String {
        format!("pilot-egress-{}", self.installation)
    }

    fn rules(&self) -> String {
        rules::rules(self.installation, &self.engine.egress.open)
    }

    fn version(&self) -> String {
        rules::version([KEEPER, &self.rules(), &self.engine.egress.image])
    }

    /// The container if it is there and ours.
    async fn find(&self) -> Result<Option<ContainerInspectResponse>> {
        let found = container::inspect(self.engine, &self.name()).await?;
        let Some(labels) = found.as_ref().map(container::labels) else { return Ok(None) };
        match labels.get(OWNER) {
            Some(owner) if owner == self.installation.as_str() => Ok(found),
            _ => {
                let message = format!("the container {} was not made by this installation", self.name());
                let remove = format!("Remove that container (`docker container rm -f {}`)", self.name());
                Err(ProviderError::foreign(message, &remove))
            }
        }
    }

    /// Which container, and since when it runs. `before`: the one whose rules were seen in place.
    async fn ensure(&self, before: Option<&Seen>) -> Result<String> {
        let version = self.version();
        for _ in 0..ATTEMPTS {
            let Some(found) = self.find().await? else {
                match self.make(&version).await {
                    // Somebody was faster: look again.
                    Ok(()) | Err(Failure::Conflict(_)) => continue,
                    Err(other) => return Err(other.into()),
                }
            };
            if container::labels(&found).get(VERSION) != Some(&version) {
                self.discard(&found).await?;
                continue;
            }
            let start = start_of(&found);
            if let (Some(start), Some(before)) = (&start, before)
                && before.start == *start
                && before.at.elapsed() < TRUSTED
            {
                return Ok(start.clone());
            }
            match self.let_run(&found, before).await {
                Ok(()) => {
                    if let Some(start) = self.is_in_place().await? {
                        return Ok(start);
                    }
                }
                Err(Failure::Absent(_) | Failure::Conflict(_)) => {}
                Err(other) => return Err(self.cannot_start(other.into())),
            }
        }
        Err(contended(&self.name()))
    }

    /// As it should be whatever it is: stopped, frozen by somebody, or running with what it has read long ago.
    async fn let_run(&self, found: &ContainerInspectResponse, before: Option<&Seen>) -> Answer<()> {
        let docker = self.engine.docker().await?;
        let is_old = before.is_some_and(|before| start_of(found).as_ref() == Some(&before.start));
        // What a frozen one has said before may be true no more.
        if is_old || is_paused(found) {
            let restart = docker.restart_container(id(found), None::<RestartContainerOptions>);
            return self.engine.ask("start what keeps the rules anew", restart).await;
        }
        let start = docker.start_container(id(found), None::<StartContainerOptions>);
        self.engine.ask("start what keeps the rules", start).await
    }

    async fn make(&self, version: &str) -> Answer<()> {
        let docker = self.engine.docker().await?;
        let variable = |name: &str, value: &str| format!("{name}={value}");
        let body = ContainerCreateBody {
            image: Some(self.engine.egress.image.clone()),
            user: Some("0:0".to_owned()),
            entrypoint: Some(["sh", "-c", KEEPER].map(str::to_owned).to_vec()),
            cmd: Some(Vec::new()),
            working_dir: Some("/".to_owned()),
            env: Some(vec![
                variable("TABLE", &rules::table(self.installation)),
                variable("RULES", &self.rules()),
            ]),
            labels: Some(HashMap::from([
                (OWNER.to_owned(), self.installation.to_string()),
                (VERSION.to_owned(), version.to_owned()),
            ])),
            host_config: Some(HostConfig {
                network_mode: Some("host".to_owned()),
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: Some(vec!["NET_ADMIN".to_owned()]),
                security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
                readonly_rootfs: Some(true),
                memory: Some(64 * MIB),
                memory_swap: Some(64 * MIB),
                pids_limit: Some(16),
                restart_policy: Some(RestartPolicy {
                    // One that was sent a signal to take its rules away stays down.
                    name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                    maximum_retry_count: None,
                }),
                log_config: Some(logs::limited()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(&self.name()).build();
        let create = docker.create_container(Some(options), body);
        self.engine.ask("create what keeps the rules", create).await.map(drop)
    }

    /// Waits until the rules are there. `None` when somebody has ended it meanwhile.
    async fn is_in_place(&self) -> Result<Option<String>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(found) = self.find().await? else { return Ok(None) };
            if let Some(start) = start_of(&found)
                && self.says_so(&found).await?
            {
                return Ok(Some(start));
            }
            let state = found.state.as_ref();
            let is = |what: Option<bool>| what == Some(true);
            let waits = state.is_some_and(|state| is(state.running) || is(state.restarting));
            // Docker tries one that fails again and again.
            let fails = state.is_some_and(|state| !is(state.running) || is(state.restarting))
                && found.restart_count.unwrap_or_default() >= RESTARTS;
            if fails || Instant::now() > deadline {
                let log = logs::tail(self.engine, &self.name(), ERROR_LOG_BYTES).await.unwrap_or_default();
                return Err(self.cannot(log.trim()));
            }
            if !waits {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether it has put its rules in place since it was started: both times are the engine's. Not asked by a command in the container,
    /// which what stands before an engine's socket may not pass on.
    async fn says_so(&self, found: &ContainerInspectResponse) -> Result<bool> {
        let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
        let Some(started) = found.state.as_ref().and_then(|state| time(state.started_at.as_deref()?)) else {
            return Ok(false);
        };
        let options = LogsOptionsBuilder::default().stdout(true).timestamps(true).tail("3").build();
        let docker = self.engine.docker().await?;
        let lines =
            docker.logs(id(found), Some(options)).map_ok(|line| line.to_string()).try_collect::<Vec<_>>();
        let lines = Failure::optional(self.engine.look("read what keeps the rules", lines).await)?
            .unwrap_or_default();
        let said = lines
            .iter()
            .filter(|line| line.contains(IN_PLACE))
            .filter_map(|line| time(line.split(' ').next()?));
        Ok(said.max().is_some_and(|said| said >= started))
    }

    /// Rules first: only a keeper that runs can take them away. Others may do the same at the same moment.
    async fn remove(&self) -> Result<()> {
        let docker = self.engine.docker().await?;
        let deadline = Instant::now() + PATIENCE;
        let mut told: Option<Instant> = None;
        while let Some(found) = self.find().await? {
            let state = found.state.as_ref();
            if runs(&found) {
                // One that does not listen yet has not heard it.
                if told.is_none_or(|told| told.elapsed() > REPEATED) {
                    let signal = KillContainerOptionsBuilder::default().signal("SIGUSR1").build();
                    let tell = docker.kill_container(id(&found), Some(signal));
                    settled(self.engine.ask("remove the rules", tell).await)?;
                    told = Some(Instant::now());
                }
            } else if state.is_some_and(|state| state.exit_code == Some(REMOVED)) {
                return self.discard(&found).await;
            } else {
                settled(self.let_run(&found, None).await)?;
            }
            if Instant::now() > deadline {
                let log = logs::tail(self.engine, &self.name(), ERROR_LOG_BYTES).await.unwrap_or_default();
                let message = format!(
                    "the container {} on the Docker host {} did not remove its rules in {PATIENCE:?}: {}",
                    self.name(),
                    self.engine.host.name,
                    log.trim()
                );
                return Err(ProviderError::new(ErrorCode::ProviderTimeout, message).with_action(
                    "It is tried again by itself. Where no workspace is left on the host, you may remove that container \
                     (`docker container rm -f`) and its table (`nft delete table`).",
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Removes the container alone: the rules stay.
    async fn discard(&self, found: &ContainerInspectResponse) -> Result<()> {
        let docker = self.engine.docker().await?;
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let remove = docker.remove_container(id(found), Some(options));
        settled(self.engine.ask("remove what keeps the rules", remove).await)
    }

    /// An engine that does not answer has refused nothing.
    fn cannot_start(&self, error: ProviderError) -> ProviderError {
        if error.code == ErrorCode::ProviderFailed { self.cannot(&error.message) } else { error }
    }

    fn cannot(&self, why: &str) -> ProviderError {
        let why = if why.is_empty() { "it said nothing" } else { why };
        let message = format!(
            "instances on the Docker host {} could reach the host itself, private networks and metadata services, because \
             the rules against it cannot be put in place by {} of the image {}: {why}",
            self.engine.host.name,
            self.name(),
            self.engine.egress.image,
        );
        ProviderError::new(ErrorCode::EgressOpen, message).with_action(
            "Let the image have `nft` (Debian's package nftables), or name one that has it in PILOT_DOCKER_EGRESS_IMAGE. \
             PILOT_DOCKER_EGRESS=allow-open runs instances all the same.",
        )
    }
}

/// Where somebody else does the same, the next look tells.
fn settled(answer: Answer<()>) -> Result<()> {
    match answer {
        Ok(()) | Err(Failure::Absent(_) | Failure::Conflict(_)) => Ok(()),
        Err(Failure::Other(error)) if error.message.contains("marked for removal") => Ok(()),
        Err(other) => Err(other.into()),
    }
}

fn id(found: &ContainerInspectResponse) -> &str {
    found.id.as_deref().unwrap_or_default()
}

/// Which container runs since when; `None` when it does not run. Compared with itself alone: clocks differ.
fn start_of(found: &ContainerInspectResponse) -> Option<String> {
    let state = found.state.as_ref().filter(|_| runs(found))?;
    Some(format!("{} {}", id(found), state.started_at.as_deref()?))
}

/// What is frozen, or ends and is started again and again, runs in Docker's words as well.
fn runs(found: &ContainerInspectResponse) -> bool {
    let state = found.state.as_ref();
    let is = |what: Option<bool>| what == Some(true);
    state.is_some_and(|state| is(state.running) && !is(state.restarting) && !is(state.paused))
}

fn is_paused(found: &ContainerInspectResponse) -> bool {
    found.state.as_ref().is_some_and(|state| state.paused == Some(true))
}
