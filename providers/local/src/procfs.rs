//! Reads the process table. The labels of an instance are environment variables, which every child
//! inherits, so the table itself says which processes belong to which runtime.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use contracts::{InstallationId, RuntimeId};
use provider_kit::command::MARK;
use provider_kit::instance::{INSTALLATION, RUNTIME};

use crate::layout::HOME;

/// The runtime's folder: of a data folder that was restored beside the one that is served there are two.
pub(crate) const FOLDER: &str = "PILOT_FOLDER";

/// One process for ever: its id can be given to another, its id with its start time cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Identity {
    /// In clock ticks since boot. First, so that identities sort by age.
    pub started: u64,
    pub pid: i32,
}

#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub identity: Identity,
    pub parent: i32,
    /// The file name of `argv[0]`.
    pub program: Vec<u8>,
    pub label: Option<Label>,
    /// Where one without a label says that its home is: what some tools leave of the environment.
    pub home: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub installation: InstallationId,
    pub runtime: RuntimeId,
    /// Instances of early versions do not say it.
    pub folder: Option<PathBuf>,
}

impl Label {
    /// Whether its runtime's folder is this one, under whatever name; also when it is nowhere any more.
    pub fn is_in(&self, folder: &Path) -> bool {
        let Some(theirs) = self.folder.as_deref().filter(|theirs| *theirs != folder) else { return true };
        let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        identity(theirs).is_none_or(|theirs| identity(folder) == Some(theirs))
    }
}

/// Every process that runs and that this account may look at. Zombies are gone: all that is left of
/// them is a line that their parent has not read.
pub(crate) fn scan() -> Vec<Process> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) {
            processes.extend(read(pid));
        }
    }
    processes
}

/// What was begun by the command with this word, as its environment tells.
pub(crate) fn marked(word: &str) -> Vec<Identity> {
    let mark = format!("{MARK}={word}").into_bytes();
    let is_marked = |pid: i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|&byte| byte == 0).any(|entry| entry == mark)
    };
    let all = scan().into_iter().map(|process| process.identity);
    all.filter(|identity| is_marked(identity.pid)).collect()
}

/// `None` when there is no such process any more.
pub(crate) fn read(pid: i32) -> Option<Process> {
    let folder = Path::new("/proc").join(pid.to_string());
    let stat = fs::read(folder.join("stat")).ok()?;
    let (identity, parent) = parse_stat(pid, &stat)?;
    // Empty for kernel threads, refused for other accounts: not ours in both cases.
    let environ = fs::read(folder.join("environ")).unwrap_or_default();
    // A container's has the labels as well, and is its provider's.
    let label = parse_label(&environ).filter(|_| !is_in_container(&folder));
    let program = match &label {
        Some(_) => program(&fs::read(folder.join("cmdline")).unwrap_or_default()),
        None => Vec::new(),
    };
    let home = match &label {
        Some(_) => None,
        None => value(&environ, "HOME").map(|home| PathBuf::from(OsStr::from_bytes(home))),
    };
    // Few are called so, and only those are looked into.
    let home = home.filter(|home| home.ends_with(HOME) && !is_in_container(&folder));
    Some(Process { identity, parent, program, label, home })
}

/// Whether exactly this process still runs.
pub(crate) fn is_alive(identity: Identity) -> bool {
    let stat = fs::read(format!("/proc/{}/stat", identity.pid)).ok();
    stat.and_then(|stat| parse_stat(identity.pid, &stat)).is_some_and(|(now, _)| now == identity)
}

/// Whether it stands still since a signal, or has ended.
pub(crate) fn stands_still(identity: Identity) -> bool {
    let stat = fs::read(format!("/proc/{}/stat", identity.pid)).unwrap_or_default();
    let after = stat.iter().rposition(|&byte| byte == b')').map_or(0, |at| at + 1);
    let state = stat.get(after..).unwrap_or_default().iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(state, None | Some(b'T' | b't' | b'Z' | b'X' | b'x'))
}

/// Whether it has a table of processes of its own, below the one of this process.
fn is_in_container(folder: &Path) -> bool {
    fs::read_to_string(folder.join("status")).is_ok_and(|status| is_nested(&status))
}

fn is_nested(status: &str) -> bool {
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    ids.is_some_and(|ids| ids.split_ascii_whitespace().count() > 1)
}

/// Fields are counted after the last `)`, because the program's name may hold anything.
fn parse_stat(pid: i32, stat: &[u8]) -> Option<(Identity, i32)> {
    let after = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let text = std::str::from_utf8(&stat[after..]).ok()?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let state = fields.first()?;
    if matches!(*state, "Z" | "X" | "x") {
        return None;
    }
    let parent = fields.get(1)?.parse().ok()?;
    let started = fields.get(19)?.parse().ok()?;
    Some((Identity { started, pid }, parent))
}

fn parse_label(environ: &[u8]) -> Option<Label> {
    let bytes = |name: &str| value(environ, name);
    let value = |name: &str| std::str::from_utf8(bytes(name)?).ok();
    Some(Label {
        installation: value(INSTALLATION)?.parse().ok()?,
        runtime: value(RUNTIME)?.parse().ok()?,
        folder: bytes(FOLDER).map(|folder| OsStr::from_bytes(folder).into()),
    })
}

fn value<'a>(environ: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut entries = environ.split(|&byte| byte == 0);
    entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn program(cmdline: &[u8]) -> Vec<u8> {
    let first = cmdline.split(|&byte| byte == 0).next().unwrap_or_default();
    Path::new(OsStr::from_bytes(first)).file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = b"42 (a) S (b)) S 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 123456 0 0";
        assert_eq!(parse_stat(42, stat), Some((Identity { started: 123_456, pid: 42 }, 7)));
    }

    #[test]
    fn a_process_of_a_container_is_told_by_its_second_id() {
        assert!(!is_nested("Name:\tx\nNSpid:\t4711\nNSpgid:\t4711\n"));
        assert!(is_nested("Name:\tx\nNSpid:\t4711\t1\nNSpgid:\t4711\t1\n"));
        // Kernels of before have no such line.
        assert!(!is_nested("Name:\tx\n"));
        assert!(!is_in_container(Path::new("/proc/self")));
    }

    #[test]
    fn a_zombie_is_gone() {
        let stat = b"42 (x) Z 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 123456 0 0";
        assert_eq!(parse_stat(42, stat), None);
    }

    #[test]
    fn only_both_labels_together_count() {
        let label = parse_label(b"A=b\0PILOT_RUNTIME=rt-1\0PILOT_INSTALLATION=in-1\0").unwrap();
        assert_eq!((label.runtime.as_str(), label.installation.as_str()), ("rt-1", "in-1"));
        assert_eq!(parse_label(b"PILOT_RUNTIME=rt-1\0"), None);
        assert_eq!(parse_label(b"XPILOT_RUNTIME=rt-1\0PILOT_INSTALLATION=in-1\0"), None);
    }

    #[test]
    fn a_folder_is_another_only_when_both_are_there() {
        let root = tempfile::tempdir().unwrap();
        let (one, other) = (root.path().join("one"), root.path().join("other"));
        fs::create_dir(&one).unwrap();
        let environ =
            format!("PILOT_RUNTIME=rt-1\0PILOT_INSTALLATION=in-1\0PILOT_FOLDER={}\0", one.display());
        let label = parse_label(environ.as_bytes()).unwrap();
        assert!(label.is_in(&one) && !label.is_in(&other));
        fs::create_dir(&other).unwrap();
        assert!(!label.is_in(&other));
        fs::remove_dir(&other).unwrap();
        fs::rename(&one, &other).unwrap();
        assert!(label.is_in(&other), "it was moved");
        assert!(parse_label(b"PILOT_RUNTIME=rt-1\0PILOT_INSTALLATION=in-1\0").unwrap().is_in(&one));
    }

    #[test]
    fn the_own_process_is_alive_and_one_with_another_start_time_is_not() {
        let own = read(std::process::id() as i32).unwrap().identity;
        assert!(is_alive(own));
        assert!(!is_alive(Identity { started: own.started + 1, ..own }));
    }
}
