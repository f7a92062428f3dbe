//! Values as the languages of SDKs write them. TypeScript and YAML read JSON; these two do not.

use provider_api::PropertyType;
use serde_json::Value;

/// Keys of objects are arguments, so they are in snake_case; those of maps stay as they are.
pub(super) fn python(kind: PropertyType, value: &Value) -> String {
    match (kind, value) {
        (_, Value::Bool(true)) => "True".to_owned(),
        (_, Value::Bool(false)) => "False".to_owned(),
        (PropertyType::List(of), Value::Array(items)) => {
            format!("[{}]", joined(items.iter().map(|item| python(*of, item))))
        }
        (PropertyType::Map(of), Value::Object(entries)) => {
            let entries = entries.iter().map(|(key, value)| format!("{key:?}: {}", python(*of, value)));
            format!("{{{}}}", joined(entries))
        }
        (PropertyType::Object(of), Value::Object(entries)) => {
            let parts = of.properties.iter().filter_map(|part| Some((part, entries.get(part.name)?)));
            let parts =
                parts.map(|(part, value)| format!("{:?}: {}", snake(part.name), python(part.kind, value)));
            format!("{{{}}}", joined(sorted(parts)))
        }
        (_, other) => other.to_string(),
    }
}

/// With the types that Pulumi's generator makes: `Mount` is `MountArgs` and `MountArray` there.
pub(super) fn go(module: &str, kind: PropertyType, value: &Value) -> String {
    match (kind, value) {
        (PropertyType::List(of), Value::Array(items)) => {
            let items = joined(items.iter().map(|item| go(module, *of, item)));
            format!("{}Array{{{items}}}", go_name(module, *of))
        }
        (PropertyType::Map(of), Value::Object(entries)) => {
            let entries = entries.iter().map(|(key, value)| format!("{key:?}: {}", go(module, *of, value)));
            format!("{}Map{{{}}}", go_name(module, *of), joined(entries))
        }
        (PropertyType::Object(of), Value::Object(entries)) => {
            let parts = of.properties.iter().filter_map(|part| Some((part, entries.get(part.name)?)));
            let parts =
                parts.map(|(part, value)| format!("{}: {}", pascal(part.name), go(module, part.kind, value)));
            format!("&{}Args{{{}}}", go_name(module, kind), joined(sorted(parts)))
        }
        _ => format!("{}({value})", go_name(module, kind)),
    }
}

/// Without what a list, a map or an object adds.
fn go_name(module: &str, kind: PropertyType) -> String {
    match kind {
        PropertyType::String => "pulumi.String".to_owned(),
        PropertyType::Integer => "pulumi.Int".to_owned(),
        PropertyType::Number => "pulumi.Float64".to_owned(),
        PropertyType::Boolean => "pulumi.Bool".to_owned(),
        PropertyType::List(of) => format!("{}Array", go_name(module, *of)),
        PropertyType::Map(of) => format!("{}Map", go_name(module, *of)),
        PropertyType::Object(of) => format!("{module}.{}", of.name),
        PropertyType::Enum(of) => format!("{module}.{}", of.name),
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// In one order in every language.
fn sorted(parts: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let mut parts: Vec<String> = parts.collect();
    parts.sort();
    parts.into_iter()
}

pub(super) fn snake(name: &str) -> String {
    let parts = name.chars().flat_map(|letter| {
        let lower = letter.to_ascii_lowercase();
        letter.is_ascii_uppercase().then_some('_').into_iter().chain([lower])
    });
    parts.collect()
}

pub(in crate::schema) fn pascal(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
