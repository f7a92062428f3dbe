//! The input of a connection's server. Its end is the client's end, and the session's: a server that sees the end of its input
//! ends at once and leaves what it has begun to whoever adopts it, so the session is hung up before that.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::io::AsyncWrite;
use tokio::process::ChildStdin;

use crate::proc_table;

/// One that was just begun may not be seen yet, so that there is nobody new is believed the second time. More often than this
/// nobody looks.
const LOOKS: usize = 20;

/// Hangs up when it is dropped.
pub struct Input {
    stdin: ChildStdin,
    server: u32,
}

impl Input {
    pub fn new(stdin: ChildStdin, server: u32) -> Self {
        Self { stdin, server }
    }
}

impl Drop for Input {
    /// As if a telephone line was hung up: all that the session has begun is told so. What ignores it (`nohup`), and what has made
    /// itself a child of the init (tmux, an editor's server), wants to go on and is the instance's.
    fn drop(&mut self) {
        // What stands still begins nothing more, so nobody is missed.
        let (mut all, mut quiet) = (Vec::new(), 0);
        for _ in 0..LOOKS {
            let new: Vec<Pid> = below(self.server).into_iter().filter(|pid| !all.contains(pid)).collect();
            quiet = if new.is_empty() { quiet + 1 } else { 0 };
            if quiet == 2 {
                break;
            }
            for &pid in &new {
                let _ = kill_process(pid, Signal::STOP);
            }
            all.extend(new);
        }
        for pid in all {
            let _ = kill_process(pid, Signal::HUP);
            let _ = kill_process(pid, Signal::CONT);
        }
    }
}

/// What is below a child of ours that still runs: once it was waited for, its number may be another's.
pub fn below(server: u32) -> Vec<Pid> {
    let (Ok(server), me) = (i32::try_from(server), getpid().as_raw_nonzero().get()) else {
        return Vec::new();
    };
    let table = proc_table::read();
    let is_ours =
        |process: &proc_table::Process| (process.pid, process.parent, process.zombie) == (server, me, false);
    if !table.iter().any(is_ours) {
        return Vec::new();
    }
    proc_table::descendants(&table, server).iter().filter_map(|process| Pid::from_raw(process.pid)).collect()
}

impl AsyncWrite for Input {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_session_that_begins_programs_while_it_is_hung_up_leaves_none_of_them() {
        // As in an instance, whoever has started this test.
        let _caught = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).unwrap();
        let seconds = format!("98{}", std::process::id());
        let session = format!("echo up; for i in $(seq 300); do sleep {seconds} & done; wait");
        let mut server = Command::new("sh")
            .args(["-c", &format!("sh -c '{session}'; exit 0")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "up");
        drop(Input::new(server.stdin.take().unwrap(), server.id().unwrap()));
        server.wait().await.unwrap();
        let line = format!("sleep\0{seconds}\0").into_bytes();
        let left = || {
            let all = std::fs::read_dir("/proc").unwrap().flatten();
            all.filter(|one| std::fs::read(one.path().join("cmdline")).is_ok_and(|read| read == line)).count()
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while left() != 0 {
            assert!(Instant::now() < deadline, "{} go on without their session", left());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
