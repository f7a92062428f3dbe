//! The schema of the whole package, as SDKs are generated from it. A change here is a change for programs
//! that people wrote: read the difference before accepting it with
//! `UPDATE_EXPECT=1 cargo test -p orchestrator --test golden_schema`.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use expect_test::expect_file;
use orchestrator::boot::DataFolderBoot;
use orchestrator::data::Layout;
use orchestrator::tools::ToolPaths;
use orchestrator::wiring::{ProviderSettings, Providers};
use provider_server::Registry;
use serde_json::Value;

fn schema() -> Value {
    let layout = Layout { root: "/var/lib/pilot".into() };
    let boot = Arc::new(DataFolderBoot::new(layout.clone(), None));
    let providers =
        Providers::build(&layout, &ToolPaths::default(), &ProviderSettings::default(), boot).unwrap();
    serde_json::from_str(Registry::new(providers.all()).schema()).unwrap()
}

#[test]
fn the_package_schema_is_the_golden_one() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    expect_file!["../golden/schema.json"].assert_eq(&text);
}

#[test]
fn everything_in_the_schema_has_a_description() {
    let schema = schema();
    let mut silent = Vec::new();
    for kind in ["resources", "types", "functions"] {
        for (token, of) in schema[kind].as_object().unwrap() {
            look(token, of, &mut silent);
            for properties in ["inputProperties", "properties"] {
                for (name, property) in of[properties].as_object().into_iter().flatten() {
                    look(&format!("{token}.{name}"), property, &mut silent);
                }
            }
        }
    }
    assert_eq!(silent, Vec::<String>::new());
}

fn look(name: &str, of: &Value, silent: &mut Vec<String>) {
    if of["description"].as_str().is_none_or(|text| text.trim().is_empty()) {
        silent.push(name.to_owned());
    }
}
