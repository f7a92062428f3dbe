//! A resource type's example in four languages, from the values that its properties name. Generators of
//! documentation take the one of their language.

use provider_api::{Property, PropertyType, ResourceSchema};
use serde_json::Value;

use super::{GO_MODULE, NODE_PACKAGE, PYTHON_PACKAGE, identifier};

/// The section that Pulumi's tools look for in a description.
pub(super) fn of(schema: &ResourceSchema) -> String {
    let example = Example::of(schema);
    let blocks = [
        ("typescript", example.typescript()),
        ("python", example.python()),
        ("go", example.go()),
        ("yaml", example.yaml()),
    ];
    let mut section = "{{% examples %}}\n## Example Usage\n{{% example %}}\n\n".to_owned();
    for (language, code) in blocks {
        section.push_str(&format!("```{language}\n{code}```\n"));
    }
    section + "\n{{% /example %}}\n{{% /examples %}}"
}

struct Example<'a> {
    token: &'a str,
    module: String,
    kind: &'a str,
    /// The resource's name in the program.
    name: String,
    inputs: Vec<(&'a Property, Value)>,
}

impl<'a> Example<'a> {
    /// The inputs that are required, and those that name an example.
    fn of(schema: &'a ResourceSchema) -> Self {
        let mut parts = schema.token.split(':').skip(1);
        let (module, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let shown = schema.inputs.iter().filter(|input| input.required || input.example.is_some());
        Self {
            token: schema.token,
            module: identifier(module),
            kind,
            name: kind.to_lowercase(),
            inputs: shown.map(|input| (input, value(input))).collect(),
        }
    }

    fn typescript(&self) -> String {
        let inputs: String =
            self.inputs.iter().map(|(input, value)| format!("    {}: {value},\n", input.name)).collect();
        let (name, module, kind) = (&self.name, &self.module, self.kind);
        format!(
            "import * as pilot from \"{NODE_PACKAGE}\";\n\n\
             const {name} = new pilot.{module}.{kind}(\"{name}\", {{\n{inputs}}});\n"
        )
    }

    fn python(&self) -> String {
        let inputs = self.inputs.iter();
        let inputs: String = inputs
            .map(|(input, value)| format!(",\n    {}={}", snake(input.name), python_literal(value)))
            .collect();
        let (name, module, kind) = (&self.name, &self.module, self.kind);
        format!(
            "import {PYTHON_PACKAGE} as pilot\n\n{name} = pilot.{module}.{kind}(\n    \"{name}\"{inputs})\n"
        )
    }

    fn go(&self) -> String {
        let inputs = self.inputs.iter();
        let inputs: String = inputs
            .map(|(input, value)| format!("\t{}: {},\n", pascal(input.name), go_literal(value)))
            .collect();
        let (name, module, kind) = (&self.name, &self.module, self.kind);
        format!(
            "import \"{GO_MODULE}/{module}\"\n\n\
             {name}, err := {module}.New{kind}(ctx, \"{name}\", &{module}.{kind}Args{{\n{inputs}}})\n"
        )
    }

    fn yaml(&self) -> String {
        let inputs: String =
            self.inputs.iter().map(|(input, value)| format!("      {}: {value}\n", input.name)).collect();
        format!("resources:\n  {}:\n    type: {}\n    properties:\n{inputs}", self.name, self.token)
    }
}

/// What the author wrote, else something of the right type.
fn value(property: &Property) -> Value {
    let fallback = match property.kind {
        PropertyType::String => property.name,
        PropertyType::Integer | PropertyType::Number => "1",
        PropertyType::Boolean => "true",
        PropertyType::StringMap => r#"{"key":"value"}"#,
        PropertyType::StringList => r#"["value"]"#,
    };
    property.kind.read(property.example.or(property.default).unwrap_or(fallback))
}

fn python_literal(value: &Value) -> String {
    match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => other.to_string(),
    }
}

fn go_literal(value: &Value) -> String {
    match value {
        Value::String(_) => format!("pulumi.String({value})"),
        Value::Bool(_) => format!("pulumi.Bool({value})"),
        Value::Number(number) if number.is_i64() || number.is_u64() => format!("pulumi.Int({value})"),
        Value::Number(_) => format!("pulumi.Float64({value})"),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_literal).collect();
            format!("pulumi.StringArray{{{}}}", items.join(", "))
        }
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{key:?}: {}", go_literal(value)));
            format!("pulumi.StringMap{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Null => "nil".to_owned(),
    }
}

fn snake(name: &str) -> String {
    let parts = name.chars().flat_map(|letter| {
        let lower = letter.to_ascii_lowercase();
        letter.is_ascii_uppercase().then_some('_').into_iter().chain([lower])
    });
    parts.collect()
}

fn pascal(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> ResourceSchema {
        ResourceSchema {
            token: "pilot:test-cloud:Thing",
            description: "",
            inputs: vec![
                Property::required("homeName", PropertyType::String, "").example("demo"),
                Property::optional("size", PropertyType::Integer, ""),
                Property::optional("labels", PropertyType::StringMap, "").example(r#"{"team":"a"}"#),
            ],
            outputs: vec![],
        }
    }

    #[test]
    fn each_language_gets_required_inputs_and_those_with_an_example() {
        let schema = schema();
        let example = Example::of(&schema);
        assert!(
            example
                .typescript()
                .contains("new pilot.testcloud.Thing(\"thing\", {\n    homeName: \"demo\",\n")
        );
        assert!(example.python().contains("home_name=\"demo\",\n    labels={\"team\":\"a\"})"));
        assert!(example.go().contains("HomeName: pulumi.String(\"demo\")"));
        assert!(example.go().contains("Labels: pulumi.StringMap{\"team\": pulumi.String(\"a\")}"));
        assert!(
            example
                .yaml()
                .contains("type: pilot:test-cloud:Thing\n    properties:\n      homeName: \"demo\"\n")
        );
        assert!(!of(&schema).contains("size"));
    }
}
