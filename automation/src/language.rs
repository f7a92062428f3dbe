//! Serves one inline program to one CLI process.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};

use crate::child;
use crate::context::{Context, Package, Parameterization};
use crate::error::{Error, Result};
use crate::gather::Observed;
use crate::loopback::Loopback;
use crate::program::{Program, panic_message};
use crate::program_error::ProgramError;
use crate::source::Source;
use crate::value::Outputs;
use crate::wire::language_runtime_server::{LanguageRuntime, LanguageRuntimeServer};
use crate::wire::{
    GetRequiredPackagesRequest, GetRequiredPackagesResponse, MAX_MESSAGE, PackageDependency,
    PackageParameterization, PluginInfo, RunRequest, RunResponse,
};

pub(crate) struct Server {
    server: Loopback,
    observed: Arc<Mutex<Observed>>,
}

impl Server {
    /// None for a program that the engine starts by itself.
    pub async fn of(source: &Source) -> Result<Option<Self>> {
        match source {
            Source::Project => Ok(None),
            source => Self::start(source.clone()).await.map(Some),
        }
    }

    async fn start(source: Source) -> Result<Self> {
        let observed = Arc::new(Mutex::new(Observed::default()));
        let service = LanguageRuntimeServer::new(Runtime { source, observed: Arc::clone(&observed) })
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let server = Loopback::serve(service).await.map_err(Error::io("listen for the engine"))?;
        Ok(Self { server, observed })
    }

    /// For `--client=`.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub fn observed(&self) -> Observed {
        self.observed.lock().map(|mut observed| std::mem::take(&mut *observed)).unwrap_or_default()
    }
}

struct Runtime {
    source: Source,
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
        let packages = match &self.source {
            Source::Inline(program) => program.packages().into_iter().map(package).collect(),
            Source::Child(_) | Source::Project => Vec::new(),
        };
        Ok(Response::new(GetRequiredPackagesResponse { packages }))
    }

    async fn get_plugin_info(&self, _: Request<()>) -> std::result::Result<Response<PluginInfo>, Status> {
        Ok(Response::new(PluginInfo { version: env!("CARGO_PKG_VERSION").to_owned() }))
    }

    async fn run(&self, request: Request<RunRequest>) -> std::result::Result<Response<RunResponse>, Status> {
        match answer(self.source.clone(), request.into_inner()).await {
            Ok(outputs) => {
                self.note(|observed| observed.outputs = outputs);
                Ok(Response::new(RunResponse::default()))
            }
            Err(None) => Ok(Response::new(RunResponse { error: String::new(), bail: true })),
            Err(Some(error)) => {
                self.note(|observed| observed.error = Some(error.clone()));
                Ok(Response::new(RunResponse { error, bail: false }))
            }
        }
    }
}

/// Runs a program to its end. Its outputs when it ran in this process; its error in its own words, or
/// none when the engine has told the reason already.
pub(crate) async fn answer(
    source: Source,
    request: RunRequest,
) -> std::result::Result<Option<Outputs>, Option<String>> {
    // A task of its own turns a panic into a value; aborting it with the call stops a program that
    // would never return once the engine has gone.
    let mut task = AbortOnDrop(tokio::spawn(async move { run(&source, &request).await }));
    match (&mut task.0).await {
        Ok(Ok(outputs)) => Ok(outputs),
        Ok(Err(error)) if error.is_told() => Err(None),
        Ok(Err(error)) => Err(Some(error.to_string())),
        Err(panic) => Err(Some(panic_message(panic))),
    }
}

/// The outputs, when the program ran in this process.
async fn run(source: &Source, request: &RunRequest) -> std::result::Result<Option<Outputs>, ProgramError> {
    match source {
        Source::Inline(program) => inline(program.as_ref(), request).await.map(Some),
        Source::Child(child) => child::run(child, request).await.map(|()| None),
        Source::Project => {
            Err(ProgramError::Failed("the project's own program is not hosted here".to_owned()))
        }
    }
}

async fn inline(program: &dyn Program, request: &RunRequest) -> std::result::Result<Outputs, ProgramError> {
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
    let to_wire =
        |Parameterization { name, version, value }| PackageParameterization { name, version, value };
    PackageDependency {
        name: package.name,
        kind: "resource".to_owned(),
        version: package.version,
        server: package.download_url,
        parameterization: package.parameterization.map(to_wire),
        extension: package.extension.map(to_wire),
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
