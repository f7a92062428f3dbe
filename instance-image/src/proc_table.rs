//! The kernel's process table, as far as it is about who is whose child.

use std::collections::HashSet;

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub zombie: bool,
}

/// Every process that can be seen. One that ends while the table is read may be missing.
pub fn read() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .filter_map(|entry| std::fs::read(entry.path().join("stat")).ok())
        .filter_map(|stat| parse(&stat))
        .collect()
}

/// Everything below `root`, without `root` itself.
pub fn descendants(table: &[Process], root: i32) -> Vec<Process> {
    let mut known = HashSet::from([root]);
    let mut found = Vec::new();
    loop {
        let before = found.len();
        for process in table {
            if known.contains(&process.parent) && known.insert(process.pid) {
                found.push(*process);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// `pid (name) state ppid ...`; the name may hold anything, even ')'.
fn parse(stat: &[u8]) -> Option<Process> {
    let stat = String::from_utf8_lossy(stat);
    let (head, tail) = stat.rsplit_once(')')?;
    let pid = head.split_once(' ')?.0.parse().ok()?;
    let mut fields = tail.split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    Some(Process { pid, parent: fields.next()?.parse().ok()?, zombie })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_is_no_obstacle() {
        let parsed = parse(b"42 (a) Z 1 (b) S 7 42 42 0 -1").unwrap();
        assert_eq!(parsed, Process { pid: 42, parent: 7, zombie: false });
        assert!(parse(b"43 (x) Z 7 1").unwrap().zombie);
    }

    #[test]
    fn grandchildren_are_found_in_any_order_and_strangers_are_not() {
        let line = |pid, parent| Process { pid, parent, zombie: false };
        let table = [line(30, 20), line(20, 10), line(11, 1), line(10, 1), line(31, 20)];
        let mut pids: Vec<_> = descendants(&table, 10).iter().map(|process| process.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [20, 30, 31]);
    }

    #[test]
    fn this_process_is_in_the_table() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(read().iter().any(|process| process.pid == me && !process.zombie));
    }
}
