//! A real git repository for workspaces to clone.

use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Repo {
    folder: tempfile::TempDir,
}

impl Repo {
    pub fn new() -> Self {
        let repo = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(repo.path()).unwrap();
        repo.git(&["init", "--quiet", "--initial-branch", "main"]);
        std::fs::write(repo.path().join("README.md"), "# A project\n").unwrap();
        repo.git(&["add", "."]);
        repo.git(&[
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.com",
            "commit",
            "--quiet",
            "-m",
            "First",
        ]);
        repo
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    pub fn file_url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// `git daemon` on this address, until the answer is dropped.
    pub fn serve(&self, address: IpAddr) -> Daemon {
        let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        let child = Command::new("git")
            .args(["daemon", "--export-all", "--reuseaddr"])
            .arg(format!("--listen={address}"))
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", self.folder.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((address, port)).is_err() {
            assert!(Instant::now() < deadline, "git daemon does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Daemon { child, url: format!("git://{address}:{port}/project") }
    }

    fn git(&self, args: &[&str]) {
        run_git(&self.path(), args);
    }
}

fn run_git(folder: &Path, args: &[&str]) {
    let status = Command::new("git").arg("-C").arg(folder).args(args).status().unwrap();
    assert!(status.success(), "git {args:?}");
}

pub struct Daemon {
    child: Child,
    url: String,
}

impl Daemon {
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // `git daemon` is a wrapper around the process that serves.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status();
        let _ = self.child.wait();
    }
}
