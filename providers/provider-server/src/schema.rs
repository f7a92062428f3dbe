//! The package schema: what `pulumi package get-schema` prints, SDKs are generated from and Pulumi YAML
//! checks programs against.

mod example;
mod functions;
mod types;

use automation::versions::{NODEJS, PYTHON};
use provider_api::{Property, ResourceSchema};
use serde_json::{Map, Value, json};

use crate::config::{self, Variable};
use crate::{PACKAGE, Registry};

/// The names of the packages that `pulumi package gen-sdk` makes.
const NODE_PACKAGE: &str = "@pilot/pulumi";
const PYTHON_PACKAGE: &str = "pulumi_pilot";
const GO_MODULE: &str = "pilot/sdk/go/pilot";

pub fn package_schema(registry: &Registry) -> Value {
    let resources: Map<String, Value> =
        registry.types().map(|schema| (schema.token.to_owned(), resource(schema))).collect();
    let settings = settings(registry);
    json!({
        "name": PACKAGE,
        "version": env!("CARGO_PKG_VERSION"),
        "displayName": "Pilot",
        "description": "Isolated machines with a coding agent, on the cloud the operator chose.",
        "keywords": ["pulumi", "pilot", "category/infrastructure"],
        "license": env!("CARGO_PKG_LICENSE"),
        "publisher": "Pilot",
        "meta": { "moduleFormat": "(.*)" },
        "language": languages(registry),
        "config": { "variables": settings },
        "provider": {
            "description": "Settings of the modules that are no credentials. Credentials, and settings \
                that are not given here, come from the environment of the program that runs Pulumi.",
            "inputProperties": settings,
            "properties": settings,
        },
        "types": types(registry),
        "resources": resources,
        "functions": functions::functions(),
    })
}

/// A module's name where a hyphen cannot be: in the languages of SDKs.
fn identifier(module: &str) -> String {
    module.replace('-', "")
}

fn languages(registry: &Registry) -> Value {
    let modules = registry.types().filter_map(|schema| schema.token.split(':').nth(1));
    let renamed: Map<String, Value> = modules
        .filter(|module| identifier(module) != *module)
        .map(|module| (module.to_owned(), identifier(module).into()))
        .collect();
    // What an SDK is generated with is what it asks for.
    json!({
        "nodejs": {
            "packageName": NODE_PACKAGE,
            "dependencies": { "@pulumi/pulumi": format!("^{NODEJS}") },
            "moduleToPackage": renamed,
            "respectSchemaVersion": true,
        },
        "python": {
            "packageName": PYTHON_PACKAGE,
            "requires": { "pulumi": format!(">={PYTHON},<4.0.0") },
            "pyproject": { "enabled": true },
            "moduleNameOverrides": renamed,
            "respectSchemaVersion": true,
        },
        "go": {
            "importBasePath": GO_MODULE,
            "modulePath": GO_MODULE,
            "rootPackageName": PACKAGE,
            "moduleToPackage": renamed,
            "respectSchemaVersion": true,
        },
    })
}

fn settings(registry: &Registry) -> Map<String, Value> {
    let open = config::variables(registry).filter(|variable| !variable.setting.secret);
    open.map(|variable| (variable.key.clone(), setting(&variable))).collect()
}

/// The default stays in the module, so that a new one needs no new provider in any state.
fn setting(variable: &Variable) -> Value {
    let mut description = format!("{}; else `{}`", variable.setting.description, variable.variable);
    if let Some(default) = variable.setting.default {
        description.push_str(&format!(", else `{default}`"));
    }
    json!({ "type": "string", "description": description + "." })
}

/// Those of functions' answers, and those that resources name.
fn types(registry: &Registry) -> Map<String, Value> {
    functions::types().into_iter().chain(types::named(registry.types())).collect()
}

fn resource(schema: &ResourceSchema) -> Value {
    let required = |properties: &[Property]| -> Vec<&'static str> {
        properties.iter().filter(|property| property.required).map(|property| property.name).collect()
    };
    // Inputs come back as outputs, so both are properties of the resource.
    let all: Vec<Property> = schema.inputs.iter().chain(&schema.outputs).cloned().collect();
    let module = types::module(schema);
    let described = |properties: &[Property], inputs: bool| -> Map<String, Value> {
        let described = |property| types::property(module, property, inputs);
        properties.iter().map(|property| (property.name.to_owned(), described(property))).collect()
    };
    json!({
        "description": format!("{}\n\n{}", schema.description, example::of(schema)),
        "inputProperties": described(&schema.inputs, true),
        "requiredInputs": required(&schema.inputs),
        "properties": described(&all, false),
        "required": required(&all),
    })
}
