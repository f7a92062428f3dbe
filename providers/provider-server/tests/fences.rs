//! The fence that a module hears, as an engine's calls make it, without an engine.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, ReadRequest, ReadState, Resource, ResourceSchema,
    Result, UpdateRequest,
};
use provider_server::{Authority, Expiry, Registry, Server};
use pulumi_gestalt_proto::pulumi::pulumirpc as rpc;
use rpc::resource_provider_client::ResourceProviderClient;

/// Keeps what it hears.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<Option<u64>>>>);

impl Ear {
    fn hear(&self, fence: Option<u64>) {
        self.0.lock().unwrap().push(fence);
    }
}

#[async_trait]
impl Resource for Ear {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: "pilot:ear:Ear",
            description: "An ear.",
            inputs: Vec::new(),
            outputs: Vec::new(),
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        self.hear(request.fence);
        Ok(Created { id: "ear".to_owned(), outputs: Properties::new() })
    }

    async fn read(&self, _: ReadRequest) -> Result<Option<ReadState>> {
        Ok(None)
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        self.hear(request.fence);
        Ok(Properties::new())
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.hear(request.fence);
        Ok(())
    }
}

#[tokio::test]
async fn every_write_has_the_fence_that_was_said_of_its_stack() {
    let ear = Ear::default();
    let server = Server::start(Registry::of([Arc::new(ear.clone()) as Arc<dyn Resource>])).await.unwrap();
    let address = format!("http://127.0.0.1:{}", server.port());
    let mut engine = ResourceProviderClient::connect(address).await.unwrap();
    let mut heard = async |stack: &str| {
        let urn = format!("urn:pulumi:{stack}::pilot::pilot:ear:Ear::ear");
        engine.create(rpc::CreateRequest { urn: urn.clone(), ..Default::default() }).await.unwrap();
        engine.update(rpc::UpdateRequest { urn: urn.clone(), ..Default::default() }).await.unwrap();
        engine.delete(rpc::DeleteRequest { urn, ..Default::default() }).await.unwrap();
        std::mem::take(&mut *ear.0.lock().unwrap())
    };
    assert_eq!(heard("rt-1").await, [None; 3], "nothing was said");
    let operation = server.fenced("rt-1", Authority { fence: Some(7), expiry: None });
    assert_eq!(heard("rt-1").await, [Some(7); 3]);
    assert_eq!(heard("rt-2").await, [None; 3], "another stack");
    drop(operation);
    let _next = server.fenced("rt-1", Authority { fence: Some(8), expiry: None });
    assert_eq!(heard("rt-1").await, [Some(8); 3]);
}

#[tokio::test]
async fn once_a_right_is_over_nothing_is_changed_until_it_holds_again() {
    let ear = Ear::default();
    let server = Server::start(Registry::of([Arc::new(ear.clone()) as Arc<dyn Resource>])).await.unwrap();
    let address = format!("http://127.0.0.1:{}", server.port());
    let mut engine = ResourceProviderClient::connect(address).await.unwrap();
    let urn = "urn:pulumi:shared-ear::pilot::pilot:ear:Ear::ear".to_owned();
    let expiry = Expiry::after(Duration::ZERO);
    let _operation = server.fenced("shared-ear", Authority { fence: None, expiry: Some(expiry.clone()) });
    let create = || rpc::CreateRequest { urn: urn.clone(), ..Default::default() };
    let delete = || rpc::DeleteRequest { urn: urn.clone(), ..Default::default() };
    let refused = [engine.create(create()).await.err(), engine.delete(delete()).await.err()];
    for status in refused {
        assert!(status.unwrap().message().starts_with("fenced: "));
    }
    let read = rpc::ReadRequest { id: "ear".to_owned(), urn: urn.clone(), ..Default::default() };
    assert!(engine.read(read).await.is_ok(), "looking changes nothing");
    assert!(ear.0.lock().unwrap().is_empty());
    expiry.put_off(&Expiry::ever());
    engine.create(create()).await.unwrap();
    assert_eq!(ear.0.lock().unwrap().len(), 1);
}
