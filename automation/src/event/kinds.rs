//! The content of each kind of event, as `sdk/go/common/apitype/events.go` of Pulumi has it. Every field
//! that an engine may leave out has a default.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An empty list or map is `null` in what Go writes.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// Something to print, with colour directives (see [`super::plain_text`]).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Message {
    /// The text.
    pub message: String,
    /// How it is to be coloured.
    pub color: String,
}

/// A message of the engine, a provider or the program.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct DiagnosticEvent {
    /// The resource it is about; empty for the whole operation.
    pub urn: String,
    /// Goes before the message when it is printed.
    pub prefix: String,
    /// The text, with colour directives.
    pub message: String,
    /// `debug`, `info`, `info#err`, `warning` or `error`.
    pub severity: String,
    /// Messages of one stream belong together.
    #[serde(rename = "streamID")]
    pub stream_id: i64,
    /// Progress text that is replaced by what follows.
    pub ephemeral: bool,
}

/// The beginning of an operation.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Prelude {
    /// The stack's configuration; secrets are blinded.
    #[serde(deserialize_with = "or_empty")]
    pub config: BTreeMap<String, String>,
}

/// The sum of an operation.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct SummaryEvent {
    /// Steps by their operation: `create`, `same`, ...
    #[serde(deserialize_with = "or_empty")]
    pub resource_changes: BTreeMap<String, u64>,
    /// How long it took.
    pub duration_seconds: u64,
    /// Nothing was changed.
    pub is_preview: bool,
    /// The state may not hold everything that was done.
    pub maybe_corrupt: bool,
    /// Versions of the policy packs that were applied.
    #[serde(rename = "PolicyPacks", deserialize_with = "or_empty")]
    pub policy_packs: BTreeMap<String, String>,
    /// `succeeded`, `failed` or `canceled`; engines before 3.237 do not say.
    pub result: Option<String>,
}

/// A step of the engine and the resource it is about.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StepMetadata {
    /// `create`, `update`, `delete`, `replace`, `same`, `refresh`, `read`, `import`, ...
    pub op: String,
    /// The resource's URN.
    pub urn: String,
    /// `package:module:Type`
    #[serde(rename = "type")]
    pub resource_type: String,
    /// The provider's reference, `urn::id`.
    #[serde(default)]
    pub provider: String,
    /// The properties that force a replacement.
    #[serde(default)]
    pub keys: Option<Vec<String>>,
    /// Names of the input properties that differ.
    #[serde(default)]
    pub diffs: Option<Vec<String>>,
    /// How each property differs, by its path; absent when the provider does not say.
    #[serde(default)]
    pub detailed_diff: Option<BTreeMap<String, PropertyDiff>>,
    /// False for a step that is part of a replacement.
    #[serde(default)]
    pub logical: bool,
    /// The resource's state before and after, as the engine reports it: secrets are blinded.
    #[serde(default)]
    pub old: Option<Value>,
    /// As `old`, after the step.
    #[serde(default)]
    pub new: Option<Value>,
}

/// `urn:pulumi:STACK::PROJECT::TYPE::NAME`.
pub(crate) fn name_in(urn: &str) -> &str {
    urn.splitn(4, "::").nth(3).unwrap_or(urn)
}

impl StepMetadata {
    /// The logical name: all of the URN behind its type, which may hold `::` itself.
    pub fn name(&self) -> &str {
        name_in(&self.urn)
    }

    /// The step alone, which is small whatever the resource holds.
    pub fn without_states(&self) -> Self {
        Self {
            op: self.op.clone(),
            urn: self.urn.clone(),
            resource_type: self.resource_type.clone(),
            provider: self.provider.clone(),
            keys: self.keys.clone(),
            diffs: self.diffs.clone(),
            detailed_diff: self.detailed_diff.clone(),
            logical: self.logical,
            old: None,
            new: None,
        }
    }
}

/// How one property differs.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PropertyDiff {
    /// `add`, `delete`, `update`, or one of them with `-replace`.
    #[serde(rename = "diffKind")]
    pub kind: String,
    /// Inputs differ; else it is the state that does.
    #[serde(rename = "inputDiff")]
    pub input: bool,
}

/// A step that failed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct StepFailure {
    /// The step.
    pub metadata: StepMetadata,
    /// 0: nothing happened. 1: partial failure. 2: not known.
    #[serde(default)]
    pub status: i64,
}

#[derive(Deserialize)]
pub(super) struct WithMetadata {
    pub metadata: StepMetadata,
}

/// A policy was violated.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct PolicyEvent {
    /// What violates it; empty for the whole stack.
    pub resource_urn: String,
    /// What is wrong.
    pub message: String,
    /// The policy.
    pub policy_name: String,
    /// The pack that it is part of.
    pub policy_pack_name: String,
    /// The pack's version.
    pub policy_pack_version: String,
    /// `advisory`, `mandatory` or `remediate`.
    pub enforcement_level: String,
    /// `low`, `medium`, `high` or `critical`; may be empty.
    pub severity: String,
}

/// A policy changed a resource's inputs.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct PolicyRemediation {
    /// What was changed.
    pub resource_urn: String,
    /// The policy.
    pub policy_name: String,
    /// The pack that it is part of.
    pub policy_pack_name: String,
    /// The pack's version.
    pub policy_pack_version: String,
    /// The inputs as the program gave them.
    pub before: Value,
    /// The inputs as they are used.
    pub after: Value,
}

/// What one policy pack said.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct PolicySummary {
    /// Absent when it is about the whole stack.
    pub resource_urn: Option<String>,
    /// The pack.
    pub policy_pack_name: String,
    /// Its version.
    pub policy_pack_version: String,
    /// Names of policies.
    #[serde(deserialize_with = "or_empty")]
    pub passed: Vec<String>,
    /// Names of policies that were violated.
    #[serde(deserialize_with = "or_empty")]
    pub failed: Vec<String>,
}

/// How far the fetching of a plugin is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Progress {
    /// `plugin-download` or `plugin-install`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of what is fetched; the same in all its events.
    pub id: String,
    /// For people.
    pub message: String,
    /// Bytes.
    pub received: i64,
    /// Bytes; 0 when it is not known.
    pub total: i64,
    /// It is complete.
    pub done: bool,
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_may_hold_what_parts_a_urn() {
        let name =
            |name: &str| super::name_in(&format!("urn:pulumi:dev::shop::a:b:C$d:e:F::{name}")).to_owned();
        for text in ["web", "a::b::c", ":", ""] {
            assert_eq!(name(text), text);
        }
        assert_eq!(super::name_in("no urn"), "no urn");
    }
}
