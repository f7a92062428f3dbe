//! A PostgreSQL server, for one test.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A server of the test's own.
pub struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    pub fn start() -> Self {
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

    /// As after a crash of the machine: nobody is told.
    #[allow(dead_code)]
    pub fn restart(&self) {
        self.restart_as("immediate");
    }

    /// `fast` or `immediate`, as `pg_ctl` knows them.
    #[allow(dead_code)]
    pub fn restart_as(&self, mode: &str) {
        let folder = self.folder.path().display().to_string();
        let options = format!("-p {} -c listen_addresses=127.0.0.1 -k {folder}", self.port);
        let log = self.folder.path().join("log").display().to_string();
        self.run("pg_ctl", &["-w", "-m", mode, "-l", &log, "-o", &options, "restart"]);
    }

    /// As a standby, and a server that is about to become one: what is connected stays, and its writes are refused.
    #[allow(dead_code)]
    pub fn read_only(&self, refuse: bool) {
        let settings = self.folder.path().join("cluster/postgresql.auto.conf");
        let text = if refuse { "default_transaction_read_only = on\n" } else { "" };
        std::fs::write(settings, text).unwrap();
        self.run("pg_ctl", &["reload"]);
    }

    /// The server's first process; what it has started are its children.
    #[allow(dead_code)]
    pub fn pid(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.folder.path().join("cluster/postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// What a query gives, as text.
    #[allow(dead_code)]
    pub fn ask(&self, query: &str) -> String {
        let mut command = Command::new(self.programs.join("psql"));
        let asked = command.arg(self.url()).args(["-AtXc", query]).output().unwrap();
        assert!(asked.status.success(), "{query}: {asked:?}");
        String::from_utf8(asked.stdout).unwrap().trim().to_owned()
    }

    pub fn url(&self) -> String {
        format!("postgres://pilot@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-m", "immediate", "stop"]);
    }
}
