//! One program, inline and in YAML: the state must not tell which of the two ran.

use pulumi_auto::{Backend, Input, Options, ResourceOptions, Source, Workspace, program};
use serde_json::Value as Json;

use crate::support::normal::normalized;
use crate::support::world::World;
use crate::things::{properties, thing, up, with};

const YAML: &str = "name: shop
runtime: yaml
resources:
  first:
    type: cloud:test:Thing
    properties:
      label: one
      numbers: [1, 2.5]
  second:
    type: cloud:test:Thing
    properties:
      label: ${first.address}
      token:
        fn::secret: canary
    options:
      dependsOn:
        - ${first}
      protect: true
      ignoreChanges: [colour]
      additionalSecretOutputs: [label]
      customTimeouts:
        create: 90s
outputs:
  address: ${second.address}
";

#[tokio::test]
async fn inline_and_yaml_write_the_same_state_and_find_nothing_to_do_after_each_other() {
    let world = World::new().await;
    let inline = world.stack("parity").await;
    let same = || {
        program(|context| async move {
            let numbers = pulumi_auto::Value::List(vec![1.0.into(), 2.5.into()]);
            let one = context
                .register(thing("first", [("label", "one".into()), ("numbers", numbers.into())]))
                .await?;
            let options = ResourceOptions::default()
                .depends_on([one.urn.clone()])
                .protect(true)
                .ignore_changes(["colour"])
                .additional_secret_outputs(["label"])
                .custom_timeouts(
                    pulumi_auto::CustomTimeouts::default().create(std::time::Duration::from_secs(90)),
                );
            let token = Input::from("canary").into_secret();
            let two = context.register(with(
                "second",
                [("label", one.output("address")), ("token", token)],
                options,
            ));
            Ok(properties([("address", two.await?.output("address"))]))
        })
    };
    up(&inline, same()).await;
    let from_inline = normalized(&world.state(&inline).0);

    let folder = world.folder().join("yaml");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("Pulumi.yaml"), YAML).unwrap();
    let settings = "Pulumi.parity.yaml";
    std::fs::copy(world.workspace.directory().join(settings), folder.join(settings)).unwrap();
    let place = world.workspace.place();
    let Backend::Folder(_) = &place.backend else { panic!() };
    let yaml = Workspace::local(world.engine.clone(), folder, &place.home, place.backend.clone())
        .unwrap()
        .with_passphrase_file(world.folder().join("passphrase"))
        .with_attached_provider("cloud", world.cloud.port())
        .stack("parity");
    let strict = Options::default().expect_no_changes(true);
    yaml.preview(Source::Project).with(&strict).await.unwrap();
    yaml.up(Source::Project).await.unwrap();
    let from_yaml = normalized(&world.state(&inline).0);
    pretty_eq(&from_inline, &from_yaml);
    inline.preview(same()).with(&strict).await.unwrap();
}

fn pretty_eq(left: &Json, right: &Json) {
    let text = |value| serde_json::to_string_pretty(value).unwrap();
    assert_eq!(text(left), text(right));
}
