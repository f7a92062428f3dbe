//! WebSocket tunnels over real sockets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Forwarder;
use crate::test_upstream::{hop, hop_with, read_all, read_head, read_until, scripted, send, soon};

const UPGRADE: &str = "GET /pty?cursor=1 HTTP/1.1\nhost: demo.localhost\nconnection: keep-alive, Upgrade\nupgrade: WebSocket\nsec-websocket-key: abc\nsec-websocket-version: 13\n\n";
const ACCEPTED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: xyz\r\n\r\n";

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_and_ends_with_either_side() {
    let upstream = scripted(|mut stream, head| async move {
        assert!(head.contains("connection: upgrade") && head.contains("upgrade: websocket"), "{head}");
        assert!(head.contains("sec-websocket-key: abc"), "{head}");
        // The first bytes of the upstream may come in the same packet as its 101.
        stream.write_all(&[ACCEPTED, b"hello "].concat()).await.unwrap();
        let mut buffer = [0; 4];
        stream.read_exact(&mut buffer).await.unwrap();
        stream.write_all(&buffer).await.unwrap();
    })
    .await;
    let mut client = send(hop(upstream).await, UPGRADE).await;
    let head = read_head(&mut client).await;
    assert!(head.starts_with("http/1.1 101"), "{head}");
    for wanted in ["connection: upgrade", "upgrade: websocket", "sec-websocket-accept: xyz"] {
        assert!(head.contains(wanted), "{head}");
    }
    client.write_all(b"ping").await.unwrap();
    assert_eq!(read_all(client).await, "hello ping");
}

#[tokio::test]
async fn a_client_that_leaves_a_tunnel_ends_the_upstream_side() {
    let (ended, end) = tokio::sync::mpsc::unbounded_channel();
    let upstream = scripted(move |mut stream, _| {
        let ended = ended.clone();
        async move {
            stream.write_all(ACCEPTED).await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            ended.send(rest).unwrap();
        }
    })
    .await;
    let mut client = send(hop(upstream).await, UPGRADE).await;
    read_head(&mut client).await;
    client.write_all(b"bye").await.unwrap();
    drop(client);
    let mut end = end;
    assert_eq!(soon(end.recv()).await.unwrap(), b"bye");
}

#[tokio::test]
async fn a_refused_upgrade_hands_the_upstreams_answer_to_the_client() {
    let upstream = scripted(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
    })
    .await;
    let mut client = send(hop(upstream).await, UPGRADE).await;
    let answer = read_until(&mut client, "\r\n\r\nno").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn an_upstream_that_switches_to_another_protocol_is_refused() {
    let upstream = scripted(|mut stream, _| async move {
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
            .await
            .unwrap();
        let _ = stream.read_u8().await;
    })
    .await;
    let mut client = send(hop(upstream).await, UPGRADE).await;
    let answer = read_until(&mut client, "upstream").await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
}

#[tokio::test]
async fn a_request_that_is_no_websocket_request_is_not_upgraded() {
    for bad in [
        UPGRADE.replace("WebSocket", "h2c"),
        UPGRADE.replace("WebSocket", "websocket, h2c"),
        UPGRADE.replace("keep-alive, Upgrade", "close"),
        UPGRADE.replace("GET", "POST").replace("\n\n", "\ncontent-length: 0\n\n"),
    ] {
        let upstream = scripted(|mut stream, head| async move {
            let upgrade = head.contains("upgrade");
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{upgrade}", upgrade.to_string().len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let mut client = send(hop(upstream).await, &bad).await;
        read_until(&mut client, "\r\n\r\nfalse").await;
    }
}

#[tokio::test]
async fn tunnels_are_closed_on_demand() {
    let upstream = scripted(|mut stream, _| async move {
        stream.write_all(ACCEPTED).await.unwrap();
        let _ = stream.read_u8().await;
    })
    .await;
    let forwarder = Forwarder::new();
    let mut client = send(hop_with(forwarder.clone(), upstream).await, UPGRADE).await;
    read_head(&mut client).await;
    forwarder.close_tunnels();
    assert_eq!(read_all(client).await, "");
}
