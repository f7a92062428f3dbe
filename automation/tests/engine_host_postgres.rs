//! Stacks in a database, on the engine host and on the CLI: each goes on where the other has ended.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use automation::{Backend, Cli, Host, Input, Options, Outputs, Workspace, program};

#[path = "support/tools.rs"]
mod tools;

/// A server of the test's own.
struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    fn start() -> Self {
        let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed").flatten();
        let programs = versions.map(|version| version.path().join("bin")).max().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { folder: tempfile::tempdir().unwrap(), programs, port };
        let owner = Command::new("id").args(["-u", "postgres"]).output().unwrap();
        if let Ok(owner) = String::from_utf8_lossy(&owner.stdout).trim().parse() {
            // Refused when this is not root, and then there is no need.
            let _ = std::os::unix::fs::chown(server.folder.path(), Some(owner), Some(owner));
        }
        let folder = server.folder.path().display().to_string();
        server.run("initdb", &["-A", "trust", "-U", "pilot", "--no-sync"]);
        let options = format!("-p {port} -c listen_addresses=127.0.0.1 -k {folder}");
        let log = server.folder.path().join("log").display().to_string();
        server.run("pg_ctl", &["-w", "-l", &log, "-o", &options, "start"]);
        server
    }

    fn run(&self, program: &str, args: &[&str]) {
        use std::os::unix::fs::MetadataExt as _;
        let folder: &Path = self.folder.path();
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(folder.join("cluster")).args(args).current_dir(folder);
        // The server refuses to run as root.
        let owner = std::fs::metadata(folder).unwrap();
        if owner.uid() != std::fs::metadata("/proc/self").unwrap().uid() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.unwrap().success(), "{program} {args:?}");
    }

    fn url(&self) -> String {
        format!("postgres://pilot@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-m", "immediate", "stop"]);
    }
}

#[tokio::test]
async fn a_stack_in_a_database_is_served_by_the_host_and_read_by_the_cli() {
    let server = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let cli = Cli::open(tools::pulumi()).await.expect("run `cargo xtask tools`");
    // Without a CLI, so that nothing can be given to it.
    let host = Host::open(tools::pilot_engine()).await.expect("run `cargo xtask tools`");
    let at = |name: &str| folder.path().join(name);
    let open = |engine: std::sync::Arc<dyn automation::Engine>| {
        let backend = Backend::Url(server.url());
        Workspace::inline(engine, "shop", at("project"), at("home"), backend).unwrap().with_empty_passphrase()
    };
    let says = |text: &'static str| {
        program(move |_| async move { Ok(Outputs::from([("said".to_owned(), Input::from(text))])) })
    };
    let (by_host, by_cli) =
        (open(std::sync::Arc::new(host)).stack("dev"), open(std::sync::Arc::new(cli)).stack("dev"));
    by_host.create().await.unwrap();
    by_host.up(says("one"), &Options::default()).await.unwrap();
    assert_eq!(by_cli.outputs().await.unwrap()["said"], "one".into());
    by_cli.up(says("two"), &Options::default()).await.unwrap();
    assert_eq!(by_host.outputs().await.unwrap()["said"], "two".into());
    assert!(by_host.up(says("two"), &Options::default()).await.unwrap().summary.is_unchanged());
    by_host.destroy(says("two"), &Options::default()).await.unwrap();
    by_host.remove().await.unwrap();
    assert!(by_cli.workspace().stacks(true).await.unwrap().is_empty());
}
