//! A stack's outputs, read from its state.

use serde_json::Value as Json;

use super::*;
use crate::value::from_state;
use crate::wire::STACK_TYPE;

impl Stack {
    /// The outputs of the last update, secrets as [`Value::Secret`] with their plain value; none before
    /// the first. One `pulumi stack export --show-secrets`, where `pulumi stack output` would have to run
    /// twice to tell what is secret. [`Error::Secrets`] when secrets cannot be decrypted.
    pub async fn outputs(&self) -> Result<BTreeMap<String, Value>> {
        let deployment = self.export_with_secrets().await?;
        outputs_of(&deployment)
            .map_err(|message| Error::Output { command: "stack export".to_owned(), message })
    }
}

fn outputs_of(deployment: &Deployment) -> std::result::Result<BTreeMap<String, Value>, String> {
    // A stack that is about to be replaced is in the state twice; only one has outputs that count.
    let root = deployment
        .resources()
        .iter()
        .find(|resource| resource["type"] == STACK_TYPE && resource["delete"] != Json::Bool(true));
    let outputs = root.and_then(|root| root["outputs"].as_object());
    let Some(outputs) = outputs else { return Ok(BTreeMap::new()) };
    outputs.iter().map(|(name, value)| Ok((name.clone(), from_state(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::value::{BYTE_STRING, SECRET, SIGNATURE_KEY};

    fn state(outputs: Json) -> Deployment {
        let root = json!({"type": STACK_TYPE, "urn": "u", "outputs": outputs});
        let doomed = json!({"type": STACK_TYPE, "urn": "u", "delete": true, "outputs": {"old": 1}});
        let other = json!({"type": "a:b:C", "urn": "v", "outputs": {"no": 1}});
        Deployment::from(json!({"version": 3, "deployment": {"resources": [other, doomed, root]}}))
    }

    fn sealed(plain: &Json) -> Json {
        json!({SIGNATURE_KEY: SECRET, "plaintext": plain.to_string()})
    }

    #[test]
    fn secrets_are_marked_where_they_are_at_any_depth() {
        let nested = sealed(&json!({"a": 1, "b": sealed(&json!("deep"))}));
        let outputs = outputs_of(&state(json!({"plain": [1, "x", null], "list": [nested]}))).unwrap();
        let plain = Value::List(vec![1.into(), "x".into(), Value::Null]);
        let inner = BTreeMap::from([("a".to_owned(), 1.into()), ("b".to_owned(), Value::secret("deep"))]);
        let list = Value::List(vec![Value::secret(inner)]);
        assert_eq!(outputs, BTreeMap::from([("plain".to_owned(), plain), ("list".to_owned(), list)]));
    }

    #[test]
    fn numbers_that_json_does_not_have_come_back_too() {
        let signed =
            |bits: &str| json!({SIGNATURE_KEY: "8ad145fe-0d11-4827-bfd7-1abcbf086f5c", "value": bits});
        let infinite = signed("7ff0000000000000");
        let state =
            state(json!({"nan": signed("7ff8000000000000"), "hidden": sealed(&infinite), "bad": infinite}));
        let outputs = outputs_of(&state).unwrap();
        assert!(matches!(outputs["nan"], Value::Number(number) if number.is_nan()));
        assert_eq!(outputs["hidden"], Value::secret(f64::INFINITY));
        assert_eq!(outputs["bad"], f64::INFINITY.into());
    }

    #[test]
    fn text_that_is_not_utf_8_comes_back_as_bytes() {
        let signed = json!({SIGNATURE_KEY: BYTE_STRING, "value": "/wA="});
        let outputs =
            outputs_of(&state(json!({"plain": signed.clone(), "hidden": sealed(&signed)}))).unwrap();
        assert_eq!(outputs["plain"], Value::Bytes(vec![0xff, 0]));
        assert_eq!(outputs["hidden"], Value::secret(Value::Bytes(vec![0xff, 0])));
    }

    #[test]
    fn a_secret_without_its_plain_text_is_one_that_is_not_known() {
        let hidden = json!({"s": {SIGNATURE_KEY: SECRET, "ciphertext": "v1:x"}});
        assert_eq!(outputs_of(&state(hidden)).unwrap()["s"], Value::secret(Value::Unknown));
    }

    #[test]
    fn a_stack_that_was_never_updated_has_no_outputs() {
        let empty = Deployment::from(json!({"version": 3, "deployment": {"manifest": {}}}));
        assert!(outputs_of(&empty).unwrap().is_empty());
    }

    #[test]
    fn a_broken_secret_is_an_error_that_does_not_tell_it() {
        let broken = json!({"s": {SIGNATURE_KEY: SECRET, "plaintext": "hush"}});
        assert_eq!(outputs_of(&state(broken)).unwrap_err(), "a secret output is not JSON");
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<i32>().prop_map(Json::from),
            "\\PC{0,4}".prop_map(Json::from)
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
                proptest::collection::btree_map("[a-z]{1,3}", inner, 0..3)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn plain_and_secret_values_are_revealed_as_they_were(value in any_json()) {
            let outputs = outputs_of(&state(json!({"p": value.clone(), "s": sealed(&value)}))).unwrap();
            prop_assert_eq!(outputs["p"].reveal(), value.clone());
            prop_assert_eq!(&outputs["s"], &Value::secret(outputs["p"].clone()));
        }
    }
}
