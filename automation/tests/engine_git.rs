//! Repositories over SSH, from a real server on the loopback interface.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pulumi_auto::workspace::GitSource;
use pulumi_auto::{Backend, Error, FakeEngine, Workspace};

/// Says to a copy of this program which repository it is to open.
const ROLE: &str = "AUTOMATION_TEST_URL";

/// A server with one repository, and an agent with the key to it.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
    processes: Vec<Child>,
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in &mut self.processes {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

fn run(program: &str, args: &[&str], folder: &Path) -> String {
    let output = Command::new(program).args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn eventually(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is() {
        assert!(Instant::now() < deadline, "it never came true that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        std::fs::write(folder.path().join("work/Pulumi.yaml"), "name: shop\nruntime: yaml\n").unwrap();
        for args in [
            &["init", "-q", "-b", "main"][..],
            &["add", "."],
            &["-c", "user.email=a@b", "-c", "user.name=n", "commit", "-qm", "first"],
        ] {
            run("git", args, &folder.path().join("work"));
        }
        for key in ["key", "host"] {
            run("ssh-keygen", &["-qt", "ed25519", "-N", "", "-f", &at(key)], folder.path());
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if run("id", &["-u"], folder.path()) == "0" {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-f", "/dev/null", "-p", &port.to_string(), "-h", &at("host")]);
        let keys = format!("AuthorizedKeysFile={}", at("key.pub"));
        for option in ["ListenAddress=127.0.0.1", &keys, "StrictModes=no", "PidFile=none", "UsePAM=no"] {
            sshd.args(["-o", option]);
        }
        let mut agent = Command::new("ssh-agent");
        agent.args(["-D", "-a", &at("agent")]);
        let quiet = |command: &mut Command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let processes = vec![quiet(&mut sshd), quiet(&mut agent)];
        let host = std::fs::read_to_string(folder.path().join("host.pub")).unwrap();
        std::fs::write(folder.path().join("known"), format!("[127.0.0.1]:{port} {host}")).unwrap();
        let (agent, key) = (folder.path().join("agent"), at("key"));
        eventually("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        eventually("the agent has the key", || {
            let mut add = Command::new("ssh-add");
            let add = add.arg("-q").arg(&key).env("SSH_AUTH_SOCK", &agent).stderr(Stdio::null());
            add.status().unwrap().success()
        });
        Self { folder, port, processes }
    }

    fn url(&self) -> String {
        let user = run("id", &["-un"], self.folder.path());
        format!("ssh://{user}@127.0.0.1:{}{}", self.port, self.folder.path().join("work").display())
    }

    /// What a user's shell has, with this file of known hosts.
    fn env(&self, known: &str) -> BTreeMap<String, String> {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let ssh =
            format!("ssh -F /dev/null -o UserKnownHostsFile={} -o GlobalKnownHostsFile=/dev/null", at(known));
        BTreeMap::from([("SSH_AUTH_SOCK".to_owned(), at("agent")), ("GIT_SSH_COMMAND".to_owned(), ssh)])
    }

    async fn open(&self, env: BTreeMap<String, String>) -> Result<Workspace, Error> {
        open(GitSource::new(self.url()).env(env), self.folder.path().join("home")).await
    }
}

async fn open(source: GitSource, home: PathBuf) -> Result<Workspace, Error> {
    let state = Backend::Folder(home.join("state"));
    let opened = Workspace::git(FakeEngine::new(), &source, home, state);
    tokio::time::timeout(Duration::from_secs(60), opened).await.expect("it waits for ever")
}

/// The body of a test that a copy of this program runs, with this environment and on a terminal of its own; what
/// it prints there.
fn on_a_terminal(test: &str, url: &str, env: BTreeMap<String, String>) -> (bool, String) {
    let program = std::env::current_exe().unwrap();
    let line = format!("{} --exact {test} --nocapture", program.display());
    let mut script = Command::new("timeout");
    script.args(["60", "script", "-qec", &line, "/dev/null"]);
    let output = script.envs(env).env(ROLE, url).stdin(Stdio::null()).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn role() -> Option<GitSource> {
    std::env::var(ROLE).ok().map(GitSource::new)
}

#[tokio::test]
async fn a_repository_over_ssh_is_read_with_the_agent_and_the_known_hosts_of_the_user() {
    if let Some(source) = role() {
        // The copy: its environment alone says how.
        let home = tempfile::tempdir().unwrap();
        assert_eq!(open(source, home.path().to_owned()).await.unwrap().project(), "shop");
        return;
    }
    let server = Server::start();
    assert_eq!(server.open(server.env("known")).await.unwrap().project(), "shop");
    let test = "a_repository_over_ssh_is_read_with_the_agent_and_the_known_hosts_of_the_user";
    let (well, said) = on_a_terminal(test, &server.url(), server.env("known"));
    assert!(well && said.contains("1 passed"), "{said}");
    // Without the key in the agent it is refused, and says so.
    let mut env = server.env("known");
    env.insert("SSH_AUTH_SOCK".to_owned(), "/nonexistent".to_owned());
    let error = server.open(env).await.unwrap_err();
    assert!(
        matches!(&error, Error::Git { message, .. } if message.contains("Permission denied")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_host_that_is_not_known_is_an_error_that_says_what_to_do_also_on_a_terminal() {
    let refused = |error: Error, changed: bool| {
        let Error::HostKey { host, changed: told } = &error else { panic!("{error:?}") };
        assert!(host.starts_with("[127.0.0.1]:") && *told == changed, "{error:?}");
        assert!(error.to_string().contains("known_hosts"), "{error}");
    };
    if let Some(source) = role() {
        let home = tempfile::tempdir().unwrap();
        refused(open(source, home.path().to_owned()).await.unwrap_err(), false);
        return;
    }
    let server = Server::start();
    refused(server.open(server.env("nothing")).await.unwrap_err(), false);
    let other = std::fs::read_to_string(server.folder.path().join("key.pub")).unwrap();
    let changed = format!("[127.0.0.1]:{} {other}", server.port);
    std::fs::write(server.folder.path().join("changed"), changed).unwrap();
    refused(server.open(server.env("changed")).await.unwrap_err(), true);
    let test = "a_host_that_is_not_known_is_an_error_that_says_what_to_do_also_on_a_terminal";
    let (well, said) = on_a_terminal(test, &server.url(), server.env("nothing"));
    assert!(well && said.contains("1 passed"), "{said}");
    assert!(!said.contains("yes/no"), "nobody is asked: {said}");
    assert!(!server.folder.path().join("nothing").exists(), "no key is taken without a person");
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_no_more_than_the_timeout() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (address, timeout) = (silent.local_addr().unwrap(), Duration::from_millis(500));
    for scheme in ["ssh", "http"] {
        let url = format!("{scheme}://{address}/a.git");
        let source = GitSource::new(url.clone()).timeout(timeout);
        let error = open(source, folder.path().join("home")).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { timeout: told } if told == timeout), "{error:?}");
        eventually("nothing of the fetch is left", || {
            let left = Command::new("pgrep").args(["-f", &address.to_string()]).output().unwrap();
            let left = String::from_utf8(left.stdout).unwrap();
            let alive = |pid: &str| {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
            };
            !left.lines().any(alive)
        });
    }
}
