//! What an inline program is: an async function of a [`Context`] that returns the stack's outputs.

use std::sync::Arc;

use async_trait::async_trait;

use crate::context::{Context, Package};
use crate::program_error::ProgramError;
use crate::value::Outputs;

/// A program may be run twice in one operation (once to preview, once for real) and must declare the
/// same resources both times. For a closure see [`program`].
#[async_trait]
pub trait Program: Send + Sync {
    /// Declares the stack's resources and returns its outputs. The future is dropped when the engine goes
    /// away; a panic is an error of the program.
    async fn run(&self, context: &Context) -> Result<Outputs, ProgramError>;

    /// The provider packages it uses, as far as their versions matter before it runs: the engine installs
    /// them and takes these versions for its default providers. None by default.
    fn packages(&self) -> Vec<Package> {
        Vec::new()
    }
}

/// A closure as a program.
///
/// ```no_run
/// # use pulumi_auto::{Input, Outputs, ResourceArgs};
/// let program = pulumi_auto::program(|context| async move {
///     let args = ResourceArgs {
///         resource_type: "random:index/randomPet:RandomPet".to_owned(),
///         name: "pet".to_owned(),
///         inputs: [("length".to_owned(), Input::from(2))].into(),
///         ..ResourceArgs::default()
///     };
///     let pet = context.register(args).await?;
///     Ok(Outputs::from([("name".to_owned(), pet.id())]))
/// });
/// ```
pub fn program<F, Fut>(run: F) -> Arc<dyn Program>
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outputs, ProgramError>> + Send + 'static,
{
    Arc::new(Closure(run))
}

struct Closure<F>(F);

#[async_trait]
impl<F, Fut> Program for Closure<F>
where
    F: Fn(Context) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Outputs, ProgramError>> + Send,
{
    async fn run(&self, context: &Context) -> Result<Outputs, ProgramError> {
        (self.0)(context.clone()).await
    }
}

/// What a task of the program said when it panicked.
pub(crate) fn panic_message(error: tokio::task::JoinError) -> String {
    let message = match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned()),
        Err(error) => error.to_string(),
    };
    format!("the program panicked: {message}")
}
