//! Serves one inline program to one CLI process.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::context::{Context, Package};
use crate::error::{Error, Result};
use crate::program::{Outputs, Program, ProgramError, panic_message};
use crate::wire::language_runtime_server::{LanguageRuntime, LanguageRuntimeServer};
use crate::wire::{
    GetRequiredPackagesRequest, GetRequiredPackagesResponse, MAX_MESSAGE, PackageDependency,
    PackageParameterization, RunRequest, RunResponse, RuntimePluginInfo,
};

/// What is known of the program after the CLI has ended.
#[derive(Default)]
pub(crate) struct Observed {
    /// Of the last run that reached its end.
    pub outputs: Option<Outputs>,
    /// The program's own failure, in its own words.
    pub error: Option<String>,
}

pub(crate) struct Server {
    address: SocketAddr,
    observed: Arc<Mutex<Observed>>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(program: Arc<dyn Program>) -> Result<Self> {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.map_err(Error::io("listen for the engine"))?;
        let address = listener.local_addr().map_err(Error::io("listen for the engine"))?;
        let observed = Arc::new(Mutex::new(Observed::default()));
        let service = LanguageRuntimeServer::new(Runtime { program, observed: Arc::clone(&observed) })
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let serve = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        let task = tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::debug!(%error, "program server ended");
            }
        });
        Ok(Self { address, observed, task })
    }

    /// For `--client=`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn observed(&self) -> Observed {
        self.observed.lock().map(|mut observed| std::mem::take(&mut *observed)).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Runtime {
    program: Arc<dyn Program>,
    observed: Arc<Mutex<Observed>>,
}

impl Runtime {
    fn note(&self, change: impl FnOnce(&mut Observed)) {
        if let Ok(mut observed) = self.observed.lock() {
            change(&mut observed);
        }
    }
}

#[tonic::async_trait]
impl LanguageRuntime for Runtime {
    async fn get_required_packages(
        &self,
        _: Request<GetRequiredPackagesRequest>,
    ) -> std::result::Result<Response<GetRequiredPackagesResponse>, Status> {
        let packages = self.program.packages().into_iter().map(package).collect();
        Ok(Response::new(GetRequiredPackagesResponse { packages }))
    }

    async fn get_plugin_info(
        &self,
        _: Request<()>,
    ) -> std::result::Result<Response<RuntimePluginInfo>, Status> {
        Ok(Response::new(RuntimePluginInfo { version: env!("CARGO_PKG_VERSION").to_owned() }))
    }

    async fn run(&self, request: Request<RunRequest>) -> std::result::Result<Response<RunResponse>, Status> {
        let request = request.into_inner();
        let program = Arc::clone(&self.program);
        // A task of its own turns a panic into a value; aborting it with the call stops a program that
        // would never return once the engine has gone.
        let mut task = AbortOnDrop(tokio::spawn(async move { run(program.as_ref(), &request).await }));
        let error = match (&mut task.0).await {
            Ok(Ok(outputs)) => {
                self.note(|observed| observed.outputs = Some(outputs));
                return Ok(Response::new(RunResponse::default()));
            }
            Ok(Err(error)) if error.is_told() => {
                return Ok(Response::new(RunResponse { error: String::new(), bail: true }));
            }
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic_message(panic),
        };
        self.note(|observed| observed.error = Some(error.clone()));
        Ok(Response::new(RunResponse { error, bail: false }))
    }
}

async fn run(program: &dyn Program, request: &RunRequest) -> std::result::Result<Outputs, ProgramError> {
    let context = Context::open(request).await?;
    // Also when this is aborted.
    let _closing = context.closing();
    // A program that fails has not said what the outputs are: the stack keeps those it had.
    let outputs = program.run(&context).await?;
    context.settled().await;
    context.export(&outputs).await?;
    context.finish().await;
    Ok(outputs)
}

fn package(package: Package) -> PackageDependency {
    let parameterization = package.parameterization.map(|parameterization| PackageParameterization {
        name: parameterization.name,
        version: parameterization.version,
        value: parameterization.value,
    });
    PackageDependency {
        name: package.name,
        kind: "resource".to_owned(),
        version: package.version,
        server: package.download_url,
        parameterization,
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
