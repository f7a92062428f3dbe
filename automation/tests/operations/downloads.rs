//! Plugins that a program says it needs.

use std::sync::Arc;

use pulumi_auto::{Context, Options, Outputs, Package, Program, ProgramError};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::support::world::World;
use crate::things::{Noted, nothing, thing};

/// Says that it needs a package, and does not use it.
struct Declares {
    download_url: String,
}

#[async_trait::async_trait]
impl Program for Declares {
    async fn run(&self, context: &Context) -> Result<Outputs, ProgramError> {
        context.register(thing("a", [])).await?;
        Ok(nothing())
    }

    fn packages(&self) -> Vec<Package> {
        let (name, version) = ("far".to_owned(), "1.0.0".to_owned());
        vec![Package::new(name, version).download_url(self.download_url.clone())]
    }
}

/// A server of plugins that has none; what it was asked for.
async fn empty_server() -> (String, Noted<String>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (address, asked) = (format!("http://{}", listener.local_addr().unwrap()), Noted::new());
    let noted = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            noted.note(line);
            let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    });
    (address, asked)
}

#[tokio::test]
async fn plugins_are_downloaded_unless_that_is_switched_off() {
    let world = World::new().await;
    let stack = world.stack("downloads").await;
    let (download_url, asked) = empty_server().await;
    let declares: Arc<dyn Program> = Arc::new(Declares { download_url });
    let options = Options::default().install_plugins(false);
    stack.up(Arc::clone(&declares)).with(&options).await.unwrap();
    assert_eq!(asked.all(), Vec::<String>::new());
    // One that is missing matters only when it is used.
    stack.up(declares).await.unwrap();
    assert!(asked.all()[0].contains("pulumi-resource-far-v1.0.0"), "{:?}", asked.all());
}
