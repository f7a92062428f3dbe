//! The lifecycle API as clients are made from it: version 1, which is frozen. A change here must leave every request and every
//! answer of before valid; read the difference before accepting it with
//! `UPDATE_EXPECT=1 cargo test -p orchestrator --test golden_openapi`.

#![allow(clippy::unwrap_used)]

use expect_test::expect_file;
use serde_json::Value;

fn document() -> Value {
    serde_json::to_value(orchestrator::http::document()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((format!("{method} {path}"), operation.clone()));
        }
    }
    all
}

#[test]
fn the_api_is_the_golden_one() {
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    expect_file!["../golden/openapi.json"].assert_eq(&text);
}

#[test]
fn it_says_of_every_operation_who_may_call_it_and_how_it_refuses() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    assert!(!document["security"].as_array().unwrap().is_empty());
    for (name, operation) in operations(&document) {
        let is_open = !name.contains(" /v1/");
        let open = operation["security"]
            .as_array()
            .is_some_and(|security| security.iter().any(|one| one == &serde_json::json!({})));
        assert_eq!(open, is_open, "{name}");
        let words = ["summary", "description", "operationId"];
        assert!(words[..2].iter().any(|word| operation[word].is_string()), "{name} has no words");
        if name != "get /health" {
            let refused = &operation["responses"]["default"]["content"];
            assert!(refused["application/problem+json"].is_object(), "{name}: {refused}");
            assert_eq!(refused.as_object().unwrap().len(), 1, "{name}");
        }
    }
}

#[test]
fn changes_can_be_repeated_and_say_where_they_are_seen() {
    for (name, operation) in operations(&document()) {
        let parameters = operation["parameters"].as_array().unwrap();
        let has = |header: &str| parameters.iter().any(|one| one["in"] == "header" && one["name"] == header);
        assert!(has("x-pilot-request-id"), "{name}");
        // A command in an instance may have run: nobody repeats it. A push may be repeated as it is.
        let looks = ["/preview", "/repair", "/wake", "/cancel", "/shared", "/exec", "/images"]
            .iter()
            .any(|end| name.ends_with(end));
        let is_change = ["post", "put", "delete"].iter().any(|method| name.starts_with(method));
        let changes = is_change && name.contains(" /v1/") && !looks;
        assert_eq!(has("idempotency-key"), changes, "{name}");
        assert_eq!(has("if-match"), changes && name.contains("/workspaces/{"), "{name}");
        let accepted = &operation["responses"]["202"];
        if accepted.is_object() && !name.ends_with("/wake") && !name.contains("/operations/") {
            assert!(accepted["headers"]["location"].is_object(), "{name}");
        }
    }
}

#[test]
fn what_streams_says_of_what() {
    let document = document();
    let content = |path: &str| document["paths"][path]["get"]["responses"]["200"]["content"].clone();
    for path in ["/v1/operations/{id}/events", "/v1/routes"] {
        assert!(content(path)["text/event-stream"]["schema"].is_object(), "{path}");
    }
}

#[test]
fn a_parameter_is_in_the_path_when_the_path_names_it_and_nowhere_else() {
    for (name, operation) in operations(&document()) {
        for parameter in operation["parameters"].as_array().unwrap() {
            let is_named = name.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap()));
            assert_eq!(parameter["in"] == "path", is_named, "{name}: {parameter}");
            assert_eq!(parameter["required"] == true, is_named, "{name}: {parameter}");
        }
    }
}
