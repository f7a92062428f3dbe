//! The stacks of a workspace, by name.

use super::*;

impl Workspace {
    /// A stack of this project. Nothing is read or created yet.
    pub fn stack(&self, name: &str) -> Stack {
        Stack { workspace: self.clone(), name: name.to_owned() }
    }

    /// Creates a stack of this project; as [`Stack::create`].
    pub async fn create_stack(&self, name: &str) -> Result<Stack> {
        let stack = self.stack(name);
        stack.create().await.map(|()| stack)
    }

    /// A stack that exists; as [`Stack::select`].
    pub async fn select_stack(&self, name: &str) -> Result<Stack> {
        let stack = self.stack(name);
        stack.select().await.map(|()| stack)
    }

    /// A stack that is created unless it exists; as [`Stack::ensure`].
    pub async fn upsert_stack(&self, name: &str) -> Result<Stack> {
        let stack = self.stack(name);
        stack.ensure().await.map(|_| stack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[tokio::test]
    async fn only_a_stack_that_is_there_makes_an_upsert_a_selection() {
        let there = Recorder::failing(Error::StackExists { stack: "dev".to_owned() });
        assert_eq!(there.workspace().upsert_stack("dev").await.unwrap().name(), "dev");
        let broken = Recorder::failing(Error::Auth { message: "log in".to_owned() });
        assert!(matches!(broken.workspace().upsert_stack("dev").await, Err(Error::Auth { .. })));
        let there = Recorder::failing(Error::StackExists { stack: "dev".to_owned() });
        assert!(matches!(there.workspace().create_stack("dev").await, Err(Error::StackExists { .. })));
        let absent = Recorder::failing(Error::StackNotFound { stack: "dev".to_owned() });
        assert!(matches!(absent.workspace().select_stack("dev").await, Err(Error::StackNotFound { .. })));
    }
}
