//! The program that keeps the rules of a host, with an `nft` that only notes what it is asked and takes its time.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const KEEPER: &str = include_str!("../src/egress/keeper.sh");
/// There is a table while there is a file.
const NFT: &str = r#"#!/bin/sh
sleep 0.15
case "$*" in
    "-f -") cat > "$STATE/table" ;;
    "-s list"*) cat "$STATE/table" 2>/dev/null ;;
    "delete table"*) rm "$STATE/table" ;;
esac
"#;
const IN_PLACE: &str = "the rules are in place";

struct Keeper {
    folder: tempfile::TempDir,
    child: Child,
    said: Receiver<String>,
}

impl Keeper {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nft = folder.path().join("nft");
        // Written by a shell: a file that this process has open for writing cannot be executed by the child of another test.
        let script = format!("cat > {0} && chmod +x {0}", nft.display());
        let mut write = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut write.stdin.take().unwrap(), NFT.as_bytes()).unwrap();
        assert!(write.wait().unwrap().success());
        let mut child = Command::new("sh")
            .args(["-c", KEEPER])
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .env("STATE", folder.path())
            .envs([("TABLE", "pilot_test"), ("RULES", "the rules")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, said) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let keeper = Self { folder, child, said };
        assert_eq!(keeper.says(), IN_PLACE);
        keeper
    }

    fn says(&self) -> String {
        self.said.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    fn table(&self) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("table")
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_puts_back_what_is_removed_without_being_asked() {
    let keeper = Keeper::start();
    std::fs::remove_file(keeper.table()).unwrap();
    assert_eq!(keeper.says(), "the rules had been changed or removed");
    assert_eq!(keeper.says(), IN_PLACE);
}

#[test]
fn it_takes_its_rules_away_however_often_it_is_told_to() {
    let mut keeper = Keeper::start();
    let mut code = None;
    for _ in 0..200 {
        keeper.signal("-USR1");
        std::thread::sleep(Duration::from_millis(50));
        code = keeper.child.try_wait().unwrap();
        if code.is_some() {
            break;
        }
    }
    assert_eq!(code.unwrap().code(), Some(3));
    assert!(!keeper.table().exists());
}

#[test]
fn a_stop_leaves_the_rules_where_they_are() {
    let mut keeper = Keeper::start();
    keeper.signal("-TERM");
    assert_eq!(keeper.child.wait().unwrap().code(), Some(0));
    assert!(keeper.table().exists());
}
