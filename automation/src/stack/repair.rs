//! A damaged state: which good copy there is, and putting it in its place. Nothing else ever does that.

use serde::Deserialize;

use super::*;

/// What a repair of a stack's state would do, or has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Repair {
    /// What is wrong with the state; none when it is good, and then there is nothing to do.
    pub problem: Option<String>,
    /// The file that cannot be used, below the backend; none when it is missing.
    pub damaged: Option<String>,
    /// The good copy that takes its place; none when there is none.
    pub copy: Option<String>,
    /// When the state in the copy was made, as RFC 3339.
    pub time: Option<String>,
    /// The copy is exactly what the damaged file held. Else later changes are missing, and a refresh finds those of
    /// resources that the copy knows.
    pub exact: bool,
    /// How many resources the copy has.
    pub resources: u64,
    /// Where the damaged file is now; none until the repair was done.
    pub kept: Option<String>,
    /// The copy was put in its place.
    pub done: bool,
}

impl Stack {
    /// What [`Stack::repair`] would do. Changes nothing. Only [`crate::Host`] can: [`Error::NeedsHost`].
    pub async fn preview_repair(&self) -> Result<Repair> {
        self.run_repair(false).await
    }

    /// Puts the newest good copy in the place of a state that cannot be read ([`Error::StateCorrupt`]), and keeps the
    /// damaged file beside it. A good state is left alone, and so is one that a newer Pulumi wrote
    /// ([`Error::StateNewer`]). Only [`crate::Host`] can: [`Error::NeedsHost`].
    pub async fn repair(&self) -> Result<Repair> {
        self.run_repair(true).await
    }

    async fn run_repair(&self, apply: bool) -> Result<Repair> {
        let command = Command::new(["stack", "repair"]).flag("yes", apply).stack(&self.name);
        self.workspace.json(&command.locking(&self.name)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[tokio::test]
    async fn a_repair_is_looked_at_before_it_is_done() {
        let planned = r#"{"problem": "it is empty", "damaged": "s.json", "copy": "s.json.bak", "exact": true,
            "time": "2026-11-29T00:00:00Z", "resources": 3, "done": false}"#;
        let recorder = Recorder::answering([planned, r#"{"exact": false, "resources": 0, "done": false}"#]);
        let stack = recorder.workspace().stack("dev");
        let repair = stack.preview_repair().await.unwrap();
        assert_eq!((repair.copy.as_deref(), repair.exact, repair.done), (Some("s.json.bak"), true, false));
        assert_eq!(stack.repair().await.unwrap(), Repair::default());
        assert_eq!(recorder.lines(), ["stack repair --stack=dev", "stack repair --stack=dev --yes"]);
    }
}
