//! As much of a WebSocket client as a terminal test needs: short text frames, one at a time.

use std::time::Duration;

use contracts::assertion::Surface;
use contracts::headers::ASSERTION;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::instance::Instance;

pub struct Socket {
    stream: TcpStream,
}

/// Upgrades, or fails the test with the answer.
pub async fn connect(instance: &Instance, surface: Surface, path: &str) -> Socket {
    let mut stream = TcpStream::connect(("127.0.0.1", instance.port)).await.unwrap();
    let token = instance.token(&instance.runtime, surface);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: demo.localhost:14080\r\nOrigin: http://demo.localhost:14080\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{ASSERTION}: {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    Socket { stream }
}

impl Socket {
    /// Clients mask their frames; a mask of zeroes leaves the text readable.
    pub async fn send_text(&mut self, text: &str) {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).unwrap();
        let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Reads frames until all that was read contains `text`.
    pub async fn until_text(&mut self, text: &str, limit: Duration) {
        let mut read = String::new();
        let found = tokio::time::timeout(limit, async {
            while !read.contains(text) {
                let frame = self.frame().await;
                read.push_str(&String::from_utf8_lossy(&frame));
            }
        });
        assert!(found.await.is_ok(), "{text:?} did not come; read: {read:?}");
    }

    async fn frame(&mut self) -> Vec<u8> {
        let _opcode = self.stream.read_u8().await.unwrap();
        let length = match self.stream.read_u8().await.unwrap() {
            126 => usize::from(self.stream.read_u16().await.unwrap()),
            127 => usize::try_from(self.stream.read_u64().await.unwrap()).unwrap(),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.unwrap();
        payload
    }
}
