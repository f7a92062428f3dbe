//! The server through which the engine calls a program's functions; one for each run that needs it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use tonic::{Request, Response, Status};

use crate::loopback::Loopback;
use crate::program_error::ProgramError;
use crate::wire as rpc;
use crate::wire::MAX_MESSAGE;
use rpc::callbacks_server::{Callbacks, CallbacksServer};

/// A function from one encoded message to another.
pub(super) type Handler =
    Arc<dyn Fn(Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, ProgramError>> + Send + Sync>;

type Table = Arc<Mutex<HashMap<String, Handler>>>;

/// Serves until dropped or closed.
pub(super) struct Server {
    server: Loopback,
    table: Table,
}

impl Server {
    pub async fn start() -> Result<Self, ProgramError> {
        let table = Table::default();
        let service = CallbacksServer::new(Service(Arc::clone(&table)))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let refused = |error| ProgramError::Refused(format!("could not listen for the engine: {error}"));
        let server = Loopback::serve(service).await.map_err(refused)?;
        Ok(Self { server, table })
    }

    /// What the engine is told to call.
    pub fn add(&self, handler: Handler) -> rpc::Callback {
        let token = match self.table.lock() {
            Ok(mut table) => {
                let token = table.len().to_string();
                table.insert(token.clone(), handler);
                token
            }
            // Then nothing answers to it, and the engine says so.
            Err(_) => String::new(),
        };
        rpc::Callback { target: self.server.address().to_string(), token, accepts_byte_string: true }
    }

    /// Lets go of every function: they may hold the context that holds this.
    pub fn close(&self) {
        self.server.close();
        if let Ok(mut table) = self.table.lock() {
            table.clear();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}

struct Service(Table);

#[tonic::async_trait]
impl Callbacks for Service {
    async fn invoke(
        &self,
        request: Request<rpc::CallbackInvokeRequest>,
    ) -> Result<Response<rpc::CallbackInvokeResponse>, Status> {
        let request = request.into_inner();
        let handler = self.0.lock().ok().and_then(|table| table.get(&request.token).cloned());
        let handler =
            handler.ok_or_else(|| Status::not_found("the program has no such function any more"))?;
        // A task of its own turns a panic into an error.
        let response = tokio::spawn(async move { handler(request.request).await }).await;
        match response {
            Ok(Ok(response)) => Ok(Response::new(rpc::CallbackInvokeResponse { response })),
            Ok(Err(error)) => Err(Status::unknown(error.to_string())),
            Err(panic) => Err(Status::unknown(crate::program::panic_message(panic))),
        }
    }
}
