//! A stack whose operations run on Pulumi Deployments, in Pulumi Cloud.

use super::*;
use crate::options::{EnvVar, ExecutorImage, Remote, RemoteGit};
use crate::setters::setters;

/// A stack that Pulumi Deployments works on: it has a source in a repository, or that of its deployment settings,
/// always. Everything else, such as outputs and history, is asked of its [`RemoteStack::stack`].
#[derive(Debug, Clone)]
pub struct RemoteStack {
    stack: Stack,
    remote: Remote,
}

impl Stack {
    /// This stack with the program of a repository. Its name must be fully qualified.
    pub fn remote(&self, git: RemoteGit) -> RemoteStack {
        RemoteStack { stack: self.clone(), remote: Remote::default().git(git) }
    }

    /// This stack with the program, and all else, of its deployment settings.
    pub fn remote_by_settings(&self) -> RemoteStack {
        RemoteStack { stack: self.clone(), remote: Remote::default().inherit_settings(true) }
    }
}

setters!([] RemoteStack, Remote [remote.] {
    env(Vec<EnvVar>),
    pre_run_commands(Vec<String>),
    skip_install_dependencies(bool),
    executor_image(Option<ExecutorImage>),
    agent_pool(Option<String>),
});

impl RemoteStack {
    /// The stack itself.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// As [`Stack::up`], there.
    pub fn up(&self) -> Request<Update> {
        self.there(self.stack.up(Source::Project))
    }

    /// As [`Stack::preview`], there.
    pub fn preview(&self) -> Request<Summary> {
        self.there(self.stack.preview(Source::Project))
    }

    /// As [`Stack::refresh`], there.
    pub fn refresh(&self) -> Request<Summary> {
        self.there(self.stack.refresh(Source::Project))
    }

    /// As [`Stack::destroy`], there.
    pub fn destroy(&self) -> Request<Summary> {
        self.there(self.stack.destroy(Source::Project))
    }

    fn there<T>(&self, mut request: Request<T>) -> Request<T> {
        request.options.remote = Some(self.remote.clone());
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[test]
    fn a_remote_stack_has_its_source_in_every_operation_whatever_else_is_said() {
        let stack = Recorder::default().workspace().stack("me/shop/dev");
        let remote = stack
            .remote(RemoteGit::new("https://git.example/shop").branch("main"))
            .env([EnvVar::new("A", "b")]);
        let request = remote.up().with(&Options::default().message("why"));
        let sent = request.options.remote.unwrap();
        assert_eq!((sent.git.unwrap().branch.as_deref(), sent.env.len()), (Some("main"), 1));
        for request in [remote.preview(), remote.refresh(), remote.destroy()] {
            assert!(request.options.remote.is_some_and(|remote| remote.git.is_some()));
        }
        let settled = stack.remote_by_settings().up().options.remote.unwrap();
        assert_eq!(settled.inherit_settings, Some(true));
    }
}
