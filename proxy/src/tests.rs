//! The hop over real sockets: streaming, framing, header hygiene and faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::test_upstream::{
    eventually, hop, hop_with, read_all, read_head, read_until, scripted, send, server, soon,
};
use crate::{BoxError, Forwarder, Target, body, empty, full};

const GET: &str = "GET /x?y=1 HTTP/1.1\nhost: demo.localhost\nconnection: close\n\n";

#[tokio::test]
async fn an_event_arrives_while_the_upstream_is_still_writing() {
    let (events, receiver) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let receiver = Arc::new(std::sync::Mutex::new(Some(receiver)));
    let upstream = server(move |_| {
        let mut receiver = receiver.lock().unwrap().take().unwrap();
        async move {
            let frames = stream::poll_fn(move |context| receiver.poll_recv(context));
            let frames = body(StreamBody::new(frames.map(|bytes| Ok::<_, BoxError>(Frame::data(bytes)))));
            Response::builder().header("content-type", "text/event-stream").body(frames).unwrap()
        }
    })
    .await;
    let mut client = send(hop(upstream).await, GET).await;
    assert!(read_head(&mut client).await.contains("content-type: text/event-stream"));
    for text in ["data: one\n\n", "data: two\n\n"] {
        events.send(Bytes::from(text)).unwrap();
        read_until(&mut client, text).await;
    }
    drop(events);
    read_until(&mut client, "0\r\n\r\n").await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_upstream_request() {
    let gone = Arc::new(AtomicBool::new(false));
    let seen = gone.clone();
    let upstream = scripted(move |mut stream, _| {
        let seen = seen.clone();
        async move {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n")
                .await
                .unwrap();
            read_head(&mut stream).await;
            seen.store(true, Ordering::SeqCst);
        }
    })
    .await;
    let mut client = send(hop(upstream).await, GET).await;
    read_until(&mut client, "hi").await;
    drop(client);
    eventually("the upstream sees the end", || gone.load(Ordering::SeqCst)).await;
}

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 1024;

#[tokio::test]
async fn a_large_answer_streams_and_a_slow_reader_slows_the_upstream() {
    let produced = Arc::new(AtomicUsize::new(0));
    let counter = produced.clone();
    let upstream = server(move |_| {
        let counter = counter.clone();
        async move { Response::new(large(counter)) }
    })
    .await;
    let forwarder = Forwarder::new();
    let target = Target::plain(upstream.to_string(), "/");
    let response = soon(forwarder.forward(Request::new(empty()), &target)).await.unwrap();

    // Nobody reads yet: only what fits the sockets' buffers may have been produced.
    let mut last = usize::MAX;
    while last != produced.load(Ordering::SeqCst) {
        last = produced.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(last < CHUNKS / 2, "{last} of {CHUNKS} chunks were taken without a reader");

    let mut body = response.into_body();
    let mut total = 0;
    while let Some(frame) = soon(body.frame()).await {
        total += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(total, CHUNK * CHUNKS);
}

#[tokio::test]
async fn a_large_request_streams_to_the_upstream() {
    let upstream = server(|request: Request<hyper::body::Incoming>| async move {
        let mut body = request.into_body();
        let mut total = 0;
        while let Some(frame) = body.frame().await {
            total += frame.unwrap().into_data().unwrap().len();
        }
        Response::new(full(total.to_string()))
    })
    .await;
    let target = Target::plain(upstream.to_string(), "/");
    let request = Request::post("/").body(large(Arc::default())).unwrap();
    let response = soon(Forwarder::new().forward(request, &target)).await.unwrap();
    let answer = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(answer, (CHUNK * CHUNKS).to_string());
}

#[tokio::test]
async fn the_request_arrives_as_it_was_without_the_headers_of_the_first_connection() {
    let upstream = scripted(|mut stream, head| async move {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nx-end: 1\r\n\r\n{head}", head.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let request = "GET /a%2Fb/../c?q=%20x HTTP/1.1\nhost: demo.localhost\nconnection: close, x-own-hop\nx-own-hop: 1\nte: trailers\nupgrade: h2c\nexpect: 100-continue\nx-end: 1\n\n";
    let answer = read_all(send(hop(upstream).await, request).await).await.to_lowercase();
    let (head, echoed) = answer.split_once("\r\n\r\n").unwrap();
    assert!(echoed.starts_with("get /a%2fb/../c?q=%20x http/1.1\r\n"), "{echoed}");
    for kept in ["host: demo.localhost", "x-end: 1"] {
        assert!(echoed.contains(kept), "{echoed}");
    }
    for dropped in ["x-own-hop", "te:", "upgrade", "expect"] {
        assert!(!echoed.contains(dropped), "{dropped} in {echoed}");
    }
    assert!(head.contains("x-end: 1") && !head.contains("x-hop") && !head.contains("keep-alive"), "{head}");
}

#[tokio::test]
async fn answers_without_a_body_keep_the_length_they_speak_of() {
    let upstream = scripted(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n").await.unwrap();
    })
    .await;
    let request = "HEAD / HTTP/1.1\nhost: a\nconnection: close\n\n";
    let answer = read_all(send(hop(upstream).await, request).await).await;
    assert!(answer.contains("content-length: 5000"), "{answer}");
}

#[tokio::test]
async fn a_redirect_is_handed_to_the_client() {
    let upstream = server(|_| async {
        Response::builder().status(307).header("location", "http://127.0.0.1:1/").body(empty()).unwrap()
    })
    .await;
    let answer = read_all(send(hop(upstream).await, GET).await).await;
    assert!(answer.starts_with("HTTP/1.1 307"), "{answer}");
}

#[tokio::test]
async fn a_target_that_does_not_listen_is_a_connect_error() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let answer = read_all(send(hop(free).await, GET).await).await;
    assert!(answer.ends_with("connect"), "{answer}");
}

#[tokio::test]
async fn a_target_that_never_takes_the_connection_is_a_timeout() {
    // A listener with a full queue leaves the next connection unanswered.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let limit = Duration::from_millis(200);
    let mut fillers = Vec::new();
    while let Ok(Ok(filler)) = tokio::time::timeout(limit, tokio::net::TcpStream::connect(address)).await {
        fillers.push(filler);
    }
    let hop = hop_with(Forwarder::with_connect_timeout(limit), address).await;
    let answer = read_all(send(hop, GET).await).await;
    assert!(answer.ends_with("timeout"), "{answer}");
}

#[tokio::test]
async fn an_upstream_that_hangs_up_or_does_not_speak_http_is_an_upstream_error() {
    for bytes in ["", "SSH-2.0-OpenSSH_9\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"] {
        let upstream = scripted(move |mut stream, _| async move {
            stream.write_all(bytes.as_bytes()).await.unwrap();
        })
        .await;
        let answer = read_all(send(hop(upstream).await, GET).await).await;
        assert!(answer.ends_with("upstream"), "{bytes:?}: {answer}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_does_not_end_cleanly() {
    for (head, clean_end) in [
        ("transfer-encoding: chunked\r\n\r\n5\r\nhel", "0\r\n\r\n"),
        ("content-length: 10\r\n\r\nhel", "hello"),
    ] {
        let upstream = scripted(move |mut stream, _| async move {
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()).await.unwrap();
        })
        .await;
        let answer = read_all(send(hop(upstream).await, GET).await).await;
        assert!(answer.contains("200 OK") && !answer.ends_with(clean_end), "{answer:?}");

        let target = Target::plain(upstream.to_string(), "/");
        let response = soon(Forwarder::new().forward(Request::new(empty()), &target)).await.unwrap();
        assert!(soon(response.into_body().collect()).await.is_err(), "{head}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again_for_the_next_request() {
    let connections = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let counter = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            while !read_head(&mut stream).await.is_empty() {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            }
        }
    });
    let hop = hop(address).await;
    for _ in 0..5 {
        assert!(read_all(send(hop, GET).await).await.ends_with("ok"));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

fn large(produced: Arc<AtomicUsize>) -> crate::Body {
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    let frames = (0..CHUNKS).map(move |_| {
        produced.fetch_add(1, Ordering::SeqCst);
        Ok::<_, BoxError>(Frame::data(chunk.clone()))
    });
    body(StreamBody::new(stream::iter(frames)))
}
