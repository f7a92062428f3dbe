//! A registration on the wire: pure translation of what the program asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::connection::Features;
use super::family::Family;
use super::hooks::hooks_to_wire;
use super::options::{Alias, AliasParent, CustomTimeouts, SourcePosition};
use super::resource::{ResourceArgs, package_of, providers_of};
use crate::program_error::ProgramError;
use crate::value::Input;
use crate::value::{Value, struct_of, to_wire};
use crate::wire as rpc;
use rpc::alias::{self, Spec, spec};
use rpc::register_resource_request::{CustomTimeouts as WireTimeouts, PropertyDependencies};

/// Who does what a resource stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A provider makes it.
    Custom,
    /// The program makes what is in it.
    Component,
    /// A provider makes what is in it.
    Remote,
}

/// What the translation needs to know of the run.
pub(super) struct Run<'a> {
    /// URN of the stack.
    pub root: &'a str,
    pub features: Features,
    pub family: &'a Family,
}

/// Inputs on the wire, with what they come from.
pub(super) struct Encoded {
    pub object: rpc::Struct,
    pub dependencies: BTreeSet<String>,
    pub by_property: HashMap<String, BTreeSet<String>>,
}

impl Run<'_> {
    pub fn register(
        &self,
        kind: Kind,
        args: ResourceArgs,
        transforms: Vec<rpc::Callback>,
    ) -> Result<rpc::RegisterResourceRequest, ProgramError> {
        let providers = providers_of(&args.options);
        let options = args.options;
        let encoded = self.encode(args.inputs)?;
        let trigger = options.replacement_trigger.map(|trigger| self.value("replacementTrigger", trigger));
        let (source_position, stack_trace) = place_to_wire(options.source_position);
        let mut dependencies = encoded.dependencies;
        dependencies.extend(self.family.expand(options.depends_on));
        // Sent for every property: without an entry the engine takes all dependencies for it.
        let by_property = encoded.by_property.into_iter();
        let property_dependencies = by_property
            .map(|(name, urns)| (name, PropertyDependencies { urns: urns.into_iter().collect() }))
            .collect();
        let provider = match kind {
            Kind::Component => String::new(),
            Kind::Custom | Kind::Remote => {
                providers.get(package_of(&args.resource_type)).cloned().unwrap_or_default()
            }
        };
        Ok(rpc::RegisterResourceRequest {
            r#type: args.resource_type,
            name: args.name,
            parent: options.parent.map_or_else(|| self.root.to_owned(), |parent| parent.urn),
            custom: kind == Kind::Custom,
            remote: kind == Kind::Remote,
            object: Some(encoded.object),
            dependencies: dependencies.into_iter().collect(),
            property_dependencies,
            provider,
            providers: if kind == Kind::Custom { HashMap::new() } else { providers.into_iter().collect() },
            protect: options.protect,
            aliases: options.aliases.iter().map(alias_to_wire).collect(),
            alias_specs: true,
            ignore_changes: options.ignore_changes,
            replace_on_changes: options.replace_on_changes,
            delete_before_replace: options.delete_before_replace.unwrap_or_default(),
            delete_before_replace_defined: options.delete_before_replace.is_some(),
            retain_on_delete: options.retain_on_delete,
            deleted_with: options.deleted_with.unwrap_or_default(),
            replace_with: options.replace_with,
            replacement_trigger: trigger.transpose()?.map(|(trigger, _)| to_wire(&trigger)),
            import_id: options.import_id.unwrap_or_default(),
            custom_timeouts: timeouts_to_wire(options.custom_timeouts),
            version: options.version.unwrap_or_default(),
            plugin_download_url: options.plugin_download_url.unwrap_or_default(),
            additional_secret_outputs: options.additional_secret_outputs,
            hide_diffs: options.hide_diffs,
            env_var_mappings: options.env_var_mappings.into_iter().collect(),
            source_position,
            stack_trace,
            package_ref: options.package.map(|package| package.0).unwrap_or_default(),
            transforms,
            hooks: hooks_to_wire(options.hooks),
            accept_secrets: true,
            accept_resources: true,
            accepts_byte_string: true,
            supports_partial_values: true,
            supports_result_reporting: true,
            ..Default::default()
        })
    }

    pub fn encode(&self, inputs: BTreeMap<String, Input>) -> Result<Encoded, ProgramError> {
        let (mut object, mut dependencies) = (BTreeMap::new(), BTreeSet::new());
        let mut by_property = HashMap::new();
        for (name, input) in inputs {
            let (value, urns) = self.value(&name, input)?;
            dependencies.extend(urns.iter().cloned());
            by_property.insert(name.clone(), urns);
            object.insert(name, value);
        }
        Ok(Encoded { object: struct_of(&object), dependencies, by_property })
    }

    /// The value in the form that this engine takes, and everything it comes from.
    fn value(&self, property: &str, input: Input) -> Result<(Value, BTreeSet<String>), ProgramError> {
        self.features.check(property, &input.value)?;
        let Input { value, mut dependencies } = input;
        let inner = value.dependencies();
        let all_inside = dependencies.is_subset(&inner);
        dependencies.extend(inner);
        let value = if self.features.resource_references { value } else { as_ids(value) };
        let urns = self.family.expand(dependencies);
        let value = match self.features.output_values {
            false => value.without_dependencies(),
            true if all_inside => value,
            true => {
                Value::Output { value: Box::new(value.without_dependencies()), dependencies: urns.clone() }
            }
        };
        Ok((value, urns))
    }
}

/// For an engine that does not take references to resources: their id, of components their URN.
fn as_ids(value: Value) -> Value {
    match value {
        Value::Resource(reference) => reference.id.map_or(Value::String(reference.urn), |id| *id),
        Value::Secret(inner) => Value::Secret(Box::new(as_ids(*inner))),
        Value::Output { value, dependencies } => {
            Value::Output { value: Box::new(as_ids(*value)), dependencies }
        }
        Value::List(items) => Value::List(items.into_iter().map(as_ids).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (key, as_ids(value))).collect())
        }
        plain => plain,
    }
}

/// The position, and a trace with it as its only frame: what the engine keeps is the one or the other.
pub(super) fn place_to_wire(
    place: Option<SourcePosition>,
) -> (Option<rpc::SourcePosition>, Option<rpc::StackTrace>) {
    let position =
        place.map(|SourcePosition { uri, line, column }| rpc::SourcePosition { uri, line, column });
    let frame = position.clone().map(|position| rpc::StackFrame { pc: Some(position) });
    (position, frame.map(|frame| rpc::StackTrace { frames: vec![frame] }))
}

pub(super) fn alias_to_wire(alias: &Alias) -> rpc::Alias {
    let alias = match alias {
        Alias::Urn(urn) => alias::Alias::Urn(urn.clone()),
        Alias::Parts { name, resource_type, stack, project, parent } => alias::Alias::Spec(Spec {
            name: name.clone(),
            r#type: resource_type.clone(),
            stack: stack.clone(),
            project: project.clone(),
            parent: match parent {
                AliasParent::Same => None,
                AliasParent::Stack => Some(spec::Parent::NoParent(true)),
                AliasParent::Urn(urn) => Some(spec::Parent::ParentUrn(urn.clone())),
            },
        }),
    };
    rpc::Alias { alias: Some(alias) }
}

pub(super) fn alias_from_wire(alias: rpc::Alias) -> Option<Alias> {
    Some(match alias.alias? {
        alias::Alias::Urn(urn) => Alias::Urn(urn),
        alias::Alias::Spec(spec) => Alias::Parts {
            name: spec.name,
            resource_type: spec.r#type,
            stack: spec.stack,
            project: spec.project,
            parent: match spec.parent {
                Some(spec::Parent::ParentUrn(urn)) => AliasParent::Urn(urn),
                Some(spec::Parent::NoParent(true)) => AliasParent::Stack,
                Some(spec::Parent::NoParent(false)) | None => AliasParent::Same,
            },
        },
    })
}

pub(super) fn timeouts_to_wire(timeouts: CustomTimeouts) -> Option<WireTimeouts> {
    let text = |limit: Option<Duration>| limit.map(|limit| format!("{}s", limit.as_secs_f64()));
    (timeouts != CustomTimeouts::default()).then(|| WireTimeouts {
        create: text(timeouts.create).unwrap_or_default(),
        update: text(timeouts.update).unwrap_or_default(),
        delete: text(timeouts.delete).unwrap_or_default(),
        read: text(timeouts.read).unwrap_or_default(),
    })
}

pub(super) fn timeouts_from_wire(timeouts: Option<&WireTimeouts>) -> CustomTimeouts {
    let Some(timeouts) = timeouts else { return CustomTimeouts::default() };
    CustomTimeouts {
        create: duration(&timeouts.create),
        update: duration(&timeouts.update),
        delete: duration(&timeouts.delete),
        read: duration(&timeouts.read),
    }
}

/// Go's text of a duration: `1h30m`, `5m0s`, `1.5s`, `100ms`.
fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut seconds) = (text, 0.0);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let factor = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests;
