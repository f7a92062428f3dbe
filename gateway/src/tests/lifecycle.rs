//! Start and end of a gateway.

use std::time::{Duration, Instant};

use contracts::ErrorCode;
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::tests::streams::handshake;
use crate::tests::world::{World, config, nowhere};

#[tokio::test]
async fn a_taken_port_is_named_with_what_to_do() {
    let world = World::new().await;
    let mut second = config(nowhere().await);
    second.listen = world.gateway.address();
    let problem = crate::start(second).await.err().unwrap();
    assert_eq!(problem.code, ErrorCode::PortInUse);
    assert!(problem.detail.contains(&world.gateway.address().to_string()));
}

#[tokio::test]
async fn a_shutdown_ends_streams_and_tunnels_in_bounded_time_and_frees_the_port() {
    let world = World::new().await;
    let mut events = world.get("demo", "/events").send().await.unwrap().bytes_stream();
    events.next().await.unwrap().unwrap();
    let token = format!("authorization: Bearer {}", crate::tests::world::ADMIN);
    let (mut tunnel, head) = handshake(&world, "demo", "/ws", &token).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");

    let address = world.gateway.address();
    let began = Instant::now();
    world.gateway.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(8));
    assert_eq!(tunnel.read(&mut [0; 8]).await.unwrap_or(0), 0);
    while let Some(Ok(_)) = events.next().await {}
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_answer_under_way_is_finished_before_the_end() {
    let world = World::new().await;
    world.script.lock().unwrap().delay = Duration::from_millis(300);
    let request = tokio::spawn(world.get("demo", "/").send());
    let deadline = Instant::now() + Duration::from_secs(10);
    // The orchestrator is asked: the request is in the gateway's hands.
    while world.arrived() == 0 {
        assert!(Instant::now() < deadline, "the request never arrives");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.gateway.shutdown().await;
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
}
