//! What is outside and not in a stack's state, deleted through the same resources that make it.

use std::collections::BTreeSet;

use contracts::Problem;
use provider_api::{DeleteRequest, Expr, Properties, Provider};
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
        // Only a run knows the others. A delete goes by whose the object is, and an input that is required is there.
        let known = declared.inputs.iter().map(|(name, expr)| match expr {
            Expr::Value(value) => (name.clone(), value.clone()),
            Expr::Secret(_) | Expr::Output { .. } => (name.clone(), "".into()),
        });
        let request = DeleteRequest {
            id: String::new(),
            urn: format!("{}/{}", stack.name, declared.name),
            inputs: known.collect(),
            outputs: Properties::new(),
            fence,
        };
        resource.delete(request).await.map_err(provider_problem)?;
    }
    Ok(())
}
