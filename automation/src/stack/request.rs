//! An operation that has not begun: told how to run, then awaited.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::import::Import;
use super::*;
use crate::event::EngineEvent;
use crate::options::{DebugOptions, DisplayOptions, Pending, Plan, Policy, Printed, Select, option_setters};

/// One operation on one stack, such as [`Stack::up`] makes it. Awaited, it runs; until then nothing happens. What it
/// does not understand is [`Error::Option`] with the option's name.
///
/// ```no_run
/// # async fn run(stack: pulumi_auto::Stack, urn: &str) -> pulumi_auto::Result<()> {
/// # use pulumi_auto::Source;
/// let update = stack.up(Source::Project).parallel(4).target(urn).message("front only").await?;
/// # Ok(()) }
/// ```
#[must_use = "an operation runs when it is awaited"]
pub struct Request<T> {
    pub(super) stack: Stack,
    pub(super) kind: OperationKind,
    pub(super) work: Work,
    pub(super) options: Options,
    pub(super) finish: fn(Stack, OperationResult, Option<String>) -> T,
}

/// What an operation works with.
pub(super) enum Work {
    Program(Source),
    Import(Import),
}

impl<T> Request<T> {
    /// All options at once, in place of those that were set before. Those of a [`RemoteStack`] keep its source.
    pub fn options(mut self, options: Options) -> Self {
        let remote = self.options.remote.take().or(options.remote.clone());
        self.options = Options { remote, ..options };
        self
    }

    /// As [`Request::options`], for options that are kept.
    pub fn with(self, options: &Options) -> Self {
        self.options(options.clone())
    }

    async fn run(self) -> Result<T> {
        let Self { stack, kind, work, options, finish } = self;
        match work {
            Work::Program(program) => {
                let finished = stack.operate(kind, program, Command::default(), &options).await?;
                Ok(finish(stack, finished, None))
            }
            Work::Import(import) => {
                let (finished, code) = import.run(&stack, kind, &options).await?;
                Ok(finish(stack, finished, code))
            }
        }
    }
}

option_setters!([T] Request<T>, [options.]);

impl<T: 'static> IntoFuture for Request<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<T> fmt::Debug for Request<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("stack", &self.stack.name)
            .field("kind", &self.kind)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
