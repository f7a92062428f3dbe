//! `pilot image push` as users have it: what was built on this machine becomes workspaces at each provider that takes images.

use serde_json::{Value, json};

use crate::support::clouds::FlyCloud;
use crate::support::docker::{TestImage, docker};
use crate::support::world::World;

fn push(world: &World, arguments: &[&str]) -> Value {
    let words = [&["image", "push", "--json"], arguments].concat();
    serde_json::from_str(&world.pilot(&words)).unwrap()
}

#[tokio::test]
async fn an_archive_of_another_machine_becomes_the_image_of_a_workspace_on_docker() {
    let world = World::start_on_docker().await;
    world.api.create_ready("demo", "docker").await;
    let image = TestImage::build("archive", "LABEL purpose=push");
    let id = image.id();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("image.tar").display().to_string();
    docker(&["image", "save", "--output", &archive, &image.0]);
    docker(&["image", "rm", &image.0]);

    let pushed = push(&world, &["--archive", &archive, "--provider", "docker"]);
    assert_eq!(
        (&pushed["image"]["reference"], &pushed["exact"]),
        (&json!(image.0), &json!(id)),
        "{pushed:#}"
    );
    assert_eq!(image.id(), id);
    world.pilot(&["ws", "update", "demo", "--image", pushed["exact"].as_str().unwrap()]);
    let demo = world.api.workspace("demo").await;
    assert_eq!((&demo["state"], &demo["image"]["digest"]), (&json!("ready"), &json!(id)), "{demo:#}");
    let container = format!("pilot-{}", demo["runtimeId"].as_str().unwrap());
    assert_eq!(docker(&["inspect", "--format", "{{.Image}}", &container]), id);
    // An archive that is none is refused, and says so.
    std::fs::write(&archive, "no archive").unwrap();
    let words = ["image", "push", "--archive", &archive, "--name", "team/none:1", "--provider", "docker"];
    let refused = world.pilot_output(&words);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("bad_request"), "{refused:?}");
    let spool = world.data.join("spool");
    assert_eq!(std::fs::read_dir(spool).map_or(0, Iterator::count), 0, "nothing of an archive is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_this_machine_becomes_a_machine_at_fly() {
    let cloud = FlyCloud::start().await;
    let mut environment = cloud.environment();
    environment.push(("PILOT_FLY_REGISTRY", cloud.sim.registry()));
    environment.push(("PILOT_FLY_IMAGE_APP", "acme-images".to_owned()));
    let given: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut world = World::start_on_docker_with_env(&given).await;
    let image = TestImage::build("fly", "LABEL purpose=push");
    let pushed = push(&world, &[&image.0, "--provider", "fly"]);
    // As the answer says that new workspaces are made from it.
    world.kill();
    world.set(pushed["setting"].as_str().unwrap(), pushed["exact"].as_str().unwrap());
    world.serve().await;
    world.api.create_ready("demo", "fly").await;
    let machines = cloud.sim.machines();
    let digest = &machines[0].image_digest;
    assert!(
        machines.len() == 1 && pushed["exact"].as_str().unwrap().ends_with(digest),
        "{pushed:#} {digest}"
    );
    let container = format!("sim-fly-{}", machines[0].id);
    assert_eq!(docker(&["inspect", "--format", "{{.Image}}", &container]), image.id());
    world.pilot(&["ws", "rm", "--purge", "--yes", "demo"]);
}
