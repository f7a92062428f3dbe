//! Protection of what holds users' files, in states that may be of before there was any.

use contracts::Problem;
use serde_json::Value;
use stacks::Stack;

use super::Engine;

impl Engine {
    /// Writes into the stack's state whether what the stack protects is protected. False when the state has nothing of it.
    pub async fn protect(&self, stack: &Stack, protect: bool) -> Result<bool, Problem> {
        let handle = self.workspace.stack(&stack.name);
        let mut deployment = match handle.export().await {
            Ok(deployment) => deployment.into_json(),
            Err(automation::Error::StackNotFound { .. }) => return Ok(false),
            Err(error) => return Err(self.problem(error)),
        };
        let (found, changed) = mark(&mut deployment, stack, protect);
        if changed {
            handle.import(&deployment.into()).await.map_err(|error| self.problem(error))?;
        }
        Ok(found)
    }
}

/// Whether there is something to protect, and whether it was not as it is to be.
fn mark(deployment: &mut Value, stack: &Stack, protect: bool) -> (bool, bool) {
    let (mut found, mut changed) = (false, false);
    let resources = deployment["deployment"]["resources"].as_array_mut();
    for resource in resources.into_iter().flatten() {
        let is = |declared: &&provider_api::Declaration| {
            let urn = resource["urn"].as_str().unwrap_or_default();
            resource["type"] == declared.token.as_str()
                && urn.rsplit("::").next() == Some(declared.name.as_str())
        };
        // What a replacement has left to be deleted is not the home any more.
        let is_old = resource["delete"].as_bool() == Some(true);
        let Some(_) = stack.resources.iter().filter(|declared| declared.protect && !is_old).find(is) else {
            continue;
        };
        found = true;
        if (resource["protect"].as_bool() == Some(true)) != protect {
            (resource["protect"], changed) = (protect.into(), true);
        }
    }
    (found, changed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use provider_api::{Declaration, Declared};
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_stack_protects_is_marked_and_only_where_it_is_not_already() {
        let resources = vec![
            Declaration::new("home", "pilot:test:Volume").protected(),
            Declaration::new("instance", "pilot:test:Machine"),
        ];
        let stack = stacks::compile("rt-1", Declared { resources, outputs: BTreeMap::new() }).unwrap();
        let of = |name: &str, kind: &str| json!({"urn": format!("urn:pulumi:rt-1::pilot::{kind}::{name}"), "type": kind});
        let mut state = json!({"deployment": {"resources": [
            of("home", "pilot:test:Volume"), of("home", "pilot:test:Machine"), of("instance", "pilot:test:Machine"),
        ]}});
        assert_eq!(mark(&mut state, &stack, false), (true, false));
        assert_eq!(mark(&mut state, &stack, true), (true, true));
        assert_eq!(mark(&mut state, &stack, true), (true, false));
        let marked = state["deployment"]["resources"].as_array().unwrap();
        let protect: Vec<_> = marked.iter().map(|one| one["protect"].as_bool().unwrap_or_default()).collect();
        assert_eq!(protect, [true, false, false]);
        assert_eq!(mark(&mut json!({"deployment": {}}), &stack, true), (false, false));
    }
}
