//! The input of a connection's server. Its end is the client's end, and the session's: a server that sees the end of its input
//! ends at once and leaves what it has begun to whoever adopts it, so the session is hung up before that.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::io::AsyncWrite;
use tokio::process::ChildStdin;

use crate::proc_table;

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
        for pid in below(self.server) {
            let _ = kill_process(pid, Signal::HUP);
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
