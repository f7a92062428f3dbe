//! What a program is told: the stack's configuration, and other stacks' outputs.

use std::collections::BTreeSet;

use pulumi_auto::{Input, ProgramError, Value, program};

use crate::support::world::{PROJECT, World};
use crate::things::{Noted, nothing, properties, thing, up, up_fails};

#[tokio::test]
async fn configuration_is_decrypted_for_the_program_and_secrets_stay_marked() {
    let world = World::new().await;
    let stack = world.stack("configured").await;
    let set = [
        "config",
        "set-all",
        "--stack",
        "configured",
        "--plaintext",
        "size=3",
        "--plaintext",
        "cloud:zone=west",
        "--plaintext",
        "ports=[80, 443]",
        "--secret",
        "token=canary",
        "--secret",
        "keys={\"a\":\"canary\"}",
    ];
    let output = world.pulumi(&set).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let done = Noted::new();
    let noted = done.clone();
    let program = program(move |context| {
        let noted = noted.clone();
        async move {
            assert_eq!((context.project(), context.stack()), (PROJECT, "configured"));
            assert_eq!((context.organization(), context.is_preview()), ("organization", true));
            assert_eq!(context.require_config("size")?, "3");
            assert_eq!(context.config_json::<u8>("size")?, Some(3));
            assert_eq!(context.config_json::<Vec<u16>>("shop:ports")?, Some(vec![80, 443]));
            assert_eq!(context.config_value("cloud:zone"), Some("west"));
            assert_eq!(context.config_input("token"), Some(Input::from(Value::secret("canary"))));
            assert!(context.config_json_input("keys")?.is_some_and(|keys| keys.value.has_secrets()));
            assert!(context.config_is_secret("token") && !context.config_is_secret("size"));
            let secret = ["shop:keys", "shop:token"].map(str::to_owned);
            assert_eq!(context.config_secret_keys(), &BTreeSet::from(secret));
            noted.note(context.require_config("absent").map(str::to_owned));
            noted.note(context.config_json::<u8>("token").map(|_| String::new()));
            Ok(nothing())
        }
    });
    stack.preview(program).await.unwrap();
    let [absent, invalid] = &done.all()[..] else { panic!() };
    assert_eq!(absent, &Err(ProgramError::ConfigMissing { key: "shop:absent".to_owned() }));
    let Err(error @ ProgramError::ConfigInvalid { .. }) = invalid else { panic!("{invalid:?}") };
    assert!(!error.to_string().contains("canary"), "{error}");
}

#[tokio::test]
async fn another_stacks_outputs_are_read_with_their_secrecy() {
    let world = World::new().await;
    let (source, reader) = (world.stack("source").await, world.stack("reader").await);
    let exports = program(|_| async {
        let nested = Value::List(vec![Value::secret("canary-2")]);
        Ok(properties([
            ("plain", "visible".into()),
            ("token", Value::secret("canary-1").into()),
            ("nested", nested.into()),
        ]))
    });
    up(&source, exports).await;
    let missing = Noted::new();
    let noted = missing.clone();
    let reads = program(move |context| {
        let noted = noted.clone();
        async move {
            let other = context.stack_reference("organization/shop/source").await?;
            noted.note((context.is_preview(), other.require_output("absent"), other.output("absent")));
            let token = other.require_output("token")?;
            context.register(thing("a", [("token", token.clone())])).await?;
            Ok(properties([
                ("plain", other.require_output("plain")?),
                ("token", token),
                ("nested", other.require_output("nested")?),
            ]))
        }
    });
    reader.preview(reads.clone()).await.unwrap();
    let update = up(&reader, reads).await;
    assert_eq!(update.outputs["plain"], "visible".into());
    assert_eq!(update.outputs["token"], Value::secret("canary-1"));
    assert!(update.outputs["nested"].has_secrets());
    assert!(!world.state_mentions("canary"));
    let state = world.state(&reader);
    assert!(state.of("a")["inputs"]["token"]["ciphertext"].is_string());
    let [preview, real] = &missing.all()[..] else { panic!() };
    assert_eq!((preview.0, &preview.1), (true, &Ok(Input::from(Value::Unknown))));
    let (stack, output) = ("organization/shop/source".to_owned(), "absent".to_owned());
    assert_eq!(real, &(false, Err(ProgramError::OutputMissing { stack, output }), None));

    let nowhere = program(|context| async move {
        context.stack_reference("organization/shop/nowhere").await?;
        Ok(nothing())
    });
    let error = up_fails(&reader, nowhere).await;
    assert!(error.to_string().contains("organization/shop/nowhere"), "{error}");
}
