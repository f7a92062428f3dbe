//! The real OpenSSH client into real instances: what editors, scp and port forwarding do.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::support::eventually;
use crate::support::world::{World, program};

const SOON: Duration = Duration::from_secs(20);

/// A user's machine: a folder of pilot's, and a configuration of ssh.
struct Desk {
    folder: tempfile::TempDir,
    data: PathBuf,
}

impl Desk {
    fn at(world: &World) -> Self {
        Self {
            folder: tempfile::Builder::new().prefix("desk 100%").tempdir().unwrap(),
            data: world.data.clone(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pilot(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program("pilot"));
        command.arg("--data").arg(&self.data).arg("--config").arg(self.path("pilot")).args(words);
        command
    }

    /// Entries are written, as a user does it once.
    fn write_config(&self) {
        let mut command = self.pilot(&["ws", "ssh-config", "--write", "--file"]);
        let output = command.arg(self.path("config")).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }

    fn tool(&self, name: &str, words: &[&str]) -> Command {
        let mut command = Command::new(name);
        command.arg("-F").arg(self.path("config")).args(words);
        command
    }

    fn ssh(&self, words: &[&str]) -> Command {
        self.tool("ssh", words)
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}: {}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// Runs to its end with this input; what it printed.
fn run(command: &mut Command, input: &[u8]) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

fn good(command: &mut Command, input: &[u8]) -> String {
    let output = run(command, input);
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Ends with the test, whatever becomes of it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Bytes that no compression and no text mode leaves as they are.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

fn commands_and_files(desk: &Desk, home: &str) {
    // By the command alone, and with the exit code of what ran.
    let script = "pwd; printenv HOME; printenv OPENCODE_SERVER_PASSWORD SSH_ORIGINAL_COMMAND; exit 7";
    let output = run(&mut desk.pilot(&["ws", "ssh", "demo", "--", script]), b"");
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{home}\n{home}\n"), "{}", said(&output));

    // The same PATH as what the provider runs.
    let path = ["ws", "exec", "demo", "--", "printenv", "PATH"];
    let path = good(&mut desk.pilot(&path), b"");
    assert_eq!(good(&mut desk.ssh(&["demo.pilot", "printenv PATH"]), b""), path);

    // Both ways at once, and to the last byte.
    let big = noise(24 << 20);
    let output = run(&mut desk.ssh(&["demo.pilot", "cat"]), &big);
    assert!(output.status.success() && output.stdout == big, "{} bytes", output.stdout.len());
    good(&mut desk.ssh(&["demo.pilot", "cat > big; echo done >&2"]), &big);
    let output = run(&mut desk.ssh(&["demo.pilot", "cat big"]), b"");
    assert!(output.stdout == big, "{} bytes", output.stdout.len());

    let (up, down) = (desk.path("up"), desk.path("down"));
    std::fs::write(&up, &big).unwrap();
    good(desk.tool("scp", &["-q"]).arg(&up).arg("demo.pilot:there"), b"");
    good(desk.tool("scp", &["-q", "demo.pilot:there"]).arg(&down), b"");
    assert!(std::fs::read(&down).unwrap() == big);
    let batch = b"mkdir of-sftp\nput up of-sftp/one\nls of-sftp\n";
    let listed =
        good(desk.tool("sftp", &["-q", "-b", "-", "demo.pilot"]).current_dir(desk.folder.path()), batch);
    assert!(listed.contains("of-sftp/one"), "{listed}");
    good(&mut desk.ssh(&["demo.pilot", "cmp big of-sftp/one && rm -r big there of-sftp"]), b"");
}

/// What VS Code does: a shell that reads its script from its input, with a SOCKS port beside it.
fn as_an_editor(desk: &Desk) {
    let listen = good(&mut desk.pilot(&["ws", "exec", "demo", "--", "printenv", "PILOT_LISTEN"]), b"");
    let port = listen.rsplit(':').next().unwrap();
    let (socks, local) = (free_port().to_string(), free_port());
    let forward = format!("127.0.0.1:{local}:127.0.0.1:{port}");
    let mut editor = desk.ssh(&["-T", "-D", &socks, "-L", &forward, "demo.pilot", "bash"]);
    let mut editor = Running(editor.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let mut script = editor.0.stdin.take().unwrap();
    script.write_all(b"cd workspace\nnohup sleep 4715 > /dev/null 2>&1 &\necho up $((40 + 2))\n").unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(editor.0.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), "up 42");
    let health =
        good(Command::new("curl").args(["-s", "-f", &format!("http://127.0.0.1:{local}/health")]), b"");
    assert!(health.contains("\"runtimeId\""), "{health}");
    let through = [
        "-s",
        "-f",
        "--socks5-hostname",
        &format!("127.0.0.1:{socks}"),
        &format!("http://localhost:{port}/health"),
    ];
    assert!(good(Command::new("curl").args(through), b"").contains("\"runtimeId\""));
    drop(script);
    assert!(editor.0.wait().unwrap().success());
    // What went into the background is there for the next window.
    good(&mut desk.ssh(&["demo.pilot", "pgrep -f '^sleep 4715' > /dev/null && pkill -f '^sleep 4715'"]), b"");
}

fn terminals_and_agents(desk: &Desk) {
    // A terminal of its own, of the size of this one.
    let config = desk.path("config");
    let there =
        "stty rows 33 cols 77; exec ssh -t -F \"$CONFIG\" demo.pilot 'test -t 0 && stty size && echo $TERM'";
    let mut script = Command::new("script");
    script.args(["-qec", there, "/dev/null"]).env("CONFIG", &config).env("TERM", "xterm-256color");
    let seen = good(&mut script, b"");
    assert!(seen.contains("33 77") && seen.contains("xterm-256color"), "{seen}");

    let key = desk.path("pilot/ssh/id_ed25519");
    let there = "ssh-add -q \"$KEY\" && ssh -A -F \"$CONFIG\" demo.pilot ssh-add -l";
    let mut agent = Command::new("ssh-agent");
    agent.args(["sh", "-c", there]).env("CONFIG", &config).env("KEY", &key);
    assert!(good(&mut agent, b"").contains("ED25519"));
}

/// A user's `.bashrc` that prints is read as often as with any `sshd`, and is no part of sftp.
fn noise_of_the_user(desk: &Desk) {
    good(&mut desk.ssh(&["demo.pilot", "cp .bashrc kept 2> /dev/null; echo 'echo noise' > .bashrc"]), b"");
    assert_eq!(good(&mut desk.ssh(&["demo.pilot", "echo hi"]), b""), "noise\nhi");
    good(&mut desk.tool("sftp", &["-q", "-b", "-", "demo.pilot"]), b"ls\n");
    good(&mut desk.ssh(&["demo.pilot", "rm .bashrc; mv kept .bashrc 2> /dev/null; true"]), b"");
}

/// Where a session finds its agent, for one whose client is killed.
async fn agents_of_those_who_are_gone(desk: &Desk) {
    let at = desk.path("agent");
    let mut agent = Command::new("ssh-agent");
    let _agent = Running(agent.args(["-D", "-a"]).arg(&at).stdout(Stdio::null()).spawn().unwrap());
    eventually("an agent", SOON, || async { at.exists().then_some(()) }).await;
    let mut ssh =
        desk.ssh(&["-A", "demo.pilot", "test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK; sleep 4718; true"]);
    ssh.env("SSH_AUTH_SOCK", &at).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut ssh = Running(ssh.spawn().unwrap());
    let stdout = ssh.0.stdout.take().unwrap();
    let line = std::io::BufRead::lines(std::io::BufReader::new(stdout)).next().unwrap().unwrap();
    assert!(line.starts_with("/tmp/ssh-"), "{line}");
    drop(ssh);
    let folder = line.rsplit_once('/').unwrap().0;
    eventually("nothing of its agent is left", SOON, || async {
        let look = ["ws", "exec", "demo", "--", "test", "-e", folder];
        (run(&mut desk.pilot(&look), b"").status.code() == Some(1)).then_some(())
    })
    .await;
}

fn who_may_not(desk: &Desk) {
    // Another key than that which the connection brought.
    let other = desk.path("other");
    good(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&other), b"");
    let mut ssh = Command::new("ssh");
    let config =
        std::fs::read_dir(desk.path("pilot/ssh/config.d")).unwrap().flatten().map(|entry| entry.path());
    let config = config.into_iter().find(|path| path.extension().is_some_and(|end| end == "conf")).unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    let changed: String =
        text.lines().filter(|line| !line.contains("IdentityFile")).map(|line| format!("{line}\n")).collect();
    std::fs::write(desk.path("changed"), changed).unwrap();
    ssh.arg("-F")
        .arg(desk.path("changed"))
        .arg("-i")
        .arg(other.display().to_string().replace('%', "%%"))
        .args(["-o", "BatchMode=yes", "demo.pilot", "true"]);
    let refused = run(&mut ssh, b"");
    assert!(
        refused.status.code() == Some(255) && said(&refused).contains("Permission denied"),
        "{}",
        said(&refused)
    );

    // Nor without this installation's token; ssh shows why.
    let stranger = run(desk.ssh(&["demo.pilot", "true"]).env("PILOT_TOKEN", "wrong"), b"");
    assert!(
        stranger.status.code() == Some(255) && said(&stranger).contains("unauthorized"),
        "{}",
        said(&stranger)
    );
}

/// A session that says when it runs.
fn sleeper(desk: &Desk, seconds: &str) -> Running {
    let mut ssh = desk.ssh(&["demo.pilot", &format!("echo up; sleep {seconds}; true")]);
    let mut ssh =
        Running(ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let stdout = ssh.0.stdout.take().unwrap();
    let line = std::io::BufRead::lines(std::io::BufReader::new(stdout)).next();
    assert_eq!(line.unwrap().unwrap(), "up");
    ssh
}

async fn ends_of_connections(world: &World, desk: &Desk) {
    let known = |desk: &Desk| -> Vec<_> {
        let folder = std::fs::read_dir(desk.path("pilot/ssh/known_hosts")).unwrap().flatten();
        let mut all: Vec<_> =
            folder.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap())).collect();
        all.sort();
        all
    };
    let before = known(desk);
    // A client that is gone from one moment to the next takes its session with it.
    drop(sleeper(desk, "4716"));
    let count = ["ws", "exec", "demo", "--", "pgrep", "-c", "-f", "^sleep 4716"];
    eventually("the session is gone", SOON, || async {
        (run(&mut desk.pilot(&count), b"").stdout == b"0\n").then_some(())
    })
    .await;
    // So does a stop, and the other side is told at once.
    let mut session = sleeper(desk, "4717");
    world.api.succeeded(&world.api.change("demo", "stop").await).await;
    let status = eventually("ssh ends", SOON, || {
        let ended = session.0.try_wait().unwrap();
        async move { ended }
    });
    assert!(!status.await.success());
    assert_eq!(world.witness.processes(), Vec::<u32>::new());
    for mut way in [desk.ssh(&["demo.pilot", "true"]), desk.pilot(&["ws", "ssh", "demo", "--", "true"])] {
        let refused = run(&mut way, b"");
        let why = said(&refused);
        assert!(refused.status.code() == Some(255) && why.contains("`pilot ws start demo`"), "{why}");
    }
    // The next boot has the key that is known.
    world.api.succeeded(&world.api.change("demo", "start").await).await;
    let silent = run(&mut desk.ssh(&["demo.pilot", "echo again"]), b"");
    assert_eq!((said(&silent).as_str(), known(desk)), ("exit status: 0: again\n", before));
}

#[tokio::test]
async fn ssh_reaches_a_local_instance_also_when_opencode_is_broken() {
    let world = World::start().await;
    let workspace = world.api.create_ready("demo", "local").await;
    let runtime = workspace["runtimeId"].as_str().unwrap();
    let home = world.data.join("local").join(runtime).join("home");
    let desk = Desk::at(&world);
    desk.write_config();
    commands_and_files(&desk, home.to_str().unwrap());
    for pid in world.witness.opencode() {
        Command::new("kill").args(["-STOP", &pid.to_string()]).status().unwrap();
    }
    as_an_editor(&desk);
    terminals_and_agents(&desk);
    noise_of_the_user(&desk);
    agents_of_those_who_are_gone(&desk).await;
    who_may_not(&desk);
    ends_of_connections(&world, &desk).await;
    let secret = home.join(contracts::ssh::STATE_FOLDER);
    assert!(mode(&secret) == 0o700 && mode(&secret.join("host_ed25519")) == 0o600);
    eventually("a connection's files go with it", SOON, || async {
        (std::fs::read_dir(secret.join("connections")).unwrap().count() == 0).then_some(())
    })
    .await;
}

/// Its boot has failed, and it is there that somebody can see why.
#[tokio::test]
async fn ssh_reaches_an_instance_whose_boot_has_failed() {
    let world = World::start().await;
    let git = serde_json::json!({"url": "http://127.0.0.1:9/nothing.git"});
    let body = serde_json::json!({"slug": "demo", "provider": "local", "git": git});
    let accepted = world.api.post("/v1/workspaces", &body).await.json::<serde_json::Value>().await.unwrap();
    world.api.ended(&accepted["operation"]).await;
    assert_eq!(world.api.workspace("demo").await["state"], "failed");
    let desk = Desk::at(&world);
    assert_eq!(good(&mut desk.pilot(&["ws", "ssh", "demo", "--", "echo", "inside"]), b""), "inside");
}

fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
}

#[tokio::test]
async fn ssh_reaches_a_docker_instance() {
    let world = World::start_on_docker().await;
    world.api.create_ready("demo", "docker").await;
    let desk = Desk::at(&world);
    desk.write_config();
    commands_and_files(&desk, "/home/pilot");
    as_an_editor(&desk);
    terminals_and_agents(&desk);
    noise_of_the_user(&desk);
    agents_of_those_who_are_gone(&desk).await;
    who_may_not(&desk);
    ends_of_connections(&world, &desk).await;
    assert_eq!(
        good(&mut desk.ssh(&["demo.pilot", "id -un; ls /etc/ssh"]), b"").lines().next(),
        Some("pilot")
    );
    let baked = good(&mut desk.ssh(&["demo.pilot", "ls /etc/ssh | grep -c host_key || true"]), b"");
    assert_eq!(baked, "0", "no key is in the image");
}
