//! The bytes of one SSH connection, from the client's pipe into a WebSocket and back: what `ssh` starts as its ProxyCommand.
//!
//! Each direction waits for its other side and for nothing else. The end of the input is passed on; what the instance still
//! says after it arrives.

use std::convert::Infallible;
use std::time::Duration;

use contracts::ssh::END_OF_INPUT;
use contracts::{ErrorCode, Problem};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// As the instance does it; what is silent for long is ended by something on the way.
const PING: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(90);
const CHUNK: usize = 32 * 1024;

/// Returns when the instance has no more to say, or when nobody listens to it any more.
pub async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<S>,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> Result<(), Problem> {
    let (mut sink, source) = socket.split();
    let ended = tokio::select! {
        ended = down(source, output) => ended,
        never = up(input, &mut sink) => match never {},
    };
    // Nobody waits for a goodbye that cannot be said.
    let _ = timeout(Duration::from_secs(1), sink.send(Message::Close(None))).await;
    ended
}

/// That nothing can be sent any more is no end: what was sent before that is still to be read, and then its end is.
async fn up<S: AsyncRead + AsyncWrite + Unpin>(
    mut input: impl AsyncRead + Unpin,
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
) -> Infallible {
    let mut buffer = vec![0; CHUNK];
    let mut is_open = true;
    loop {
        let message = if is_open {
            match timeout(PING, input.read(&mut buffer)).await {
                Err(_) => Message::Ping(Bytes::new()),
                Ok(Ok(read @ 1..)) => Message::Binary(Bytes::copy_from_slice(&buffer[..read])),
                Ok(_) => {
                    is_open = false;
                    Message::text(END_OF_INPUT)
                }
            }
        } else {
            sleep(PING).await;
            Message::Ping(Bytes::new())
        };
        if sink.send(message).await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn down<S: AsyncRead + AsyncWrite + Unpin>(
    mut source: SplitStream<WebSocketStream<S>>,
    mut output: impl AsyncWrite + Unpin,
) -> Result<(), Problem> {
    loop {
        match timeout(SILENCE, source.next()).await {
            Ok(Some(Ok(Message::Binary(bytes)))) => {
                let written = async { output.write_all(&bytes).await.and(output.flush().await) };
                // The client has gone, and it knows best why.
                if written.await.is_err() {
                    return Ok(());
                }
            }
            Ok(Some(Ok(Message::Close(_)))) => return Ok(()),
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(_)) | None) | Err(_) => return Err(lost()),
        }
    }
}

fn lost() -> Problem {
    Problem::new(ErrorCode::UpstreamUnreachable, "The connection to the instance broke.")
        .with_action("Connect again. `pilot ws ls` shows whether the workspace runs.")
}
