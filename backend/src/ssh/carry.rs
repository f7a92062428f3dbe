//! The bytes of one SSH connection, from a WebSocket to the server's input and from its output back.
//!
//! Each direction waits for its other side and for nothing else, so neither needs more than one buffer, and neither can
//! hold up the other. An end of input is passed on, and what the server still says after it arrives.

use std::time::Duration;

use contracts::ssh::{END_OF_INPUT, LARGEST_MESSAGE};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::SshConnection;

/// Keeps the connection alive where something on the way ends what is silent, and shows who is gone.
const PING: Duration = Duration::from_secs(20);
/// Who says nothing for so long, not even a pong, is gone.
const SILENCE: Duration = Duration::from_secs(90);
/// What the client gets to answer our goodbye. Ending the connection before could take the last bytes with it.
const FAREWELL: Duration = Duration::from_secs(10);
const CHUNK: usize = 32 * 1024;

/// Returns when the connection is over, whoever has ended it.
pub(super) async fn carry<S: AsyncRead + AsyncWrite + Unpin>(stream: S, connection: SshConnection) {
    let SshConnection { info: _, input, output, alive } = connection;
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE));
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let (sink, source) = socket.split();
    let up = up(source, input);
    tokio::pin!(up);
    tokio::select! {
        () = &mut up => {}
        ended = down(output, sink) => {
            if ended.is_some() {
                let _ = timeout(FAREWELL, up).await;
            }
        }
    }
    drop(alive);
}

/// Ends with the WebSocket. What comes after the server has ended is read and dropped: the client may still be at its goodbye.
async fn up<S: AsyncRead + AsyncWrite + Unpin>(
    mut source: SplitStream<WebSocketStream<S>>,
    input: impl AsyncWrite + Unpin,
) {
    let mut input = Some(input);
    while let Ok(Some(Ok(message))) = timeout(SILENCE, source.next()).await {
        match message {
            Message::Binary(bytes) => {
                let Some(open) = &mut input else { continue };
                let written = async { open.write_all(&bytes).await.and(open.flush().await) };
                if written.await.is_err() {
                    input = None;
                }
            }
            Message::Text(text) if text.as_str() == END_OF_INPUT => {
                if let Some(mut open) = input.take() {
                    let _ = open.shutdown().await;
                }
            }
            Message::Close(_) => return,
            _ => {}
        }
    }
}

/// Says goodbye when the server has no more to say. `None` when the client does not take anything any more.
async fn down<S: AsyncRead + AsyncWrite + Unpin>(
    mut output: impl AsyncRead + Unpin,
    mut sink: SplitSink<WebSocketStream<S>, Message>,
) -> Option<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match timeout(PING, output.read(&mut buffer)).await {
            Err(_) => sink.send(Message::Ping(Bytes::new())).await.ok()?,
            Ok(Ok(read @ 1..)) => {
                sink.send(Message::Binary(Bytes::copy_from_slice(&buffer[..read]))).await.ok()?;
            }
            // A pipe that breaks has ended.
            Ok(_) => return sink.send(Message::Close(None)).await.ok(),
        }
    }
}
