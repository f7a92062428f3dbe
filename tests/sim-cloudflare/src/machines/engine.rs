//! The local Docker engine, with the few calls that are needed.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerConfig, ContainerCreateBody, ExecConfig, HostConfig, PortBinding, PortMap};
use bollard::query_parameters as query;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::{Chosen, Refused};
use crate::options::Options;
use crate::registry::Login;

/// On every container; the value is the simulator's folder.
const LABEL: &str = "sim-cloudflare.folder";
/// The repository of local images that are snapshots.
const SNAPSHOTS: &str = "sim-cloudflare-snapshot";
const TIMEOUT_SECONDS: u64 = 60;
const MIB: i64 = 1024 * 1024;
const CPU_PERIOD: i64 = 100_000;

/// Name, thousandths of a CPU, MiB of memory.
const TYPES: [(&str, i64, i64); 8] = [
    ("lite", 62, 256),
    ("dev", 62, 256),
    ("basic", 250, 1024),
    ("standard", 500, 4096),
    ("standard-1", 500, 4096),
    ("standard-2", 1000, 6144),
    ("standard-3", 2000, 8192),
    ("standard-4", 4000, 12_288),
];

pub struct Engine {
    docker: Docker,
    folder: String,
    /// By this simulator.
    pulled: Mutex<Vec<String>>,
}

impl Engine {
    pub fn connect(options: &Options) -> anyhow::Result<Self> {
        let socket = options.docker_socket.display().to_string();
        let docker = Docker::connect_with_unix(&socket, TIMEOUT_SECONDS, bollard::API_DEFAULT_VERSION)?;
        Ok(Self { docker, folder: options.folder.display().to_string(), pulled: Mutex::default() })
    }

    pub async fn create(
        &self,
        chosen: &Chosen,
        env: Vec<String>,
        command: Option<Vec<String>>,
    ) -> Result<String, Refused> {
        let image = chosen.local.clone();
        let ports = self.exposed(&image).await?;
        let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(String::new()) };
        let bindings: PortMap =
            ports.iter().map(|port| (port.clone(), Some(vec![binding.clone()]))).collect();
        let size = TYPES.into_iter().find(|(name, ..)| *name == chosen.instance);
        let limits = size.map(|(_, cpu, memory)| (cpu, memory));
        let body = ContainerCreateBody {
            image: Some(image),
            env: Some(env),
            cmd: command,
            entrypoint: chosen.entrypoint.clone(),
            labels: Some(HashMap::from([(LABEL.to_owned(), self.folder.clone())])),
            host_config: Some(HostConfig {
                port_bindings: Some(bindings),
                memory: limits.map(|(_, memory)| memory * MIB),
                memory_swap: limits.map(|(_, memory)| memory * MIB),
                cpu_period: limits.map(|_| CPU_PERIOD),
                // Docker's own lower bound is a hundredth of a CPU.
                cpu_quota: limits.map(|(cpu, _)| cpu * CPU_PERIOD / 1000),
                init: Some(false),
                ..Default::default()
            }),
            ..Default::default()
        };
        let created = self.docker.create_container(None::<query::CreateContainerOptions>, body).await;
        created.map(|created| created.id).map_err(refused)
    }

    /// The ports that the image exposes: only these are reachable.
    async fn exposed(&self, image: &str) -> Result<Vec<String>, Refused> {
        let inspected = self.docker.inspect_image(image).await.map_err(|error| match refused(error) {
            Refused::Absent => Refused::NoImage(image.to_owned()),
            other => other,
        })?;
        Ok(inspected.config.and_then(|config| config.exposed_ports).unwrap_or_default())
    }

    pub async fn start(&self, container: &str) -> Result<(), Refused> {
        let options = None::<query::StartContainerOptions>;
        self.docker.start_container(container, options).await.map_err(refused)
    }

    /// Waits for the end; the exit code.
    pub async fn wait(&self, container: &str) -> i64 {
        let mut end = self.docker.wait_container(container, None::<query::WaitContainerOptions>);
        match end.next().await {
            Some(Ok(end)) => end.status_code,
            Some(Err(Error::DockerContainerWaitError { code, .. })) => code,
            // Removed by force.
            _ => 137,
        }
    }

    pub async fn kill(&self, container: &str, signal: &str) -> Result<(), Refused> {
        let options = query::KillContainerOptionsBuilder::default().signal(signal).build();
        self.docker.kill_container(container, Some(options)).await.map_err(refused)
    }

    /// Container port to host port.
    pub async fn ports(&self, container: &str) -> Result<HashMap<String, String>, Refused> {
        let options = None::<query::InspectContainerOptions>;
        let inspected = self.docker.inspect_container(container, options).await.map_err(refused)?;
        let ports = inspected.network_settings.and_then(|settings| settings.ports).unwrap_or_default();
        let host_port = |bindings: Option<Vec<PortBinding>>| bindings?.into_iter().next()?.host_port;
        Ok(ports.into_iter().filter_map(|(port, bindings)| Some((port, host_port(bindings)?))).collect())
    }

    pub async fn remove(&self, container: &str) {
        let options = query::RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        if let Err(error) = self.docker.remove_container(container, Some(options)).await {
            tracing::debug!(container, %error, "the container was gone already");
        }
    }

    /// The id of a local image.
    pub async fn image_id(&self, image: &str) -> Option<String> {
        self.docker.inspect_image(image).await.ok()?.id
    }

    /// Has the engine pull an image, for as long as this simulator runs; whether it is there.
    pub async fn pull(&self, image: &str, login: Login) -> bool {
        let credentials = DockerCredentials {
            username: Some(login.username),
            password: Some(login.password),
            ..Default::default()
        };
        let options = query::CreateImageOptionsBuilder::default().from_image(image).build();
        let pulled = self.docker.create_image(Some(options), None, Some(credentials));
        match pulled.try_for_each(|_| async { Ok(()) }).await {
            Ok(()) => {
                self.pulled().push(image.to_owned());
                true
            }
            Err(error) => {
                tracing::warn!(image, %error, "the image is not pulled");
                false
            }
        }
    }

    fn pulled(&self) -> MutexGuard<'_, Vec<String>> {
        self.pulled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an image begins with.
    pub async fn entrypoint(&self, image: &str) -> Option<Vec<String>> {
        self.docker.inspect_image(image).await.ok()?.config?.entrypoint
    }

    /// Keeps the file system under this name; how many bytes it has.
    pub async fn commit(&self, container: &str, id: &str) -> Result<u64, Refused> {
        let options = query::CommitContainerOptionsBuilder::default()
            .container(container)
            .repo(SNAPSHOTS)
            .tag(id)
            .pause(true)
            .build();
        let labels = Some(HashMap::from([(LABEL.to_owned(), self.folder.clone())]));
        let config = ContainerConfig { labels, ..Default::default() };
        self.docker.commit_container(options, config).await.map_err(refused)?;
        let made = self.docker.inspect_image(&snapshot(id)).await.map_err(refused)?;
        Ok(made.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default())
    }

    pub async fn remove_snapshot(&self, id: &str) {
        let options = query::RemoveImageOptionsBuilder::default().force(true).build();
        if let Err(error) = self.docker.remove_image(&snapshot(id), Some(options), None).await {
            tracing::debug!(id, %error, "the snapshot was gone already");
        }
    }

    /// Starts a command.
    pub async fn exec(&self, container: &str, command: Command) -> Result<Running, Refused> {
        let env = command.env.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let config = ExecConfig {
            cmd: Some(command.cmd),
            working_dir: command.cwd,
            env: Some(env),
            user: command.user,
            attach_stdin: Some(command.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(false),
            ..Default::default()
        };
        let id = self.docker.create_exec(container, config).await.map_err(refused)?.id;
        match self.docker.start_exec(&id, None).await.map_err(refused)? {
            StartExecResults::Attached { output, input } => {
                let output = output.filter_map(|line| async { line.ok().map(|line| line.into_bytes()) });
                Ok(Running { id, input: Some(input), output: output.boxed() })
            }
            StartExecResults::Detached => Err(Refused::Failed("the command is detached".to_owned())),
        }
    }

    pub async fn exit_code(&self, id: &str) -> i64 {
        let inspected = self.docker.inspect_exec(id).await;
        inspected.ok().and_then(|command| command.exit_code).unwrap_or(-1)
    }

    /// Removes every container of this simulator's folder, and what it has pulled.
    pub async fn remove_all(&self) {
        let label = format!("{LABEL}={}", self.folder);
        let filters = HashMap::from([("label".to_owned(), vec![label])]);
        let options = query::ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        for container in self.docker.list_containers(Some(options)).await.unwrap_or_default() {
            self.remove(&container.id.unwrap_or_default()).await;
        }
        let pulled = std::mem::take(&mut *self.pulled());
        for image in pulled {
            let options = query::RemoveImageOptionsBuilder::default().build();
            // Gone already where two names were one image.
            let _ = self.docker.remove_image(&image, Some(options), None).await;
        }
    }
}

/// A command in a container.
#[derive(Deserialize)]
pub struct Command {
    cmd: Vec<String>,
    cwd: Option<String>,
    #[serde(default)]
    env: HashMap<String, String>,
    user: Option<String>,
    /// Whether it is given input.
    pub stdin: bool,
}

/// One that runs.
pub struct Running {
    pub id: String,
    input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    pub output: BoxStream<'static, Bytes>,
}

impl Running {
    /// Gives it all of its input, and then the end of it.
    pub async fn feed<E>(&mut self, mut bytes: impl Stream<Item = Result<Bytes, E>> + Unpin) -> io::Result<()>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(mut input) = self.input.take() else { return Ok(()) };
        while let Some(chunk) = bytes.next().await {
            input.write_all(&chunk.map_err(io::Error::other)?).await?;
        }
        input.shutdown().await
    }
}

/// The local image of a snapshot.
pub fn snapshot(id: &str) -> String {
    format!("{SNAPSHOTS}:{id}")
}

fn refused(error: Error) -> Refused {
    match error {
        Error::DockerResponseServerError { status_code: 404, .. } => Refused::Absent,
        Error::DockerResponseServerError { status_code: 409, .. } => Refused::Conflict,
        other => Refused::Failed(other.to_string()),
    }
}
