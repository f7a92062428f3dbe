//! Cases about values on their way from a program to whoever reads the outputs.

use std::collections::BTreeMap;

use pulumi_auto::{Input, Outputs, ProgramError, Value, program};

use super::Subject;
use super::operations::{stack_in, state_of, thing};

pub async fn outputs_keep_their_values_and_their_secrecy(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "outputs").await;
    let outputs = || {
        program(|context| async move {
            let token = Input::from("canary-8d2").into_secret();
            let made = context.register(thing("a", &[("token", token), ("size", 2.0.into())])).await?;
            Ok(Outputs::from([
                ("token".to_owned(), made.output("token")),
                ("size".to_owned(), made.output("size")),
                ("list".to_owned(), Input::from(Value::List(vec![Value::Bool(true), Value::from("x")]))),
            ]))
        })
    };
    let update = stack.up(outputs()).await.unwrap();
    let expected = BTreeMap::from([
        ("token".to_owned(), Value::secret("canary-8d2")),
        ("size".to_owned(), Value::Number(2.0)),
        ("list".to_owned(), Value::List(vec![Value::Bool(true), Value::from("x")])),
    ]);
    assert_eq!(update.outputs, expected);
    assert_eq!(stack.outputs().await.unwrap(), expected);
    assert!(!state_of(&stack).await.to_string().contains("canary-8d2"));
}

pub async fn deep_values_and_numbers_that_json_does_not_have_come_back(subject: impl Subject) {
    let workspace = subject.workspace();
    let deep = (0..60).fold(Value::from("leaf"), |inner, _| {
        Value::List(vec![BTreeMap::from([("in".to_owned(), inner)]).into()])
    });
    let stack = stack_in(&workspace, "deep").await;
    let outputs = BTreeMap::from([
        ("deep".to_owned(), deep.clone()),
        ("hidden".to_owned(), Value::secret(deep)),
        ("infinite".to_owned(), f64::NEG_INFINITY.into()),
        ("none".to_owned(), Value::secret(f64::NAN)),
    ]);
    let given = outputs.clone();
    let program_of = move || {
        let given = given.clone();
        program(move |_| {
            let given = given.clone();
            async move { Ok(given.into_iter().map(|(name, value)| (name, value.into())).collect()) }
        })
    };
    // A number that is none equals nothing, so texts are compared.
    let same = |found: &BTreeMap<String, Value>| assert_eq!(format!("{found:?}"), format!("{outputs:?}"));
    same(&stack.up(program_of()).await.unwrap().outputs);
    same(&stack.outputs().await.unwrap());
    let reader = stack_in(&workspace, "reader").await;
    let read = program(|context| async move {
        let name = format!("{}/shop/deep", context.organization());
        let other = context.stack_reference(&name).await?;
        Ok(Outputs::from([("deep".to_owned(), other.require_output("deep")?)]))
    });
    assert_eq!(reader.up(read).await.unwrap().outputs["deep"], outputs["deep"]);
}

pub async fn text_that_is_not_utf_8_comes_back_byte_for_byte(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "bytes").await;
    let key = || Value::bytes([0xff, 0x00, 0x8f]);
    let nested = move || BTreeMap::from([("list".to_owned(), Value::List(vec!["plain".into(), key()]))]);
    let keys = || {
        program(move |context| async move {
            let inputs =
                [("key", key().into()), ("hidden", Value::secret(key()).into()), ("nested", nested().into())];
            let made = context.register(thing("a", &inputs)).await?;
            assert_eq!(made.output("key").value, key());
            let again = context.register(thing("b", &[("key", made.output("key"))])).await?;
            let outputs = [("key", &again), ("hidden", &made), ("nested", &made)];
            Ok(outputs.into_iter().map(|(name, from)| (name.to_owned(), from.output(name))).collect())
        })
    };
    let update = stack.up(keys()).await.unwrap();
    let expected = BTreeMap::from([
        ("key".to_owned(), key()),
        ("hidden".to_owned(), Value::secret(key())),
        ("nested".to_owned(), Value::Object(nested())),
    ]);
    assert_eq!(update.outputs, expected);
    assert_eq!(stack.outputs().await.unwrap(), expected);
    stack.import(&stack.export().await.unwrap()).await.unwrap();
    assert!(stack.up(keys()).await.unwrap().summary.is_unchanged());
}

pub async fn a_program_that_fails_leaves_the_outputs_of_before(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "kept").await;
    let outputs = || program(|_| async { Ok(Outputs::from([("url".to_owned(), "here".into())])) });
    stack.up(outputs()).await.unwrap();
    let failing = program(|context| async move {
        context.register(thing("a", &[])).await?;
        Err(ProgramError::Failed("nothing is right".to_owned()))
    });
    stack.up(failing).await.unwrap_err();
    assert_eq!(stack.outputs().await.unwrap()["url"], "here".into());
}
