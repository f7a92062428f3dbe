//! One test's own Pilot: its data folder, its ports, its server process.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tests::fake_model::{FakeModel, opencode_config};

use super::api::Api;
use super::witness::Witness;

/// A program that `cargo xtask test` has built.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.exists(), "{} is missing; run `cargo build` first", path.display());
    path
}

/// Instance ports are handed out in blocks, so that two tests never want the same one at the same time.
fn port_block() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const BLOCK: u16 = 8;
    let range = contracts::network::network().host.instances;
    // The first ports are those of a user's own Pilot. A block comes again when its first test has long ended.
    let blocks = (range.last - range.first - 200) / BLOCK;
    let first = range.last - BLOCK * (NEXT.fetch_add(1, Ordering::Relaxed) % blocks + 1) + 1;
    format!("{first}-{}", first + BLOCK - 1)
}

/// The address of the Docker host as containers see it: the first of Docker's own bridge.
pub fn docker_address() -> IpAddr {
    let format = "{{(index .IPAM.Config 0).Subnet}}";
    let output = Command::new("docker").args(["network", "inspect", "bridge", "--format", format]).output();
    let output = output.unwrap_or_else(|error| panic!("docker: {error}; these tests need a Docker engine"));
    let subnet = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let base: Option<Ipv4Addr> = subnet.split('/').next().and_then(|base| base.parse().ok());
    let base = base
        .unwrap_or_else(|| panic!("no Docker engine answers: {}", String::from_utf8_lossy(&output.stderr)));
    Ipv4Addr::from_bits(base.to_bits() + 1).into()
}

pub struct World {
    pub data: PathBuf,
    pub api: Api,
    pub witness: Witness,
    _model: FakeModel,
    pub options: Vec<String>,
    pub env: Vec<(String, String)>,
    /// Another Pilot than the one that is tested.
    pub programs: Option<PathBuf>,
    server: Option<Child>,
    _folder: tempfile::TempDir,
}

impl World {
    /// A started server with the fake model as its agents' model.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(options: &[&str]) -> Self {
        Self::start_with_env(options, &[]).await
    }

    pub async fn start_with_env(options: &[&str], env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Self::build(folder, data, options, env, FakeModel::start().await.unwrap()).await
    }

    /// A server whose data folder is somewhere special.
    pub async fn start_in(folder: tempfile::TempDir, data: PathBuf, options: &[&str]) -> Self {
        Self::build(folder, data, options, &[], FakeModel::start().await.unwrap()).await
    }

    /// A server on a data folder that is there, with its rows and states in a database.
    pub async fn start_in_with_database(folder: tempfile::TempDir, data: PathBuf, database: &str) -> Self {
        let model = FakeModel::start_at(docker_address()).await.unwrap();
        Self::build(folder, data, &[], &[("PILOT_DATABASE", database)], model).await
    }

    /// A server whose instances are containers: they reach the model at the Docker host's address.
    pub async fn start_on_docker() -> Self {
        Self::start_on_docker_with_env(&[]).await
    }

    pub async fn start_on_docker_with_env(env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let model = FakeModel::start_at(docker_address()).await.unwrap();
        Self::build(folder, data, &[], env, model).await
    }

    /// An orchestrator of an installation in a database, on containers: the first, or one beside it with its secrets.
    pub async fn start_on_database(database: &str, beside: Option<&World>) -> Self {
        Self::start_on_database_with_env(database, beside, &[]).await
    }

    pub async fn start_on_database_with_env(
        database: &str,
        beside: Option<&World>,
        env: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        if let Some(other) = beside {
            copy_folder(&other.data.join("secrets"), &data.join("secrets"));
        }
        let model = FakeModel::start_at(docker_address()).await.unwrap();
        let env = [env, &[("PILOT_DATABASE", database)]].concat();
        Self::build(folder, data, &[], &env, model).await
    }

    /// A server on containers that is another Pilot: the programs of this folder.
    pub async fn start_of(programs: PathBuf, env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let model = FakeModel::start_at(docker_address()).await.unwrap();
        let mut world = Self::prepare(folder, data, &[], env, model);
        world.programs = Some(programs);
        world.serve().await;
        world
    }

    async fn build(
        folder: tempfile::TempDir,
        data: PathBuf,
        options: &[&str],
        env: &[(&str, &str)],
        model: FakeModel,
    ) -> Self {
        let mut world = Self::prepare(folder, data, options, env, model);
        world.serve().await;
        world
    }

    fn prepare(
        folder: tempfile::TempDir,
        data: PathBuf,
        options: &[&str],
        env: &[(&str, &str)],
        model: FakeModel,
    ) -> Self {
        std::fs::create_dir_all(&data).unwrap();
        let config = opencode_config(&model.base_url());
        std::fs::write(data.join("opencode.json"), config.to_string()).unwrap();
        let mut all: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        all.extend(["--instance-ports".to_owned(), port_block()]);
        // The model and what is cloned are on the Docker host, which instances do not reach by themselves.
        let base = model.base_url();
        let host = base.strip_prefix("http://").and_then(|rest| rest.split(':').next()).unwrap();
        Self {
            api: Api::nowhere(),
            witness: Witness::default(),
            data,
            _model: model,
            options: all,
            // Nothing is to be left after a delete, unless a test is about what is kept.
            env: [("PILOT_HOME_GRACE", "0"), ("PILOT_DOCKER_EGRESS_OPEN", host)]
                .iter()
                .chain(env)
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            programs: None,
            server: None,
            _folder: folder,
        }
    }

    /// Starts the server again on the same data folder.
    pub async fn serve(&mut self) {
        let log =
            std::fs::File::options().create(true).append(true).open(self.data.join("serve.log")).unwrap();
        let _ = std::fs::remove_file(self.data.join("endpoints.json"));
        let pilot = match &self.programs {
            Some(folder) => folder.join("pilot"),
            None => program("pilot"),
        };
        let child = Command::new(pilot)
            .arg("--data")
            .arg(&self.data)
            .arg("serve")
            .args(["--listen-gateway", "127.0.0.1:0", "--listen-orchestrator", "127.0.0.1:0"])
            .args(["--listen-admin", "127.0.0.1:0"])
            .args(&self.options)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(child);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.server.as_mut().and_then(|child| child.try_wait().unwrap()) {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            if let Some(api) = Api::find(&self.data)
                && api.is_ready().await
            {
                self.api = api;
                break;
            }
            assert!(Instant::now() < deadline, "the server is not ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        self.witness = Witness::of(&self.data);
    }

    /// A variable of the server and of the commands from here on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// kill -9, as a crash would.
    pub fn kill(&mut self) {
        let mut child = self.server.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, as an operator would; the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let mut child = self.server.take().unwrap();
        let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(status.success());
        child.wait().unwrap().code()
    }

    pub fn server_pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.join("serve.log")).unwrap_or_default()
    }

    /// The `pilot` command against this server; its stdout. Fails the test when the command fails.
    pub fn pilot(&self, args: &[&str]) -> String {
        let output = self.pilot_output(args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "pilot {args:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    pub fn pilot_output(&self, args: &[&str]) -> std::process::Output {
        self.command(args).output().unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let env = self.env.iter().map(|(key, value)| (key, value));
        let mut command = Command::new(program("pilot"));
        command.arg("--data").arg(&self.data).args(args).envs(env);
        command
    }
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Whatever a test does, nothing of it stays: not the server, not its instances.
impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.server.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.witness.remove_everything();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the end of the server's log:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}
