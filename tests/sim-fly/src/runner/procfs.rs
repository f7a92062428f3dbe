//! The processes of a machine, found by the mark in their environment. So those are found too that left
//! the machine's process group, and those of a simulator that was killed.

use std::fs;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The variable that every process of a machine carries.
pub const MARK: &str = "FLY_MACHINE_ID";

/// Every living process of the machine.
pub fn of_machine(machine: &str) -> Vec<i32> {
    let mark = format!("{MARK}={machine}").into_bytes();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| is_marked(*pid, &mark) && is_alive(*pid)).collect()
}

fn is_marked(pid: i32, mark: &[u8]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|&byte| byte == 0).any(|variable| variable == mark)
}

/// Not there, or ended and not yet waited for, is not alive.
pub fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

/// Signals the group of the first process and everything else with the machine's mark, until a look
/// finds nobody new.
pub fn signal_all(machine: &str, leader: Option<i32>, signal: Signal) {
    if let Some(group) = leader.and_then(Pid::from_raw) {
        // What has ended meanwhile needs no signal.
        let _ = kill_process_group(group, signal);
    }
    let mut done = Vec::new();
    loop {
        let found = of_machine(machine);
        let new: Vec<i32> = found.into_iter().filter(|pid| !done.contains(pid)).collect();
        if new.is_empty() {
            return;
        }
        for pid in new.iter().copied().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
        done.extend(new);
    }
}
