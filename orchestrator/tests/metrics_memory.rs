//! What is measured and never asked for. A program of its own: its memory is nobody else's.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::time::Duration;

use orchestrator::metrics;

const AT_ONCE: usize = 200_000;
const ROUNDS: usize = 10;
/// Each sample has a value and a time: those of all rounds would be twice as much.
const MOST: usize = 16 * 1024 * 1024;

/// Memory of this process that is in use, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// As many requests as come to a busy server, and then a while of nothing.
async fn round() {
    for _ in 0..AT_ONCE {
        metrics::http("/v1/resolve/{workspace}", "GET", 200, Duration::from_millis(2));
    }
    tokio::time::sleep(Duration::from_secs(11)).await;
}

#[tokio::test(start_paused = true)]
async fn samples_that_nobody_asks_for_take_no_more_memory_however_many_they_are() {
    let handle = metrics::install();
    for _ in 0..3 {
        round().await;
    }
    let before = resident();
    for _ in 0..ROUNDS {
        round().await;
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < MOST, "{} samples took {grown} bytes", AT_ONCE * ROUNDS);
    let total = format!("status=\"200\"}} {}", AT_ONCE * (ROUNDS + 3));
    assert!(handle.render().contains(&total), "and none is lost");
}
