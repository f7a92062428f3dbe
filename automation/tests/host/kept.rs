//! kill -9 of the host at every event, of stacks in a bucket and in a database.

use pulumi_auto::{Backend, Workspace};

use crate::life::Lives;
use crate::postgres::Postgres;
use crate::s3::S3;
use crate::support::world::{PROJECT, World};

/// The world's project with its stacks elsewhere.
async fn world_in(backend: String, env: &[(&str, &str)]) -> World {
    let mut world = World::new().await;
    let at = |name: &str| world.folder().join(name);
    let mut workspace =
        Workspace::inline(world.engine.clone(), PROJECT, at("project"), at("home"), Backend::Url(backend))
            .unwrap()
            .with_passphrase_file(at("passphrase"))
            .with_attached_provider("cloud", world.cloud.port());
    for (key, value) in env {
        workspace = workspace.with_env(key, value);
    }
    world.workspace = workspace;
    world.adopting()
}

#[tokio::test]
async fn a_kill_at_every_event_loses_and_doubles_nothing_in_a_bucket() {
    let server = S3::start();
    let world = world_in(server.url(), &S3::ENV).await;
    Lives { world: &world, freed: &|_| {}, settles: true }.killed_at_every_event().await;
}

#[tokio::test]
async fn a_kill_at_every_event_loses_and_doubles_nothing_in_a_database() {
    let server = Postgres::start();
    let world = world_in(server.url(), &[]).await;
    Lives { world: &world, freed: &|_| {}, settles: true }.killed_at_every_event().await;
}
