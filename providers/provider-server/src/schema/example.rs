//! A resource type's example in four languages, from the values that its properties name. Generators of
//! documentation take the one of their language.

mod literals;

use provider_api::{Property, PropertyType, ResourceSchema};
use serde_json::{Map, Value, json};

use super::{GO_MODULE, NODE_PACKAGE, PYTHON_PACKAGE, identifier};
pub(super) use literals::pascal;
use literals::snake;

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
            .map(|(input, value)| {
                format!(",\n    {}={}", snake(input.name), literals::python(input.kind, value))
            })
            .collect();
        let (name, module, kind) = (&self.name, &self.module, self.kind);
        format!(
            "import {PYTHON_PACKAGE} as pilot\n\n{name} = pilot.{module}.{kind}(\n    \"{name}\"{inputs})\n"
        )
    }

    fn go(&self) -> String {
        let inputs = self.inputs.iter();
        let inputs: String = inputs
            .map(|(input, value)| {
                let value = literals::go(&self.module, input.kind, value);
                format!("\t{}: {value},\n", pascal(input.name))
            })
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
    let written = property.example.or(property.default);
    written.map_or_else(|| likely(property.name, property.kind), |text| property.kind.read(text))
}

fn likely(name: &str, kind: PropertyType) -> Value {
    match kind {
        PropertyType::String => name.into(),
        PropertyType::Integer | PropertyType::Number => 1.into(),
        PropertyType::Boolean => true.into(),
        PropertyType::List(PropertyType::String) => json!(["value"]),
        PropertyType::Map(PropertyType::String) => json!({ "key": "value" }),
        PropertyType::List(of) => json!([likely(name, *of)]),
        PropertyType::Map(of) => json!({ "key": likely(name, *of) }),
        PropertyType::Enum(of) => of.values.first().map_or(name, |(value, _)| value).into(),
        PropertyType::Object(of) => {
            let shown = of.properties.iter().filter(|part| part.required || part.example.is_some());
            shown.map(|part| (part.name.to_owned(), value(part))).collect::<Map<_, _>>().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use provider_api::{EnumType, ObjectType};

    use super::*;

    fn schema() -> ResourceSchema {
        ResourceSchema {
            token: "pilot:test-cloud:Thing",
            description: "",
            inputs: vec![
                Property::required("homeName", PropertyType::String, "").example("demo"),
                Property::optional("size", PropertyType::Integer, ""),
                Property::optional("labels", PropertyType::STRING_MAP, "").example(r#"{"team":"a"}"#),
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
        assert!(example.python().contains("home_name=\"demo\",\n    labels={\"team\": \"a\"})"));
        assert!(example.go().contains("HomeName: pulumi.String(\"demo\")"));
        assert!(example.go().contains("Labels: pulumi.StringMap{\"team\": pulumi.String(\"a\")}"));
        assert!(
            example
                .yaml()
                .contains("type: pilot:test-cloud:Thing\n    properties:\n      homeName: \"demo\"\n")
        );
        assert!(!of(&schema).contains("size"));
    }
    #[test]
    fn objects_and_choices_are_written_as_each_language_has_them() {
        const MODE: EnumType = EnumType { name: "Mode", description: "", values: &[("read-only", "")] };
        const MOUNT: ObjectType = ObjectType {
            name: "Mount",
            description: "",
            properties: &[
                Property::required("hostPath", PropertyType::String, ""),
                Property::required("modes", PropertyType::List(&PropertyType::Enum(&MODE)), ""),
                Property::optional("labels", PropertyType::STRING_MAP, "").example(r#"{"aB":"c"}"#),
            ],
        };
        let mounts = PropertyType::List(&PropertyType::Object(&MOUNT));
        let schema = ResourceSchema { inputs: vec![Property::required("mounts", mounts, "")], ..schema() };
        let example = Example::of(&schema);
        let json = r#"[{"hostPath":"hostPath","labels":{"aB":"c"},"modes":["read-only"]}]"#;
        assert!(example.typescript().contains(&format!("mounts: {json}")), "{}", example.typescript());
        assert!(example.yaml().contains(&format!("mounts: {json}")));
        let python = r#"mounts=[{"host_path": "hostPath", "labels": {"aB": "c"}, "modes": ["read-only"]}]"#;
        assert!(example.python().contains(python), "{}", example.python());
        let go = "Mounts: testcloud.MountArray{&testcloud.MountArgs{HostPath: pulumi.String(\"hostPath\"), \
                  Labels: pulumi.StringMap{\"aB\": pulumi.String(\"c\")}, \
                  Modes: testcloud.ModeArray{testcloud.Mode(\"read-only\")}}}";
        assert!(example.go().contains(go), "{}", example.go());
    }
}
