//! Who is told of every command and operation after it ran.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;

/// A command or an operation that has ended.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Ran<'a> {
    /// Such as `stack init` or `up`.
    pub name: &'a str,
    /// The stack that it was about, if it was about one.
    pub stack: Option<&'a str>,
    /// From its call to its end.
    pub duration: Duration,
    /// Why it failed, if it did.
    pub error: Option<&'a Error>,
}

#[derive(Clone)]
pub(crate) struct Observer(Arc<dyn Fn(&Ran<'_>) + Send + Sync>);

impl fmt::Debug for Observer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Observer")
    }
}

impl Workspace {
    /// The function is called after every command and operation of this workspace and of its stacks, whatever engine
    /// runs it, before the caller has its result. It should not block. What is dropped before its end is not told.
    pub fn with_observer(mut self, observer: impl Fn(&Ran<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer(Arc::new(observer)));
        self
    }

    /// Runs something, and tells of it.
    pub(crate) async fn observed<T>(
        &self,
        name: &str,
        stack: &str,
        run: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let began = Instant::now();
        let result = run.await;
        if let Some(Observer(observer)) = &self.observer {
            let stack = Some(stack).filter(|stack| !stack.is_empty());
            observer(&Ran { name, stack, duration: began.elapsed(), error: result.as_ref().err() });
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::recorder::Recorder;
    use crate::source::Source;

    #[tokio::test]
    async fn whoever_watches_is_told_of_every_command_and_operation_and_how_it_ended() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        let recorder = Recorder::failing(Error::StackNotFound { stack: "dev".to_owned() });
        let workspace = recorder.workspace().with_observer(move |ran| {
            let stack = ran.stack.unwrap_or("-");
            log.lock().unwrap().push(format!("{} {stack} {}", ran.name, ran.error.is_none()));
        });
        let stack = workspace.stack("dev");
        stack.export().await.unwrap_err();
        stack.up(Source::Project).await.unwrap();
        workspace.default_organization().await.unwrap();
        assert_eq!(
            *told.lock().unwrap(),
            ["stack export dev false", "up dev true", "org get-default - true"]
        );
    }
}
