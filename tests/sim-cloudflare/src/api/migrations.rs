//! Migrations of Durable Object classes: a tag is applied once, and only on the tag that it expects.

use http::StatusCode;
use serde::Deserialize;

use crate::envelope::ApiError;
use crate::objects::{Namespace, new_id};

#[derive(Debug, Default, Deserialize)]
pub struct Migrations {
    old_tag: Option<String>,
    new_tag: Option<String>,
    #[serde(default)]
    steps: Vec<Step>,
    /// A migration may also be its own only step.
    #[serde(flatten)]
    step: Step,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Step {
    new_classes: Vec<String>,
    new_sqlite_classes: Vec<String>,
    deleted_classes: Vec<String>,
    renamed_classes: Vec<Renamed>,
}

#[derive(Debug, Deserialize)]
struct Renamed {
    from: String,
    to: String,
}

/// The namespaces and the tag afterwards.
pub fn apply(
    migrations: Option<Migrations>,
    script: &str,
    tag: Option<String>,
    mut namespaces: Vec<Namespace>,
) -> Result<(Vec<Namespace>, Option<String>), ApiError> {
    let Some(migrations) = migrations else { return Ok((namespaces, tag)) };
    let (sent, expected) = (migrations.old_tag.unwrap_or_default(), tag.unwrap_or_default());
    if sent != expected {
        let message = format!(
            "Actor migration tag precondition failed, got tag '{sent}' when expected tag is '{expected}'"
        );
        return Err(ApiError::new(StatusCode::PRECONDITION_FAILED, 10079, message));
    }
    for step in migrations.steps.into_iter().chain([migrations.step]) {
        let new = step.new_classes.into_iter().map(|class| (class, false));
        for (class, use_sqlite) in new.chain(step.new_sqlite_classes.into_iter().map(|class| (class, true))) {
            if namespaces.iter().any(|namespace| namespace.class == class) {
                let message = format!(
                    "Cannot apply new-class migration to class '{class}' that is already depended on by existing \
                     Durable Objects."
                );
                return Err(ApiError::bad_request(10074, message));
            }
            namespaces.push(Namespace { id: new_id(), script: script.to_owned(), class, use_sqlite });
        }
        for Renamed { from, to } in step.renamed_classes {
            let found = namespaces.iter_mut().find(|namespace| namespace.class == from);
            found.ok_or_else(|| missing("renamed-class", &from))?.class = to;
        }
        for class in step.deleted_classes {
            if !namespaces.iter().any(|namespace| namespace.class == class) {
                return Err(missing("delete-class", &class));
            }
            namespaces.retain(|namespace| namespace.class != class);
        }
    }
    Ok((namespaces, migrations.new_tag))
}

fn missing(kind: &str, class: &str) -> ApiError {
    ApiError::bad_request(
        10070,
        format!("Cannot apply {kind} migration to class '{class}': it does not exist."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrate(
        json: &str,
        tag: Option<&str>,
        before: Vec<Namespace>,
    ) -> Result<(Vec<String>, Option<String>), u32> {
        let migrations = serde_json::from_str(json).unwrap();
        let outcome = apply(Some(migrations), "s", tag.map(str::to_owned), before);
        let classes = |all: Vec<Namespace>| all.into_iter().map(|namespace| namespace.class).collect();
        outcome.map(|(all, tag)| (classes(all), tag)).map_err(|error| error.code)
    }

    fn namespace(class: &str) -> Namespace {
        Namespace { id: "n".to_owned(), script: "s".to_owned(), class: class.to_owned(), use_sqlite: true }
    }

    #[test]
    fn a_tag_is_applied_once_and_a_stale_one_is_refused() {
        let first = r#"{"new_tag": "v1", "steps": [{"new_sqlite_classes": ["A", "B"]}]}"#;
        assert_eq!(
            migrate(first, None, vec![]),
            Ok((vec!["A".to_owned(), "B".to_owned()], Some("v1".to_owned())))
        );
        assert_eq!(migrate(first, Some("v1"), vec![namespace("A")]), Err(10079));
        let again = r#"{"old_tag": "v1", "new_tag": "v2", "new_sqlite_classes": ["A"]}"#;
        assert_eq!(migrate(again, Some("v1"), vec![namespace("A")]), Err(10074));
        let tag_alone = r#"{"old_tag": "v1", "new_tag": "v2", "steps": []}"#;
        let kept = (vec!["A".to_owned()], Some("v2".to_owned()));
        assert_eq!(migrate(tag_alone, Some("v1"), vec![namespace("A")]), Ok(kept));
        assert_eq!(migrate(tag_alone, Some("v2"), vec![namespace("A")]), Err(10079));
    }

    #[test]
    fn classes_are_renamed_and_deleted() {
        let step = r#"{"old_tag": "v1", "new_tag": "v2", "steps": [
            {"renamed_classes": [{"from": "A", "to": "C"}], "deleted_classes": ["B"]}]}"#;
        let before = vec![namespace("A"), namespace("B")];
        assert_eq!(migrate(step, Some("v1"), before), Ok((vec!["C".to_owned()], Some("v2".to_owned()))));
        assert_eq!(migrate(step, Some("v1"), vec![namespace("A")]), Err(10070));
    }
}
