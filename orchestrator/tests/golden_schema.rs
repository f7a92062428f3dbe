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

fn providers() -> Providers {
    let layout = Layout { root: "/var/lib/pilot".into() };
    let boot = Arc::new(DataFolderBoot::new(layout.clone(), None));
    Providers::build(&layout, &ToolPaths::default(), &ProviderSettings::default(), boot).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(Registry::new(providers().all()).schema()).unwrap()
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

const UPDATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/updates.md");

#[test]
fn the_page_on_updates_says_of_each_provider_what_its_module_says() {
    let mut table = "| Provider | Another image | Another size |\n|---|---|---|\n".to_owned();
    for provider in providers().all() {
        let (name, updates) = (provider.describe().name, provider.describe().updates);
        table += &format!("| `{name}` | {} | {} |\n", updates.image.downtime(), updates.size.downtime());
    }
    let (begin, end) = ("<!-- begin: updates -->\n", "<!-- end: updates -->");
    let page = std::fs::read_to_string(UPDATES).unwrap();
    let (before, rest) = page.split_once(begin).unwrap();
    let (found, after) = rest.split_once(end).unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(UPDATES, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(found, table, "docs/updates.md");
    }
}
