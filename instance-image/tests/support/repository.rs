//! A git repository with one file, for clones.

use std::path::Path;
use std::process::{Command, Stdio};

pub fn create(folder: &Path) -> String {
    std::fs::write(folder.join("hello.txt"), "hello").unwrap();
    for arguments in [&["init", "-b", "main"][..], &["add", "."], &["commit", "-m", "first"]] {
        let status = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "git {arguments:?}");
    }
    format!("file://{}", folder.display())
}
