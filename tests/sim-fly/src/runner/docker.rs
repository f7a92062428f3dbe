//! Machines as containers of the local Docker engine, from the image of their configuration. Ports of
//! services are published on loopback; the volume's folder is mounted where the configuration says. The
//! environment stays as it is, because a container has a network of its own. Suspending is pausing. What was pushed to the
//! simulator's registry is pulled from there; other images are the engine's own.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerCreateBody, ExecConfig, HostConfig, PortBinding};
use bollard::query_parameters as query;
use futures_util::{StreamExt, TryStreamExt as _};
use tokio::sync::mpsc;

use super::{Executed, Exit, GuestFile, Launch, RunError, Runner, Running};
use crate::registry::Registry;

/// The label that holds a machine's id.
const LABEL: &str = "sim-fly.machine";

pub struct Containers {
    docker: Docker,
    registry: Registry,
    exits: mpsc::UnboundedSender<Exit>,
}

type DockerError = bollard::errors::Error;

fn act(what: &'static str) -> impl Fn(DockerError) -> RunError {
    move |source| RunError::Act { what, source: source.into() }
}

/// There is nothing to do for what is gone or as wanted already.
fn is_done(error: &DockerError) -> bool {
    matches!(error, DockerError::DockerResponseServerError { status_code: 304 | 404 | 409, .. })
}

impl Containers {
    /// Connects to the engine of this host.
    ///
    /// # Errors
    /// When none answers.
    pub async fn connect(
        registry: Registry,
        exits: mpsc::UnboundedSender<Exit>,
    ) -> Result<Self, DockerError> {
        let docker = Docker::connect_with_unix_defaults()?.negotiate_version().await?;
        docker.ping().await?;
        Ok(Self { docker, registry, exits })
    }

    async fn run(&self, name: &str, launch: &Launch) -> Result<Running, DockerError> {
        self.remove(name).await?;
        if let Some((user, password)) = self.registry.login_for(&launch.config.image) {
            self.pull(&launch.config.image, user, password).await?;
        }
        let options = query::CreateContainerOptionsBuilder::default().name(name).build();
        self.docker.create_container(Some(options), body(launch)).await?;
        if !launch.files.is_empty() {
            let options = query::UploadToContainerOptionsBuilder::default().path("/").build();
            let archive = archive(&launch.files).map_err(|err| DockerError::IOError { err })?;
            self.docker.upload_to_container(name, Some(options), bollard::body_full(archive.into())).await?;
        }
        self.docker.start_container(name, None::<query::StartContainerOptions>).await?;
        let found = self.docker.inspect_container(name, None::<query::InspectContainerOptions>).await?;
        let published = found.network_settings.and_then(|network| network.ports).unwrap_or_default();
        let mut ports = BTreeMap::new();
        for (guest, bindings) in published {
            let guest = guest.split('/').next().and_then(|port| port.parse().ok());
            let free = bindings.iter().flatten().find_map(|binding| binding.host_port.as_ref()?.parse().ok());
            if let (Some(guest), Some(free)) = (guest, free) {
                ports.insert(guest, free);
            }
        }
        Ok(Running { pid: None, container: Some(name.to_owned()), ports })
    }

    async fn pull(&self, image: &str, user: String, password: String) -> Result<(), DockerError> {
        let options = query::CreateImageOptionsBuilder::default().from_image(image).build();
        let login =
            DockerCredentials { username: Some(user), password: Some(password), ..Default::default() };
        self.docker.create_image(Some(options), None, Some(login)).try_for_each(async |_| Ok(())).await
    }

    async fn remove(&self, name: &str) -> Result<(), DockerError> {
        let options = query::RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.docker.remove_container(name, Some(options)).await {
            Err(error) if !is_done(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn watch(&self, machine: &str, incarnation: u64) {
        let (docker, exits, machine) = (self.docker.clone(), self.exits.clone(), machine.to_owned());
        tokio::spawn(async move {
            let mut ends = docker.wait_container(&name(&machine), None::<query::WaitContainerOptions>);
            let code = match ends.next().await {
                Some(Ok(end)) => i32::try_from(end.status_code).ok(),
                Some(Err(DockerError::DockerContainerWaitError { code, .. })) => i32::try_from(code).ok(),
                _ => None,
            };
            let _ = exits.send(Exit { machine, incarnation, code });
        });
    }
}

fn name(machine: &str) -> String {
    format!("sim-fly-{machine}")
}

fn body(launch: &Launch) -> ContainerCreateBody {
    let binding = || PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: None };
    let bindings: HashMap<_, _> =
        launch.ports.iter().map(|port| (format!("{port}/tcp"), Some(vec![binding()]))).collect();
    let binds = launch.mount.iter().map(|(folder, at)| format!("{}:{at}", folder.display())).collect();
    let config = &launch.config;
    let guest = &config.guest;
    ContainerCreateBody {
        image: Some(config.image.clone()),
        env: Some(launch.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        user: config.processes.first().and_then(|process| process.user.clone()),
        entrypoint: config.init.exec.clone().or_else(|| config.init.entrypoint.clone()),
        cmd: config.init.cmd.clone(),
        exposed_ports: Some(bindings.keys().cloned().collect()),
        labels: Some(HashMap::from([(LABEL.to_owned(), launch.machine.clone())])),
        host_config: Some(HostConfig {
            binds: Some(binds),
            port_bindings: Some(bindings),
            memory: Some(i64::from(guest.memory_mb) << 20),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn archive(files: &[GuestFile]) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(file.mode);
        header.set_size(file.content.len() as u64);
        builder.append_data(&mut header, file.path.trim_start_matches('/'), file.content.as_slice())?;
    }
    builder.into_inner()
}

#[async_trait]
impl Runner for Containers {
    async fn start(&self, launch: &Launch) -> Result<Running, RunError> {
        let running = self
            .run(&name(&launch.machine), launch)
            .await
            .map_err(|source| RunError::Start { what: launch.config.image.clone(), source: source.into() })?;
        self.watch(&launch.machine, launch.incarnation);
        Ok(running)
    }

    async fn stop(
        &self,
        machine: &str,
        running: &Running,
        raw: i32,
        grace: Duration,
    ) -> Result<(), RunError> {
        // A paused container cannot be stopped; one that runs cannot be resumed.
        let _ = self.resume(machine, running).await;
        self.signal(machine, running, raw).await?;
        let mut ends = self.docker.wait_container(&name(machine), None::<query::WaitContainerOptions>);
        // Whether it ended by itself or not, what is left of it is removed.
        let _ = tokio::time::timeout(grace, ends.next()).await;
        self.remove(&name(machine)).await.map_err(act("removing a container"))
    }

    async fn signal(&self, machine: &str, _running: &Running, raw: i32) -> Result<(), RunError> {
        let options = query::KillContainerOptionsBuilder::default().signal(&raw.to_string()).build();
        match self.docker.kill_container(&name(machine), Some(options)).await {
            Err(error) if !is_done(&error) => Err(act("signalling a container")(error)),
            _ => Ok(()),
        }
    }

    async fn suspend(&self, machine: &str, _running: &Running) -> Result<(), RunError> {
        self.docker.pause_container(&name(machine)).await.map_err(act("pausing a container"))
    }

    async fn resume(&self, machine: &str, _running: &Running) -> Result<(), RunError> {
        self.docker.unpause_container(&name(machine)).await.map_err(act("resuming a container"))
    }

    async fn exec(
        &self,
        launch: &Launch,
        _running: &Running,
        command: &[String],
        stdin: &str,
        limit: Duration,
    ) -> Result<Executed, RunError> {
        let name = name(&launch.machine);
        let work = execute(&self.docker, &name, command, stdin);
        tokio::time::timeout(limit, work).await.map_err(|_| RunError::Late)?.map_err(act("a command"))
    }

    async fn adopt(&self, machine: &str, incarnation: u64, _running: &Running) -> bool {
        let found =
            self.docker.inspect_container(&name(machine), None::<query::InspectContainerOptions>).await;
        let runs = found.is_ok_and(|found| found.state.and_then(|state| state.running) == Some(true));
        if runs {
            self.watch(machine, incarnation);
        }
        runs
    }

    async fn forget(&self, machine: &str) {
        if let Err(error) = self.remove(&name(machine)).await {
            tracing::warn!(machine, %error, "a container was left behind");
        }
    }
}

async fn execute(
    docker: &Docker,
    name: &str,
    command: &[String],
    stdin: &str,
) -> Result<Executed, DockerError> {
    let config = ExecConfig {
        cmd: Some(command.to_vec()),
        attach_stdin: Some(!stdin.is_empty()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        // Whoever the image's user is.
        user: Some("root".to_owned()),
        ..Default::default()
    };
    let exec = docker.create_exec(name, config).await?;
    let mut done = Executed::default();
    if let StartExecResults::Attached { mut output, mut input } = docker.start_exec(&exec.id, None).await? {
        if !stdin.is_empty() {
            use tokio::io::AsyncWriteExt;
            // A command that does not read its input is none the worse.
            let _ = input.write_all(stdin.as_bytes()).await;
            let _ = input.shutdown().await;
        }
        while let Some(chunk) = output.next().await {
            match chunk? {
                bollard::container::LogOutput::StdErr { message } => {
                    done.stderr += &String::from_utf8_lossy(&message);
                }
                other => done.stdout += &other.to_string(),
            }
        }
    }
    let inspected = docker.inspect_exec(&exec.id).await?;
    done.exit_code = inspected.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or_default();
    Ok(done)
}
