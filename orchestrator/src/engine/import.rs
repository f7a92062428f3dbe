//! A state that somebody has, in the place of the stack's own.

use contracts::stack::StackImport;
use contracts::{ErrorCode, Problem};
use jiff::Timestamp;
use serde_json::Value;
use stacks::{PROJECT, Stack};

use super::Engine;
use crate::data::{unusable, write_private};

/// The versions of Pulumi's exchange format that there are.
const KNOWN: std::ops::RangeInclusive<u64> = 3..=4;

impl Engine {
    /// Puts `state` in the place of the stack's own, which is kept in a file. Nothing outside is changed, and nothing at all when
    /// the state is refused.
    pub async fn import(&self, stack: &Stack, state: Value) -> Result<StackImport, Problem> {
        check(&stack.name, &state)?;
        let handle = self.workspace.stack(&stack.name);
        let (kept, is_damaged) = match handle.export().await {
            Ok(before) => (Some(self.keep(&stack.name, &before.to_string())?), false),
            Err(automation::Error::StackNotFound { .. }) => (None, false),
            // The engine keeps it, and writes over it.
            Err(automation::Error::StateCorrupt { .. }) => (None, true),
            Err(error) => return Err(self.problem(error)),
        };
        if !is_damaged {
            // Where another orchestrator has made it, its settings are not here yet.
            handle.ensure().await.map_err(|error| self.problem(error))?;
        }
        let state = automation::stack::Deployment::from(state);
        if let Err(error) = handle.import(&state).await {
            // It is in its place still.
            if let Some(kept) = &kept
                && let Err(error) = std::fs::remove_file(kept)
            {
                tracing::warn!(file = kept, %error, "left over");
            }
            return Err(match error {
                automation::Error::Command { .. } | automation::Error::Secrets { .. } => {
                    refused(&format!("Pulumi does not take it: {error}"))
                }
                error => self.problem(error),
            });
        }
        Ok(StackImport { stack: stack.name.clone(), resources: resources(state.json()), kept })
    }

    /// Removes what was kept of a stack's states, when the stack goes.
    pub(super) fn forget_replaced(&self, stack: &str) {
        let is_of = |name: &str| name.strip_prefix(stack).is_some_and(|rest| rest.starts_with('.'));
        for file in std::fs::read_dir(self.layout.replaced()).into_iter().flatten().flatten() {
            if file.file_name().to_str().is_some_and(is_of)
                && let Err(error) = std::fs::remove_file(file.path())
            {
                tracing::warn!(file = %file.path().display(), %error, "left over");
            }
        }
    }

    fn keep(&self, stack: &str, state: &str) -> Result<String, Problem> {
        let folder = self.layout.replaced();
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%S%9fZ");
        let path = folder.join(format!("{stack}.{time}.json"));
        let write = || {
            std::fs::create_dir_all(&folder)?;
            write_private(&path, state.as_bytes())
        };
        write().map_err(|error| unusable(&path, &error))?;
        Ok(path.display().to_string())
    }
}

/// How many a state has.
pub fn resources(state: &Value) -> u64 {
    state["deployment"]["resources"].as_array().map_or(0, |resources| resources.len() as u64)
}

/// Whether it is a state of this stack. Whether it is sound is the engine's to say.
fn check(stack: &str, state: &Value) -> Result<(), Problem> {
    let parts = (state["version"].as_u64(), state["deployment"].as_object());
    let (Some(version), Some(deployment)) = parts else {
        return Err(refused("it is no deployment, an object with `version` and `deployment`"));
    };
    if version > *KNOWN.end() {
        let detail = format!(
            "The state has version {version} of Pulumi's format, and the newest that is known is {}.",
            KNOWN.end()
        );
        return Err(Problem::new(ErrorCode::StateNewer, detail)
            .with_action("Nothing was changed. Use a Pilot with that version of Pulumi, or a newer one."));
    }
    if version < *KNOWN.start() {
        return Err(refused(&format!("version {version} of Pulumi's format is not written any more")));
    }
    let listed = |name: &str| deployment.get(name).and_then(Value::as_array).into_iter().flatten();
    let pending = listed("pending_operations").map(|operation| (&operation["resource"], false));
    listed("resources")
        .map(|resource| (resource, true))
        .chain(pending)
        .try_for_each(|(resource, is_there)| fits(stack, resource, is_there).map_err(|why| refused(&why)))
}

/// Whether a resource is one of this stack, of what it stands for and nobody else, and one that the engine reads again.
fn fits(stack: &str, resource: &Value, is_there: bool) -> Result<(), String> {
    let own = format!("urn:pulumi:{stack}::{PROJECT}::");
    let urn = resource["urn"].as_str().ok_or("it has a resource without a URN")?;
    if !urn.starts_with(&own) {
        return Err(format!("it has {urn}, and the workspace's stack is {stack} of the project {PROJECT}"));
    }
    if is_there && resource["custom"] == true && resource["id"].as_str().is_none_or(str::is_empty) {
        return Err(format!("{urn} has no id"));
    }
    // A delete goes by these.
    for part in ["inputs", "outputs"] {
        if let Some(theirs) = resource[part]["runtimeId"].as_str().filter(|theirs| *theirs != stack) {
            return Err(format!("{urn} is an object of {theirs}, which is another workspace's"));
        }
    }
    let properties = resource["propertyDependencies"].as_object().into_iter().flatten();
    let lists = properties.map(|(_, list)| list).chain([&resource["dependencies"]]);
    let mut others = lists.flat_map(|list| list.as_array().into_iter().flatten());
    if others.any(|other| other.as_str().is_none_or(|other| !other.starts_with(&own))) {
        return Err(format!("{urn} depends on what is no resource of this stack"));
    }
    Ok(())
}

fn refused(why: &str) -> Problem {
    Problem::new(ErrorCode::BadRequest, format!("The state cannot be imported: {why}.")).with_action(
        "Nothing was changed. Take a state of this workspace: `pulumi stack export` in the folder of `pilot stack export NAME` writes it.",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_another_workspaces_or_cannot_be_read_again_is_refused() {
        let urn = "urn:pulumi:rt-1::pilot::pilot:fake:Volume::home";
        let good = json!({
            "urn": urn, "custom": true, "id": "volume", "inputs": {"runtimeId": "rt-1"},
            "outputs": {"runtimeId": "rt-1"}, "dependencies": [urn], "propertyDependencies": {"a": [urn], "b": null},
        });
        fits("rt-1", &good, true).unwrap();
        for (pointer, value, word) in [
            ("/inputs/runtimeId", json!("rt-2"), "rt-2"),
            ("/outputs/runtimeId", json!("rt-2"), "rt-2"),
            ("/id", json!(""), "no id"),
            ("/id", Value::Null, "no id"),
            ("/dependencies/0", json!(""), "depends"),
            ("/dependencies/0", json!(3), "depends"),
            ("/propertyDependencies/a/0", json!(""), "depends"),
        ] {
            let mut wrong = good.clone();
            *wrong.pointer_mut(pointer).unwrap() = value;
            let why = fits("rt-1", &wrong, true).unwrap_err();
            assert!(why.contains(word), "{pointer}: {why}");
        }
        // What was never made has none yet.
        let mut pending = good;
        pending["id"] = Value::Null;
        fits("rt-1", &pending, false).unwrap();
    }

    fn state(version: u64, urn: &str) -> Value {
        json!({"version": version, "deployment": {"resources": [{"urn": urn}]}})
    }

    #[test]
    fn only_a_state_of_this_stack_in_a_known_version_is_taken() {
        let own = "urn:pulumi:rt-1::pilot::pulumi:pulumi:Stack::pilot-rt-1";
        for version in [3, 4] {
            check("rt-1", &state(version, own)).unwrap();
        }
        check("rt-1", &json!({"version": 3, "deployment": {}})).unwrap();
        let mut pending = state(3, own);
        pending["deployment"]["pending_operations"] =
            json!([{"resource": {"urn": "urn:pulumi:rt-2::pilot::a::b"}}]);
        for (state, code, word) in [
            (json!([]), ErrorCode::BadRequest, "no deployment"),
            (json!({"version": 3}), ErrorCode::BadRequest, "no deployment"),
            (json!({"version": "3", "deployment": {}}), ErrorCode::BadRequest, "no deployment"),
            (state(2, own), ErrorCode::BadRequest, "version 2"),
            (state(5, own), ErrorCode::StateNewer, "version 5"),
            (state(3, "urn:pulumi:rt-10::pilot::a::b"), ErrorCode::BadRequest, "rt-10"),
            (state(3, "urn:pulumi:rt-1::other::a::b"), ErrorCode::BadRequest, "other"),
            (
                json!({"version": 3, "deployment": {"resources": [{}]}}),
                ErrorCode::BadRequest,
                "without a URN",
            ),
            (pending, ErrorCode::BadRequest, "rt-2"),
        ] {
            let problem = check("rt-1", &state).unwrap_err();
            assert_eq!(problem.code, code, "{problem}");
            assert!(problem.detail.contains(word), "{problem}");
        }
    }
}
