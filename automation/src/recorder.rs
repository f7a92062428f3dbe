//! An engine for unit tests: records what it is asked to run and answers with canned texts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use crate::argv;
use crate::engine::{Command, Engine, Operation, OperationResult, Place};
use crate::error::{Error, Result};
use crate::workspace::Workspace;

#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    commands: Vec<(Place, Command)>,
    answers: VecDeque<Result<String>>,
}

impl Recorder {
    /// Answers in the order of the commands; what is left over is answered with nothing.
    pub fn answering<const N: usize>(answers: [&str; N]) -> Self {
        let recorder = Self::default();
        let answers = answers.into_iter().map(|answer| Ok(answer.to_owned()));
        recorder.inner.lock().unwrap().answers.extend(answers);
        recorder
    }

    pub fn failing(error: Error) -> Self {
        let recorder = Self::default();
        recorder.inner.lock().unwrap().answers.push_back(Err(error));
        recorder
    }

    /// A workspace named `shop`, in a folder of its own.
    pub fn workspace(&self) -> Workspace {
        Workspace::temporary(self.clone(), "shop").unwrap()
    }

    pub fn commands(&self) -> Vec<Command> {
        self.inner.lock().unwrap().commands.iter().map(|(_, command)| command.clone()).collect()
    }

    /// The commands as the CLI would take them, each as one text.
    pub fn lines(&self) -> Vec<String> {
        self.commands().iter().map(|command| argv::of_command(command).join(" ")).collect()
    }

    pub fn places(&self) -> Vec<Place> {
        self.inner.lock().unwrap().commands.iter().map(|(place, _)| place.clone()).collect()
    }
}

#[async_trait]
impl Engine for Recorder {
    fn version(&self) -> &str {
        "recorder"
    }

    async fn command(&self, place: &Place, command: &Command) -> Result<String> {
        let mut inner = self.inner.lock().unwrap();
        inner.commands.push((place.clone(), command.clone()));
        inner.answers.pop_front().unwrap_or_else(|| Ok(String::new()))
    }

    async fn operate(&self, _: &Place, _: &Operation<'_>) -> Result<OperationResult> {
        Ok(OperationResult::default())
    }
}
