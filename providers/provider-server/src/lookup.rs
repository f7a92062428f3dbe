//! Functions that programs may call: they look up, and change nothing.

use automation::Value;
use automation::value::to_struct;
use prost_types::Struct;
use serde_json::json;

use crate::Registry;
use crate::registry::Module;

pub(crate) const GET_PROVIDERS: &str = "pilot:index:getProviders";

/// The answer of a function; none when there is none of this name.
pub(crate) fn invoke(registry: &Registry, token: &str) -> Option<Struct> {
    (token == GET_PROVIDERS).then(|| {
        let providers: Vec<_> = registry.modules().iter().map(provider).collect();
        let answer = [("providers".to_owned(), Value::from(json!(providers)))];
        to_struct(&answer.into())
    })
}

fn provider(module: &Module) -> serde_json::Value {
    let of = &module.description;
    json!({
        "name": of.name,
        "summary": of.summary,
        "isolation": of.isolation,
        "unisolated": of.unisolated,
        "regions": of.regions,
        "sizes": of.sizes,
        "capabilities": module.capabilities,
        "updates": of.updates,
    })
}
