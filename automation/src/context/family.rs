//! Which resources are in which component. For a dependency, a component is what it is made of.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

/// The components that the program itself has made, with the URNs directly in them.
#[derive(Default)]
pub(super) struct Family(Mutex<HashMap<String, BTreeSet<String>>>);

impl Family {
    /// A component exists; nothing is in it yet.
    pub fn add_component(&self, urn: &str) {
        if let Ok(mut components) = self.0.lock() {
            components.entry(urn.to_owned()).or_default();
        }
    }

    /// Something is in `parent`; of no interest unless that is a component.
    pub fn add_child(&self, parent: &str, urn: &str) {
        if let Ok(mut components) = self.0.lock()
            && let Some(children) = components.get_mut(parent)
        {
            children.insert(urn.to_owned());
        }
    }

    /// The same URNs with everything that is in a component so far in place of the component.
    pub fn expand(&self, urns: BTreeSet<String>) -> BTreeSet<String> {
        let Ok(components) = self.0.lock() else { return urns };
        if !urns.iter().any(|urn| components.contains_key(urn)) {
            return urns;
        }
        let (mut expanded, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut waiting: Vec<String> = urns.into_iter().collect();
        while let Some(urn) = waiting.pop() {
            match components.get(&urn) {
                // Provenly a tree, but a loop must not hang a program.
                Some(_) if !seen.insert(urn.clone()) => {}
                Some(children) => waiting.extend(children.iter().cloned()),
                None => drop(expanded.insert(urn)),
            }
        }
        expanded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(urns: &[&str]) -> BTreeSet<String> {
        urns.iter().map(|urn| (*urn).to_owned()).collect()
    }

    #[test]
    fn a_dependency_on_a_component_is_one_on_everything_in_it() {
        let family = Family::default();
        family.add_component("outer");
        family.add_component("inner");
        for (parent, child) in [("outer", "a"), ("outer", "inner"), ("inner", "b"), ("a", "part-of-a")] {
            family.add_child(parent, child);
        }
        assert_eq!(family.expand(set(&["outer", "other"])), set(&["a", "b", "other"]));
        assert_eq!(family.expand(set(&["a"])), set(&["a"]));
    }
}
