//! What goes wrong becomes a value that a caller can branch on.

use pulumi_auto::{Backend, Command, ConfigOptions, ConfigValue, Error, Source, Workspace};

use crate::place::{PROJECT, Place};
use crate::support::{driver, world};

#[tokio::test]
async fn a_wrong_or_missing_passphrase_is_an_error_about_secrets() {
    let place = Place::new().await;
    let plain = ConfigOptions::default();
    let stack = place.workspace.create_stack("dev").await.unwrap();
    stack.set_config("pin", ConfigValue::secret("hush"), &plain).await.unwrap();
    let wrong = place.folder().join("wrong");
    std::fs::write(&wrong, "wrong").unwrap();
    let other = place.workspace.clone().with_passphrase_file(&wrong).stack("dev");
    for failed in [
        other.get_config("pin", &plain).await.map(drop),
        other.get_all_config(&plain).await.map(drop),
        other.set_config("pin", ConfigValue::secret("x"), &plain).await,
        other.up(Source::Project).await.map(drop),
    ] {
        assert!(matches!(&failed, Err(Error::Secrets { .. })), "{failed:?}");
    }
    std::fs::remove_file(&wrong).unwrap();
    assert!(other.get_all_config(&plain).await.is_err());
    assert_eq!(stack.get_config("pin", &plain).await.unwrap(), Some(ConfigValue::secret("hush")));
}

#[tokio::test]
async fn without_a_secrets_provider_no_stack_is_created_and_an_empty_passphrase_is_said() {
    let place = Place::new().await;
    let (at, engine) = (place.workspace.place().clone(), driver::open(&world::cli().await).await);
    let open = || {
        let workspace = Workspace::local(engine.clone(), &at.directory, &at.home, at.backend.clone());
        workspace.unwrap()
    };
    let error = open().create_stack("dev").await.unwrap_err();
    assert!(matches!(error, Error::Secrets { .. }), "{error:?}");
    open().with_empty_passphrase().create_stack("dev").await.unwrap();
}

#[tokio::test]
async fn a_backend_that_wants_a_login_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Backend::Url("https://127.0.0.1:1".to_owned());
    let (project, home) = (folder.path().join("project"), folder.path().join("home"));
    let workspace = Workspace::inline(world::cli().await, PROJECT, project, home, cloud).unwrap();
    for failed in [workspace.whoami().await.map(drop), workspace.upsert_stack("dev").await.map(drop)] {
        assert!(matches!(&failed, Err(Error::Auth { .. })), "{failed:?}");
    }
}

#[tokio::test]
async fn a_broken_state_file_and_refused_arguments_are_told_apart() {
    let place = Place::new().await;
    let stack = place.workspace.create_stack("dev").await.unwrap();
    let file = place.folder().join("state/.pulumi/stacks").join(PROJECT).join("dev.json");
    std::fs::write(&file, r#"{"version": 3, "checkpoint": {"#).unwrap();
    for failed in [stack.export().await.map(drop), stack.up(Source::Project).await.map(drop)] {
        assert!(matches!(&failed, Err(Error::StateCorrupt { stack, .. }) if stack == "dev"), "{failed:?}");
    }
    for command in [
        Command::new(["frobnicate"]),
        Command::new(["stack", "ls"]).flag("whatever", true),
        Command::new(["stack", "init"]).args(["a", "b"]),
        // Nobody says yes: code 2.
        Command::new(["destroy"]).stack("dev"),
    ] {
        let error = place.workspace.command(&command).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid { .. }), "{error:?}");
    }
    let error = place.workspace.create_stack("bad name").await.unwrap_err();
    assert!(matches!(&error, Error::Command { message, .. } if message.contains("stack name")), "{error}");
}
