//! The container that keeps the rules of one host: made, started anew, waited for and removed with its rules. Its program is
//! `keeper.sh` beside this file.

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
use provider_api::{ProviderError, Result};

use super::lists::LISTS;
use super::{Seen, lists, rules};
use crate::engine::Engine;
use crate::failure::{Answer, Failure, contended};
use crate::placement::MIB;
use crate::{container, logs};

const KEEPER: &str = include_str!("keeper.sh");
/// Whose a keeper is. Not the label of what belongs to a runtime: it is of none.
pub(super) const OWNER: &str = "pilot.egress";
/// What the keeper was made from; it is replaced when that is something else now.
const VERSION: &str = "pilot.egress.version";
/// What rules take to be put in place; the first time the host loads parts of its kernel for it.
const TIMEOUT: Duration = Duration::from_secs(15);
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
/// Limits, for a thousand lists: each has a resolver, which takes a few MiB.
const MEMORY_MIB: i64 = 4096;
const PROCESSES: i64 = 4096;

/// The container that keeps the rules.
pub(super) struct Keeper<'a> {
    pub engine: &'a Engine,
    pub installation: &'a InstallationId,
}

impl Keeper<'_> {
    pub fn name(&self) -> String {
        format!("pilot-egress-{}", self.installation)
    }

    fn rules(&self) -> String {
        rules::rules(self.installation, &self.engine.egress.open)
    }

    fn version(&self) -> String {
        rules::version([KEEPER, &self.rules(), &self.engine.egress.image])
    }

    /// The container if it is there and ours.
    pub async fn find(&self) -> Result<Option<ContainerInspectResponse>> {
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

    /// Whether it is made as it is made now.
    pub fn is_current(&self, found: &ContainerInspectResponse) -> bool {
        container::labels(found).get(VERSION) == Some(&self.version())
    }

    /// Which container, and since when it runs. `before`: the one whose rules were seen in place.
    pub async fn ensure(&self, before: Option<&Seen>) -> Result<String> {
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
        self.engine.bring(&self.engine.egress.image).await?;
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
                variable("LISTS", LISTS),
            ]),
            labels: Some(HashMap::from([
                (OWNER.to_owned(), self.installation.to_string()),
                (VERSION.to_owned(), version.to_owned()),
            ])),
            host_config: Some(HostConfig {
                network_mode: Some("host".to_owned()),
                cap_drop: Some(vec!["ALL".to_owned()]),
                // The others are for the resolvers of lists: each is nobody, with this one right.
                cap_add: Some(["NET_ADMIN", "SETUID", "SETGID", "KILL"].map(str::to_owned).to_vec()),
                security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
                readonly_rootfs: Some(true),
                mounts: Some(vec![lists::mount(self.installation)]),
                tmpfs: Some(HashMap::from([("/run".to_owned(), "rw,noexec,nosuid,size=64m".to_owned())])),
                memory: Some(MEMORY_MIB * MIB),
                memory_swap: Some(MEMORY_MIB * MIB),
                pids_limit: Some(PROCESSES),
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
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let Some(found) = again(deadline, || self.find()).await? else { return Ok(None) };
            if let Some(start) = start_of(&found)
                && again(deadline, || self.says_so(&found)).await?
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
        let options = LogsOptionsBuilder::default().stdout(true).timestamps(true).tail("100").build();
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
    pub async fn remove(&self) -> Result<()> {
        let docker = self.engine.docker().await?;
        let deadline = Instant::now() + TIMEOUT;
        let mut told: Option<Instant> = None;
        while let Some(found) = again(deadline, || self.find()).await? {
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
                self.discard(&found).await?;
                return lists::remove(self.engine, self.installation).await;
            } else {
                settled(self.let_run(&found, None).await)?;
            }
            if Instant::now() > deadline {
                let log = logs::tail(self.engine, &self.name(), ERROR_LOG_BYTES).await.unwrap_or_default();
                let message = format!(
                    "the container {} on the Docker host {} did not remove its rules in {TIMEOUT:?}: {}",
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

/// A look whose answer was lost is repeated: it changes nothing.
async fn again<T, F: Future<Output = Result<T>>>(
    deadline: Instant,
    mut look: impl FnMut() -> F,
) -> Result<T> {
    loop {
        match look().await {
            Err(error) if error.code.retryable() && Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
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
pub(super) fn runs(found: &ContainerInspectResponse) -> bool {
    let state = found.state.as_ref();
    let is = |what: Option<bool>| what == Some(true);
    state.is_some_and(|state| is(state.running) && !is(state.restarting) && !is(state.paused))
}

pub(super) fn is_paused(found: &ContainerInspectResponse) -> bool {
    found.state.as_ref().is_some_and(|state| state.paused == Some(true))
}
