//! What is outside and not in a stack's state, deleted through the same resources that make it.

use std::collections::BTreeSet;

use contracts::Problem;
use provider_api::{DeleteRequest, Provider};
use stacks::Stack;

use crate::engine::provider_problem;

/// Deletes what the stack declares, last first, whether it is there or not; `but` those of these names.
pub async fn delete(
    provider: &dyn Provider,
    stack: &Stack,
    but: &BTreeSet<String>,
    fence: Option<u64>,
) -> Result<(), Problem> {
    let types = provider.resources();
    for declared in stack.resources.iter().rev().filter(|declared| !but.contains(&declared.name)) {
        let Some(resource) = types.iter().find(|resource| resource.schema().token == declared.token) else {
            continue;
        };
        let urn = format!("{}/{}", stack.name, declared.name);
        resource
            .delete(DeleteRequest::blind(urn, &declared.inputs, fence))
            .await
            .map_err(provider_problem)?;
    }
    Ok(())
}
