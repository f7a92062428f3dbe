//! States that can be compared.

use serde_json::Value as Json;

/// Without what differs between any two runs: times, ids of providers, ciphertexts, the order of sets, and
/// where in its source a program registered a resource.
pub fn normalized(resources: &[Json]) -> Json {
    let mut resources = resources.to_vec();
    for resource in &mut resources {
        let map = resource.as_object_mut().unwrap();
        for key in ["created", "modified", "sourcePosition", "stackTrace"] {
            map.remove(key);
        }
        if map["type"].as_str().unwrap().starts_with("pulumi:providers:") {
            map.remove("id");
        }
        if let Some(provider) = map.get_mut("provider") {
            *provider = provider.as_str().unwrap().rsplit_once("::").unwrap().0.into();
        }
        if let Some(Json::Array(urns)) = map.get_mut("dependencies") {
            urns.sort_by_key(|urn| urn.to_string());
        }
        blind(resource);
    }
    resources.sort_by_key(|resource| resource["urn"].to_string());
    Json::Array(resources)
}

fn blind(value: &mut Json) {
    match value {
        Json::Object(map) => {
            if let Some(text) = map.get_mut("ciphertext") {
                *text = "…".into();
            }
            map.values_mut().for_each(blind);
        }
        Json::Array(items) => items.iter_mut().for_each(blind),
        _ => {}
    }
}
