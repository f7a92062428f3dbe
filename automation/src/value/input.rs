//! A value with what it came from, and what can be made of it. Whatever is made of a secret is secret.

use std::collections::{BTreeMap, BTreeSet};

use super::Value;

/// A value and the resources it came from, so that the engine knows the order of things (Pulumi: *input*,
/// *output*).
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// What the property is, as far as it is known.
    pub value: Value,
    /// URNs.
    pub dependencies: BTreeSet<String>,
}

impl<T: Into<Value>> From<T> for Input {
    fn from(value: T) -> Self {
        let value = value.into();
        let dependencies = value.dependencies();
        Self { value, dependencies }
    }
}

impl Input {
    /// The same value, hidden.
    pub fn into_secret(self) -> Self {
        Self { value: Value::secret(self.value), dependencies: self.dependencies }
    }

    /// To put it into a list or an object with others: the dependencies go with it.
    pub fn into_value(self) -> Value {
        match self.dependencies.is_empty() {
            true => self.value,
            false => Value::Output { value: Box::new(self.value), dependencies: self.dependencies },
        }
    }

    /// A value made from this one (Pulumi: `apply`). `change` gets the plain value: what is marked in it, at
    /// any depth, counts for all that it returns. With a secret anywhere in it the result is secret as a
    /// whole; with an unknown anywhere the result is unknown, and `change` is not asked.
    pub fn map(self, change: impl FnOnce(Value) -> Value) -> Self {
        let secret = self.value.has_secrets();
        let mut dependencies = self.dependencies;
        dependencies.extend(self.value.dependencies());
        let value = match self.value.has_unknowns() {
            true => Value::Unknown,
            false => change(self.value.without_dependencies().expose_secrets()),
        };
        dependencies.extend(value.dependencies());
        Self { value: if secret { Value::secret(value.expose_secrets()) } else { value }, dependencies }
    }

    /// Several as one list, in their order (Pulumi: `all`), for [`Input::map`]. Each item keeps its own marks,
    /// so that the list can be an input as it is.
    pub fn all(inputs: impl IntoIterator<Item = Input>) -> Self {
        let mut dependencies = BTreeSet::new();
        let items = inputs.into_iter().map(|input| {
            dependencies.extend(input.dependencies.iter().cloned());
            input.into_value()
        });
        Self { value: Value::List(items.collect()), dependencies }
    }

    /// As [`Input::all`], by name as an object.
    pub fn object(inputs: BTreeMap<String, Input>) -> Self {
        let mut dependencies = BTreeSet::new();
        let members = inputs.into_iter().map(|(name, input)| {
            dependencies.extend(input.dependencies.iter().cloned());
            (name, input.into_value())
        });
        Self { value: Value::Object(members.collect()), dependencies }
    }

    /// Their texts one after the other (Pulumi: `concat`). A number or truth value is written as in JSON,
    /// what is null is empty, and lists and objects are their JSON.
    pub fn concat(parts: impl IntoIterator<Item = Input>) -> Self {
        Self::all(parts).map(|parts| match parts {
            Value::List(parts) => parts.iter().map(text).collect::<String>().into(),
            other => text(&other).into(),
        })
    }

    /// The value as JSON text (Pulumi: `jsonStringify`).
    pub fn json(self) -> Self {
        self.map(|value| value.reveal().to_string().into())
    }
}

/// Of a value whose marks are kept elsewhere.
fn text(value: &Value) -> String {
    match value.reveal() {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ResourceReference;
    use super::*;

    fn input(value: Value) -> Input {
        Input { value, dependencies: BTreeSet::from(["urn:a".to_owned()]) }
    }

    #[test]
    fn a_mapped_value_keeps_its_secrecy_and_what_it_came_from() {
        let upper = |value: Value| Value::from(value.as_str().unwrap_or_default().to_uppercase());
        assert_eq!(input(Value::secret("x")).map(upper), input(Value::secret("X")));
        assert_eq!(input("x".into()).map(upper), input("X".into()));
        let inner =
            Value::Output { value: Box::new("x".into()), dependencies: BTreeSet::from(["urn:b".to_owned()]) };
        let kept = input("y".into()).map(|_| inner).dependencies;
        assert_eq!(kept, BTreeSet::from(["urn:a".to_owned(), "urn:b".to_owned()]));
    }

    #[test]
    fn what_is_unknown_is_not_mapped() {
        let never = |_: Value| -> Value { panic!("asked") };
        assert_eq!(input(Value::Unknown).map(never), input(Value::Unknown));
        let hidden = Value::secret(Value::List(vec![Value::Unknown]));
        assert_eq!(input(hidden).map(never), input(Value::secret(Value::Unknown)));
    }

    #[test]
    fn an_input_inside_another_passes_its_dependencies_on() {
        let outer = Input::from(Value::List(vec![input("x".into()).into_value(), "y".into()]));
        assert_eq!(outer.dependencies, BTreeSet::from(["urn:a".to_owned()]));
    }

    #[test]
    fn a_text_of_a_host_and_a_secret_password_is_secret_and_knows_both() {
        let host = input("db".into());
        let password =
            Input { value: Value::secret("p"), dependencies: BTreeSet::from(["urn:b".to_owned()]) };
        let parts =
            || ["postgres://me:".into(), password.clone(), "@".into(), host.clone(), ":".into(), 5432.into()];
        let both = BTreeSet::from(["urn:a".to_owned(), "urn:b".to_owned()]);
        let url = Value::secret("postgres://me:p@db:5432");
        assert_eq!(Input::concat(parts()), Input { value: url, dependencies: both.clone() });
        let listed = Input::all([host.clone(), password.clone()]);
        assert_eq!(listed.dependencies, both);
        let Value::List(items) = &listed.value else { panic!("{listed:?}") };
        assert_eq!(
            (items[0].has_secrets(), items[1].has_secrets()),
            (false, true),
            "each keeps its own mark"
        );
        let members = BTreeMap::from([("host".to_owned(), host), ("password".to_owned(), password)]);
        let json = Input::object(members).json();
        assert_eq!(
            json,
            Input { value: Value::secret(r#"{"host":"db","password":"p"}"#), dependencies: both }
        );
        assert_eq!(Input::concat([Value::Null.into(), true.into(), 0.5.into()]).value, "true0.5".into());
    }

    /// Any value, with a secret somewhere in it or not.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            "[a-z]{0,4}".prop_map(Value::String),
            Just(Value::Unknown),
        ];
        leaf.prop_recursive(5, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                prop::collection::btree_map("[a-z]{1,3}", inner.clone(), 0..4).prop_map(Value::Object),
                inner.clone().prop_map(|value| Value::Secret(Box::new(value))),
                inner.clone().prop_map(|id| {
                    let id = Some(Box::new(id));
                    Value::Resource(ResourceReference { id, ..ResourceReference::default() })
                }),
                inner.prop_map(|value| Value::Output {
                    value: Box::new(value),
                    dependencies: BTreeSet::from(["urn:c".to_owned()]),
                }),
            ]
        })
    }

    /// Says it with other words than [`Value::has_secrets`].
    fn shows_a_secret(value: &Value) -> bool {
        format!("{value:?}").contains("Secret(")
    }

    proptest! {
        #[test]
        fn whatever_is_made_of_a_value_with_a_secret_in_it_is_secret(first in values(), second in values()) {
            let secret = shows_a_secret(&first) || shows_a_secret(&second);
            let (one, two) = (Input::from(first.clone()), Input::from(second.clone()));
            let both = [one.clone(), two.clone()];
            let members = BTreeMap::from([("a".to_owned(), one.clone()), ("b".to_owned(), two)]);
            for made in [
                Input::all(both.clone()).map(|_| "plain".into()),
                Input::all(both.clone()).map(|value| value),
                Input::concat(both),
                Input::object(members).json(),
            ] {
                prop_assert_eq!(matches!(made.value, Value::Secret(_)), secret, "{:?}", made);
            }
            prop_assert_eq!(matches!(one.map(|value| value).value, Value::Secret(_)), shows_a_secret(&first));
            prop_assert!(!shows_a_secret(&first.clone().expose_secrets()));
            if shows_a_secret(&first) {
                prop_assert!(first.as_str().is_none(), "a mark is never lost by asking for the text");
            }
        }
    }
}
