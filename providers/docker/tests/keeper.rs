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

/// Written by a shell: a file that this process has open for writing cannot be executed by the child of another test.
fn program(path: &Path, text: &str) {
    let script = format!("cat > {0} && chmod +x {0}", path.display());
    let mut write = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut write.stdin.take().unwrap(), text.as_bytes()).unwrap();
    assert!(write.wait().unwrap().success());
}

struct Keeper {
    folder: tempfile::TempDir,
    child: Child,
    said: Receiver<String>,
}

impl Keeper {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        program(&folder.path().join("nft"), NFT);
        Self::in_folder(folder, [])
    }

    fn in_folder<const N: usize>(
        folder: tempfile::TempDir,
        settings: [(&str, std::ffi::OsString); N],
    ) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", KEEPER])
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .env("STATE", folder.path())
            .envs([("TABLE", "pilot_test"), ("RULES", "the rules")])
            .envs(settings)
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

/// Each table is a file with what it was put there by. A list of a chain or of a set knows nothing.
const NFT_OF_LISTS: &str = r#"#!/bin/sh
case "$*" in
    "-f -") cat > "$STATE/in"; ! grep -q bad "$STATE/in" || exit 1; ! grep -q '^flush' "$STATE/in" || { cut -d' ' -f4,5 "$STATE/in" >> "$STATE/flushed"; exit; }
        name=$(sed -n 's/^add table inet //p' "$STATE/in"); mv "$STATE/in" "$STATE/${name:-pilot_test}.table" ;;
    "-s list"*) cat "$STATE/$5.table" 2>/dev/null; printf '\tset others4 {\n\t\telements = { %s }\n\t}\n' "$(date +%N)" ;;
    "list set inet pilot_test_pmx refused4") printf '\tset refused4 {\n\t\telements = { 203.0.113.9 . 6 . 443 expires 59m,\n\t\t\t 203.0.113.8 . 17 . 53 expires 58m }\n\t}\n' ;;
    "list set inet pilot_test refused4") printf 'elements = { "pmy" . 10.0.0.1 . 6 . 22, "pmx" . 10.0.0.9 . 6 . 80 counter packets 1 bytes 60 }\n' ;;
    "-s -t list"*) cat "$STATE/$6.table" 2>/dev/null ;;
    "list tables"*) for file in "$STATE"/*.table; do name=${file##*/}; echo "table inet ${name%.table}"; done ;;
    "list table"*) cat "$STATE/held" 2>/dev/null; test -e "$STATE/$4.table" ;;
    "list"*) exit 1 ;;
    "delete table"*) rm "$STATE/$4.table" ;;
esac
"#;
/// It serves until it is ended, and says at once what it was asked.
const DNSMASQ: &str = r#"#!/bin/sh
if [ "$1" = --test ]; then ! grep wrong "${2#--conf-file=}" >&2; exit; fi
echo ' started, ' >&2
for name in $(seq 1 450); do echo "dnsmasq[1]: config n$name.example is NXDOMAIN" >&2; done
for _ in 1 2 3; do
    echo "dnsmasq[1]: query[A] a.example from 172.18.0.2" >&2
    echo "dnsmasq[1]: config refused.example is NXDOMAIN" >&2
done
exec sleep 3600
"#;

/// A keeper with a list, which answers what is asked in the list's folder.
struct WithList(Keeper);

impl Drop for WithList {
    fn drop(&mut self) {
        let pid = self.read("run/pmx.pid");
        let _ = Command::new("kill").arg(pid.trim()).stderr(Stdio::null()).status();
    }
}

impl WithList {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["lists", "run"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        for (name, text) in [("nft", NFT_OF_LISTS), ("dnsmasq", DNSMASQ)] {
            program(&folder.path().join(name), text);
        }
        Self::in_folder(folder)
    }

    fn in_folder(folder: tempfile::TempDir) -> Self {
        let at = |name: &str| folder.path().join(name).into_os_string();
        let settings = [("LISTS", at("lists")), ("RUN", at("run")), ("LIFE", "1".into())];
        Self(Keeper::in_folder(folder, settings))
    }

    /// The machine is down and up: of all that it keeps, only the folder with the lists is left.
    fn reboot(mut self) -> Self {
        self.0.signal("-TERM");
        self.0.child.wait().unwrap();
        let folder = std::mem::replace(&mut self.0.folder, tempfile::tempdir().unwrap());
        let gone = "kill $(cat run/*.pid); rm -r run ./*.table; mkdir run";
        assert!(
            Command::new("sh").args(["-ec", gone]).current_dir(folder.path()).status().unwrap().success()
        );
        Self::in_folder(folder)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.folder.path().join(name)
    }

    fn ask(&self, text: &str) {
        std::fs::write(self.path("lists/pmx.list"), text).unwrap();
        std::fs::write(self.path("lists/bell"), "").unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// What its resolver says when it begins.
    fn has_heard_all(&self) -> bool {
        self.read("run/pmx.names").matches("refused.example").count() >= 3
    }

    fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !is(self) {
            assert!(std::time::Instant::now() < deadline, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_list_is_said_to_be_in_force_to_who_has_asked_last_and_not_while_it_is_written() {
    let keeper = WithList::start();
    keeper.ask("v 1\nr one\ns n4_0 n6_0\nn the table\nd server=/a.example/@\nend\n");
    keeper.until("the first answer", |keeper| keeper.read("lists/pmx.done") == "one\n");
    assert!(keeper.read("pilot_test_pmx.table").contains("the table"));
    assert!(keeper.read("run/pmx.conf").starts_with("interface=pmx\nserver=/a.example/"));
    keeper.ask("v 1\nr two\ns n4_0");
    keeper.until("it has looked", |keeper| !keeper.path("lists/bell").exists());
    assert_eq!(keeper.read("lists/pmx.done"), "one\n");
    keeper.ask("v 1\nr two\ns n4_0 n6_0\nn the table\nd server=/a.example/@\nend\n");
    keeper.until("the second answer", |keeper| keeper.read("lists/pmx.done") == "two\n");
    keeper.ask("v none\nend\n");
    let left = [
        "pilot_test_pmx.table",
        "lists/pmx.list",
        "lists/pmx.now",
        "lists/pmx.done",
        "run/pmx.pid",
        "run/pmx.conf",
    ];
    keeper.until("it is gone", |keeper| left.iter().all(|name| !keeper.path(name).exists()));
}

#[test]
fn a_list_is_back_after_a_reboot_before_anybody_asks_for_it() {
    let keeper = WithList::start();
    keeper.ask("v 1\nr one\ns n4_0 n6_0\nn the table\nend\n");
    keeper.until("the first answer", |keeper| keeper.read("lists/pmx.done") == "one\n");
    keeper.until("all is heard", WithList::has_heard_all);
    let keeper = keeper.reboot();
    keeper.until("its table is back", |keeper| keeper.read("pilot_test_pmx.table").contains("the table"));
    keeper.until("its names are answered", WithList::has_heard_all);
}

#[test]
fn who_asks_what_was_refused_is_told_of_this_bridge_alone_and_no_file_grows() {
    let keeper = WithList::start();
    keeper.ask("v 7\nr one\ns n4_0\nn the table\nend\n");
    keeper.until("it is in force", |keeper| keeper.read("lists/pmx.done") == "one\n");
    keeper.until("all is heard", WithList::has_heard_all);
    let look = |question: &str| {
        let answer = std::cell::RefCell::default();
        keeper.until("an answer", |keeper| {
            let seen = keeper.read("lists/pmx.seen");
            let is_whole = seen.starts_with(&format!("{question}\n")) && seen.ends_with("\nend\n");
            // Old answers are thrown away, a new one with them: then who waits asks again.
            if !is_whole && !keeper.path("lists/pmx.ask").exists() {
                std::fs::write(keeper.path("lists/pmx.ask"), format!("{question}\nend\n")).unwrap();
                std::fs::write(keeper.path("lists/bell"), "").unwrap();
            }
            *answer.borrow_mut() = seen;
            is_whole
        });
        answer.into_inner()
    };
    let seen = look("q1");
    let lines = |letter: &str| seen.lines().filter_map(|line| line.strip_prefix(letter)).collect::<Vec<_>>();
    assert_eq!(lines("v "), ["7"], "{seen}");
    let names = lines("n ");
    assert_eq!(names.len(), 100, "{seen}");
    assert!(names.iter().any(|line| line.ends_with(" 3 refused.example")), "{seen}");
    assert!(!seen.contains("a.example"), "what was answered is not told: {seen}");
    assert_eq!(
        lines("a ").iter().map(|line| line.trim()).collect::<Vec<_>>(),
        ["203.0.113.9 . 6 . 443 expires 59m", "203.0.113.8 . 17 . 53 expires 58m"]
    );
    assert_eq!(
        lines("c ").iter().map(|line| line.trim()).collect::<Vec<_>>(),
        ["10.0.0.9 . 6 . 80 counter packets 1 bytes 60"]
    );
    assert!(lines("s ").contains(&"pilot_test_pmx refused4 2"), "{seen}");
    assert!(keeper.read("run/pmx.names").lines().count() < 400, "of 453 names");
    assert!(keeper.read("run/pmx.log").lines().count() < 60);
    assert!(look("q2").starts_with("q2\n") && !keeper.path("lists/pmx.ask").exists());
    assert!(
        keeper.0.said.try_recv().is_err(),
        "what is remembered, another at each look, is no change of the rules"
    );
    // A list that is not served is not called one that is in force.
    std::fs::write(keeper.path("lists/pmx.list"), "v 7\n").unwrap();
    std::fs::remove_file(keeper.path("pilot_test_pmx.table")).unwrap();
    assert!(!look("q3").contains("\nv "), "its table is gone, and nobody knows how to make it");
}

#[test]
fn what_was_answered_is_forgotten_in_turns_so_that_one_of_two_has_it_still() {
    let keeper = WithList::start();
    keeper.ask("v 1\nr one\ns n4_0 n6_443\nn the table\nend\n");
    keeper.until("four turns", |keeper| keeper.read("flushed").lines().count() >= 8);
    let flushed = keeper.read("flushed");
    let turn = ["n4_0_a", "n6_443_a", "n4_0_b", "n6_443_b"].map(|set| format!("pilot_test_pmx {set}"));
    let turns: Vec<_> = flushed.lines().take(8).collect();
    assert_eq!(turns, turn.iter().chain(&turn).collect::<Vec<_>>());
}

#[test]
fn what_it_takes_away_are_the_tables_of_lists_as_well() {
    let mut keeper = WithList::start();
    keeper.ask("v 1\nr one\ns\nn the table\nend\n");
    keeper.until("it is in force", |keeper| keeper.read("lists/pmx.done") == "one\n");
    keeper.0.signal("-USR1");
    assert_eq!(keeper.0.child.wait().unwrap().code(), Some(3));
    assert!(!keeper.path("pilot_test_pmx.table").exists() && !keeper.path("pilot_test.table").exists());
}

#[test]
fn a_list_that_cannot_be_in_force_takes_nothing_from_the_one_before() {
    let keeper = WithList::start();
    keeper.ask("v 1\nr one\ns n4_0 n6_0\nn the table\nd server=/a.example/@\nend\n");
    keeper.until("the first answer", |keeper| keeper.read("lists/pmx.done") == "one\n");
    let (table, pid) = (keeper.read("pilot_test_pmx.table"), keeper.read("run/pmx.pid"));
    for (question, list, why) in [
        ("two", "n other rules\nd wrong=/b.example/", "dnsmasq does not take its names: wrong=/b.example/"),
        ("three", "n bad rules\nd server=/b.example/@", "nft does not take its rules"),
    ] {
        keeper.ask(&format!("v {question}\nr {question}\ns\n{list}\nend\n"));
        let failed = format!("{question} failed: {why}");
        keeper.until(&failed, |keeper| keeper.read("lists/pmx.done").trim_end() == failed);
        assert_eq!(
            (keeper.read("pilot_test_pmx.table"), keeper.read("run/pmx.pid")),
            (table.clone(), pid.clone())
        );
        assert!(std::path::Path::new("/proc").join(pid.trim()).exists(), "its names are answered");
    }
    // It is also the one that is made again.
    std::fs::remove_file(keeper.path("pilot_test_pmx.table")).unwrap();
    keeper.until("it is back", |keeper| keeper.read("pilot_test_pmx.table") == table);
    assert!(keeper.read("run/pmx.conf").contains("server=/a.example/"));
}

#[test]
fn what_names_have_led_to_stays_where_the_next_list_has_them() {
    let keeper = WithList::start();
    let file = |question: &str, sets: &str, heirs: &str| {
        format!("v {question}\nr {question}\ns {sets}\nn the table\n{heirs}end\n")
    };
    keeper.ask(&file("one", "n4_aae n6_aae n4_bbe n6_bbe", "k aae aae aae aab\nk bbe bbe bbe bbb ccw ccb\n"));
    keeper.until("the first answer", |keeper| keeper.read("lists/pmx.done") == "one\n");
    let held = "table inet pilot_test_pmx {\n\tset n4_aae_a {\n\t\ttype ipv4_addr\n\t\telements = { 203.0.113.1,\n\t\t\t 203.0.113.2 }\n\t}\n\
                \tset n4_aae_b {\n\t\ttype ipv4_addr\n\t}\n\tset n6_bbe_b {\n\t\ttype ipv6_addr\n\t\telements = { 2001:db8::7 }\n\t}\n}\n";
    let kept = |question: &str, sets: &str, heirs: &str| {
        std::fs::write(keeper.path("held"), held).unwrap();
        keeper.ask(&file(question, sets, heirs));
        keeper.until(question, |keeper| keeper.read("lists/pmx.done").trim_end() == question);
        let table = keeper.read("pilot_test_pmx.table");
        let kept = table.lines().filter_map(|line| line.strip_prefix("add element inet pilot_test_pmx "));
        kept.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let (a, b) = ("{ 203.0.113.1, 203.0.113.2 }", "{ 2001:db8::7 }");
    assert_eq!(
        kept("two", "n4_aae n6_aae", "k aae aae aae aab\nk bbe bbe bbe bbb ccw ccb\n"),
        [format!("n4_aae_a {a}")]
    );
    let wider = kept("three", "n4_aab n6_aab n4_ccw n6_ccw", "k bbe bbe bbe bbb ccw ccb\n");
    assert_eq!(wider, [format!("n4_aab_a {a}"), format!("n6_ccw_b {b}")]);
    assert!(kept("four", "n4_dde n6_dde", "").is_empty());
}
