use std::net::SocketAddr;
use std::sync::Mutex;

use contracts::assertion::Surface;
use contracts::headers::ASSERTION;
use contracts::identity::{RuntimeCapabilities, RuntimeHealth, RuntimeIdentity};
use contracts::ssh::END_OF_INPUT;
use futures_util::{SinkExt, StreamExt};
use http::Request as Asking;
use proxy::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;
use crate::testing::{Signer, identity, runtime};
use crate::{RuntimeAdapter, Verifier};

const HOST: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8t0XwGu8vyNPYHbFlvv1wBGxhvKrz8QbOqHPB7JhHy";
const CLIENT: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEWT02sLaS7g9j43L6yDVMQW4cqFOtYJNQJhCWN0RcH2";
const SOON: Duration = Duration::from_secs(10);

/// Gives back what it is sent, and says goodbye at the end of its input. Its OpenCode never answers.
struct Echo {
    opened: Mutex<Vec<String>>,
    ended: Arc<Semaphore>,
}

async fn echo(mut ours: DuplexStream, alive: oneshot::Receiver<()>, ended: Arc<Semaphore>) {
    let mut buffer = vec![0; 4096];
    let echo = async {
        while let Ok(read @ 1..) = ours.read(&mut buffer).await {
            if ours.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
        let _ = ours.write_all(b"bye").await;
        drop(ours);
        std::future::pending().await
    };
    tokio::select! {
        () = echo => {}
        _ = alive => {}
    }
    ended.add_permits(1);
}

#[async_trait]
impl SshServer for Echo {
    async fn info(&self) -> Result<SshInfo, Problem> {
        Ok(SshInfo { user: "pilot".to_owned(), host_key: HOST.parse().unwrap() })
    }

    async fn open(&self, key: &PublicKey) -> Result<SshConnection, Problem> {
        self.opened.lock().unwrap().push(key.to_string());
        let (theirs, ours) = tokio::io::duplex(64 * 1024);
        let (alive, gone) = oneshot::channel();
        tokio::spawn(echo(ours, gone, self.ended.clone()));
        let (output, input) = tokio::io::split(theirs);
        let info = self.info().await?;
        Ok(SshConnection { info, input: Box::new(input), output: Box::new(output), alive })
    }
}

#[async_trait]
impl RuntimeAdapter for Echo {
    fn identity(&self) -> RuntimeIdentity {
        identity()
    }

    async fn capabilities(&self) -> RuntimeCapabilities {
        RuntimeCapabilities::default()
    }

    async fn health(&self) -> RuntimeHealth {
        crate::Status::starting("never").health_of(identity())
    }

    fn ssh(&self) -> Option<&dyn SshServer> {
        Some(self)
    }

    async fn proxy(&self, _: Asking<Body>, _: &str) -> Result<http::Response<Body>, Problem> {
        Err(Problem::new(ErrorCode::OpencodeUnavailable, "it is broken"))
    }
}

struct World {
    at: SocketAddr,
    signer: Signer,
    echo: Arc<Echo>,
}

async fn world() -> World {
    let (signer, echo) =
        (Signer::new(7), Arc::new(Echo { opened: Mutex::default(), ended: Arc::new(Semaphore::new(0)) }));
    let app = crate::app(echo.clone(), Verifier::new(signer.public(), &runtime(), None));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    World { at, signer, echo }
}

impl World {
    /// A WebSocket with these headers beside its own, or why there is none.
    async fn open(&self, headers: &[(&str, &str)]) -> Result<WebSocketStream<TcpStream>, (u16, String)> {
        let mut request = Asking::builder()
            .uri(format!("ws://{}/api/ssh", self.at))
            .header("host", "demo")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let stream = TcpStream::connect(self.at).await.unwrap();
        match client_async(request.body(()).unwrap(), stream).await {
            Ok((socket, answer)) => {
                assert_eq!(answer.headers()[HOST_KEY], HOST);
                Ok(socket)
            }
            Err(Error::Http(answer)) => {
                let text = String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default()).into_owned();
                Err((answer.status().as_u16(), text))
            }
            Err(other) => panic!("{other}"),
        }
    }

    async fn connect(&self) -> Result<WebSocketStream<TcpStream>, (u16, String)> {
        let token = self.signer.token("rt-test", Surface::Api);
        self.open(&[(ASSERTION, &token), (KEY, CLIENT)]).await
    }

    /// How many servers were ended.
    async fn ended(&self, count: u32) {
        let all = self.echo.ended.acquire_many(count);
        drop(tokio::time::timeout(SOON, all).await.expect("they end").unwrap());
    }
}

#[tokio::test]
async fn without_the_gateways_word_and_exactly_one_sound_key_no_server_is_begun() {
    let world = world().await;
    let token = world.signer.token("rt-test", Surface::Api);
    let elsewhere = world.signer.token("rt-other", Surface::Api);
    let good = (ASSERTION, token.as_str());
    let forced = format!("command=\"sh\" {CLIENT}");
    for (headers, status) in [
        (vec![(KEY, CLIENT)], 401),
        (vec![(ASSERTION, elsewhere.as_str()), (KEY, CLIENT)], 401),
        (vec![good], 400),
        (vec![good, (KEY, CLIENT), (KEY, HOST)], 400),
        (vec![good, (KEY, forced.as_str())], 400),
        (vec![good, (KEY, "ssh-ed25519 AAAA")], 400),
    ] {
        let (refused, text) = world.open(&headers).await.unwrap_err();
        assert_eq!(refused, status, "{headers:?}: {text}");
    }
    assert!(world.echo.opened.lock().unwrap().is_empty());
    // The UI's surface has no such route: what is there goes to OpenCode.
    let ui = world.signer.token("rt-test", Surface::Ui);
    assert_eq!(world.open(&[(ASSERTION, &ui), (KEY, CLIENT)]).await.unwrap_err().0, 503);
}

#[tokio::test]
async fn bytes_arrive_as_they_are_and_what_is_said_after_the_end_of_input_is_not_lost() {
    let world = world().await;
    let socket = world.connect().await.unwrap();
    assert_eq!(*world.echo.opened.lock().unwrap(), [CLIENT]);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|number| (number * 31 % 251) as u8).collect();
    let (mut sink, mut source) = socket.split();
    let up = async {
        for chunk in sent.chunks(100_000) {
            sink.send(Message::binary(chunk.to_vec())).await.unwrap();
        }
        sink.send(Message::text(END_OF_INPUT)).await.unwrap();
        sink
    };
    let down = async {
        let mut got = Vec::new();
        while let Some(Ok(message)) = source.next().await {
            match message {
                Message::Binary(bytes) => got.extend_from_slice(&bytes),
                Message::Close(_) => return got,
                _ => {}
            }
        }
        panic!("it ended without a goodbye after {} bytes", got.len());
    };
    let (sink, got) =
        tokio::time::timeout(SOON * 3, async { tokio::join!(up, down) }).await.expect("all arrives");
    // Who has heard the goodbye goes.
    drop((sink, source));
    assert!(got.len() == sent.len() + 3 && got.starts_with(&sent) && got.ends_with(b"bye"), "{}", got.len());
    world.ended(1).await;
}

#[tokio::test]
async fn connections_are_counted_and_one_that_is_gone_ends_its_server_and_makes_room() {
    let world = world().await;
    let mut all = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        all.push(world.connect().await.unwrap());
    }
    let (status, text) = world.connect().await.unwrap_err();
    assert!(status == 503 && text.contains("32 SSH connections"), "{status} {text}");
    // Without a word, as a machine that is switched off.
    drop(all.pop());
    world.ended(1).await;
    let deadline = tokio::time::Instant::now() + SOON;
    let again = loop {
        match world.connect().await {
            Ok(socket) => break socket,
            Err(refused) => assert!(tokio::time::Instant::now() < deadline, "{refused:?}"),
        }
    };
    drop((again, all));
    world.ended(MOST_CONNECTIONS as u32 + 1).await;
}
