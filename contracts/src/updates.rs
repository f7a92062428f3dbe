//! What an update of a workspace does to its instance, and for how long nobody reaches it then.
//!
//! Each provider module says it of another image and of another size. The words are here alone: the command, the API, the
//! package for Pulumi and `docs/updates.md` have them from here.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How something of an instance changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// What runs goes on.
    InPlace,
    /// The same instance ends and boots.
    Reboot,
    /// Another instance takes over home and network.
    NewInstance,
    /// What runs stays as it is until it is started again.
    NextStart,
    /// One setting of the provider for all instances.
    ForAll,
    /// It cannot be changed.
    Fixed,
}

impl Change {
    pub const ALL: [Change; 6] = [
        Change::InPlace,
        Change::Reboot,
        Change::NewInstance,
        Change::NextStart,
        Change::ForAll,
        Change::Fixed,
    ];

    /// The name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Change::InPlace => "inPlace",
            Change::Reboot => "reboot",
            Change::NewInstance => "newInstance",
            Change::NextStart => "nextStart",
            Change::ForAll => "forAll",
            Change::Fixed => "fixed",
        }
    }

    /// One sentence: what happens, and for how long nobody reaches the instance.
    pub fn downtime(self) -> &'static str {
        match self {
            Change::InPlace => "What runs goes on, without downtime.",
            Change::Reboot => "The same instance gets it and boots again: down for a stop and a boot.",
            Change::NewInstance => {
                "Another instance is made around the same home and network: down for a stop and a boot."
            }
            Change::NextStart => "What runs stays as it is; the next start has it.",
            Change::ForAll => {
                "It is one setting of the provider for all workspaces: each is down for a boot as the provider rolls it out."
            }
            Change::Fixed => "It cannot be changed.",
        }
    }
}

/// What an update costs at one provider. The home stays in any case, where it outlives a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Updates {
    /// Of what the instance is made from.
    pub image: Change,
    /// Of memory and processors.
    pub size: Change,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_has_the_name_of_its_json_and_one_sentence() {
        for change in Change::ALL {
            assert_eq!(serde_json::to_value(change).unwrap(), change.as_str());
            let sentence = change.downtime();
            assert!(sentence.ends_with('.') && !sentence.trim_end_matches('.').contains(". "), "{sentence}");
        }
    }
}
