//! What Linux knows of this process and of those that it started.

use std::fs;

/// The most memory that a process had, in MB.
pub fn peak(process: &str) -> f64 {
    let kilobytes = number(&format!("/proc/{process}/status"), "VmHWM:");
    kilobytes / 1024.0
}

/// The memory that a process has now, in MB.
pub fn resident(process: &str) -> f64 {
    number(&format!("/proc/{process}/status"), "VmRSS:") / 1024.0
}

/// Bytes that the children wrote to the disk so far.
pub fn written() -> f64 {
    children().iter().map(|pid| number(&format!("/proc/{pid}/io"), "write_bytes:")).sum()
}

/// The processes that were started here and still run: the engine host, where one is used.
pub fn children() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The number after a name in a file of /proc; 0 when it cannot be read.
fn number(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let value = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    value.unwrap_or_default()
}
