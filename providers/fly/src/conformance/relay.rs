//! Stands between a provider and the simulator, and can be gone: then connections are refused.

use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub struct Relay {
    pub address: SocketAddr,
    target: SocketAddr,
    here: Mutex<Option<Here>>,
}

/// It goes when the first is dropped, and has gone when the second has ended.
type Here = (oneshot::Sender<()>, JoinHandle<()>);

impl Relay {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, target, here: Mutex::new(Some(begin(listener, target))) }
    }

    /// Refuses connections and has ended those that were open.
    pub async fn go(&self) {
        let here = self.here.lock().unwrap().take();
        if let Some((goes, task)) = here {
            drop(goes);
            task.await.unwrap();
        }
    }

    pub async fn come_back(&self) {
        if self.here.lock().unwrap().is_some() {
            return;
        }
        let listener = TcpListener::bind(self.address).await.unwrap();
        *self.here.lock().unwrap() = Some(begin(listener, self.target));
    }
}

fn begin(listener: TcpListener, target: SocketAddr) -> Here {
    let (goes, gone) = oneshot::channel();
    (goes, tokio::spawn(serve(listener, target, gone)))
}

async fn serve(listener: TcpListener, target: SocketAddr, mut gone: oneshot::Receiver<()>) {
    let mut open = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut gone => {
                drop(listener);
                return open.shutdown().await;
            }
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    open.spawn(pass(client, target));
                }
            }
            Some(_) = open.join_next() => {}
        }
    }
}

async fn pass(mut client: TcpStream, target: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(target).await {
        // Either side may end it at any time.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}
