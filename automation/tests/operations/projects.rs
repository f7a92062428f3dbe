//! Projects with a program of their own, here in YAML.

use pulumi_auto::{Backend, Error, Source, Value, Workspace};

use crate::support::world::World;

const PROGRAM: &str = "name: shop
runtime: yaml
config:
  colour:
    type: string
variables:
  token:
    fn::secret: canary-52
outputs:
  plain: ${colour}
  nested:
    list: [1, true]
    token: ${token}
  hidden: ${token}
";

#[tokio::test]
async fn a_project_of_its_own_runs_and_its_outputs_come_with_the_events() {
    let world = World::new().await;
    let place = world.workspace.place().clone();
    let folder = world.folder().join("local");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("Pulumi.yaml"), PROGRAM).unwrap();
    let state = Backend::Folder(world.folder().join("local-state"));
    let workspace = Workspace::local(world.engine.clone(), &folder, place.home, state).unwrap();
    let workspace = workspace.with_empty_passphrase();
    let stack = workspace.stack("yaml");
    stack.create().await.unwrap();

    let without = stack.up(Source::Project).await.unwrap_err();
    assert!(without.to_string().contains("colour"), "{without}");
    assert!(!matches!(without, Error::EngineBug { .. }), "{without:?}");

    let update = stack.up(Source::Project).config("colour", "red").await.unwrap();
    assert_eq!(update.outputs["plain"], Value::from("red"));
    assert_eq!(update.summary.changes["create"], 1);
    for secret in ["hidden", "nested"] {
        assert_eq!(update.outputs[secret], Value::Secret(Box::new(Value::Unknown)), "{secret}");
    }
    let again = stack.up(Source::Project).await.unwrap();
    assert!(again.summary.is_unchanged(), "{:?}", again.summary);
    assert_eq!(again.outputs, update.outputs);
    stack.destroy(Source::Project).await.unwrap();
    stack.remove().await.unwrap();
}
