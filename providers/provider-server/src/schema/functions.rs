//! The functions of the package and the types of their answers. A test holds them against what is sent.

use contracts::updates::Change;
use serde_json::{Map, Value, json};

use crate::lookup::GET_PROVIDERS;

pub(super) fn functions() -> Value {
    json!({
        GET_PROVIDERS: {
            "description": "The modules that can run instances, with their regions, sizes and abilities.",
            "outputs": {
                "description": "What is there.",
                "properties": {
                    "providers": list("ProviderInfo", "One for each module, by name."),
                },
                "required": ["providers"],
            },
        },
    })
}

pub(super) fn types() -> Map<String, Value> {
    let types = json!({
        "pilot:index:ProviderInfo": object("A module that can run instances.", &[
            ("name", text("The word in `pilot:NAME:Type`.")),
            ("summary", text("What an instance is there.")),
            ("isolation", text("What separates an instance from others and from the host.")),
            ("unisolated", flag("Whether instances have all rights of the account that runs Pilot.")),
            ("regions", list("Region", "Where instances can run, the default first; empty when there is one place.")),
            ("sizes", list("Size", "How large an instance can be, the default first.")),
            ("capabilities", one("Capabilities", "What can be done with an instance.")),
            ("updates", one("Updates", "What an update does to an instance.")),
        ], &[]),
        "pilot:index:Region": object("A place where instances can run.", &[
            ("name", text("As the cloud's own API calls it.")),
            ("title", text("For people.")),
        ], &[]),
        "pilot:index:Size": object("How large an instance is.", &[
            ("name", text("What a workspace's size is set to.")),
            ("memoryMib", number("Memory limit in MiB; absent when there is none.")),
            ("cpuMillis", number("CPU limit in thousandths of a core; absent when there is none.")),
            ("diskMib", number("What the disk of the home holds, in MiB; absent where nothing limits it but the disk that it lies on.")),
            ("hourlyMicroUsd", number("The price of an hour in millionths of a US dollar, as it was when this version was made; absent when there is none.")),
        ], &["memoryMib", "cpuMillis", "diskMib", "hourlyMicroUsd"]),
        "pilot:index:Capabilities": object("What can be done with an instance.", &[
            ("suspend", flag("It can be suspended with its memory.")),
            ("persistentHome", flag("Its home outlives a stop.")),
            ("hibernate", flag("It can give its memory back and keep its disk, until somebody visits it.")),
            ("logs", flag("Its log can be read.")),
            ("exec", flag("Programs can be run in it.")),
            ("snapshot", flag("Copies of its home can be taken.")),
            ("rewind", flag("Such a copy can be brought back.")),
            ("fork", flag("A new one can begin with such a copy.")),
            ("egress", flag("It can be held to a list of destinations.")),
            ("image", flag("Each workspace has an image of its own.")),
            ("push", flag("Images can be brought there from an archive.")),
        ], &[]),
        "pilot:index:Updates": object("What an update does to an instance.", &[
            ("image", text(&changes("Another image"))),
            ("size", text(&changes("Another size"))),
        ], &[]),
    });
    types.as_object().cloned().unwrap_or_default()
}

/// The words of each change, for those who read the package alone.
fn changes(what: &str) -> String {
    let each: Vec<String> =
        Change::ALL.iter().map(|change| format!("`{}`: {}", change.as_str(), change.downtime())).collect();
    format!("{what}. {}", each.join(" "))
}

fn object(description: &str, properties: &[(&str, Value)], optional: &[&str]) -> Value {
    let required: Vec<&str> =
        properties.iter().map(|(name, _)| *name).filter(|name| !optional.contains(name)).collect();
    let properties: Map<String, Value> =
        properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    json!({ "type": "object", "description": description, "properties": properties, "required": required })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
}

fn number(description: &str) -> Value {
    json!({ "type": "integer", "description": description })
}

fn one(of: &str, description: &str) -> Value {
    json!({ "$ref": format!("#/types/pilot:index:{of}"), "description": description })
}

fn list(of: &str, description: &str) -> Value {
    let items = json!({ "$ref": format!("#/types/pilot:index:{of}") });
    json!({ "type": "array", "items": items, "description": description })
}

#[cfg(test)]
mod tests {
    use contracts::updates::Updates;
    use contracts::workspace::{ProviderCapabilities, Region, Size};

    use super::*;

    #[test]
    fn the_types_of_answers_have_exactly_the_fields_that_are_sent() {
        let region = Region { name: "ams".to_owned(), title: "Amsterdam".to_owned() };
        let size = Size {
            name: "small".to_owned(),
            memory_mib: Some(1),
            cpu_millis: Some(1),
            disk_mib: Some(1),
            hourly_micro_usd: Some(1),
        };
        for (name, sent) in [
            ("Region", json!(region)),
            ("Size", json!(size)),
            ("Capabilities", json!(ProviderCapabilities::default())),
            ("Updates", json!(Updates { image: Change::Reboot, size: Change::InPlace })),
        ] {
            let types = types();
            let declared = types[&format!("pilot:index:{name}")]["properties"].as_object().unwrap();
            let sent = sent.as_object().unwrap();
            assert!(declared.keys().eq(sent.keys()), "{name}: {declared:?} {sent:?}");
        }
    }
}
