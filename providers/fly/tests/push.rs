//! Images at Fly's registry: what was not pushed is no machine's, and whose token it is counts.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::sync::Arc;

use contracts::ErrorCode;
use contracts::workspace::Image;
use provider_api::conformance::{Backdoor as _, Stack, empty_archive};
use provider_api::{Provider, RuntimeSpec, Told};
use world::{World, stack_in};

async fn made_from(world: &World, provider: &Arc<dyn Provider>, reference: &str) -> Result<(), ErrorCode> {
    let image = Some(Image::named(reference));
    let spec = RuntimeSpec { image, ..stack_in(world, provider, "fra").spec };
    Stack::new(provider.clone(), spec).try_up().await.map_err(|error| error.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_made_from_what_was_pushed_and_from_nothing_else_there() {
    let world = world::new().await;
    let provider = world.provider();
    let there = |tag: &str| format!("{}/acme-images:{tag}", world.sim.registry());
    assert_eq!(made_from(&world, &provider, &there("team-app-2")).await, Err(ErrorCode::ImageMissing));
    let store = provider.image_store().unwrap();
    let pushed = store.push("team/app:2", &empty_archive("amd64"), &Told::nobody()).await.unwrap();
    assert_eq!(pushed.reference, there("team-app-2"));
    for reference in [pushed.reference.as_str(), pushed.exact()] {
        assert_eq!(made_from(&world, &provider, reference).await, Ok(()), "{reference}");
    }
    assert_eq!(made_from(&world, &provider, &there("team-app-3")).await, Err(ErrorCode::ImageMissing));
    assert!(world.sim.machines().iter().all(|machine| machine.image_digest.starts_with("sha256:")));
    world.sweep(&world.installation).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_registry_does_not_know_is_told_with_what_it_needs() {
    let world = world::new().await;
    let provider = world.provider_with(&[("PILOT_FLY_API_TOKEN", "another")]);
    let store = provider.image_store().unwrap();
    let error = store.push("app:1", &empty_archive("amd64"), &Told::nobody()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::CredentialsRejected, "{error}");
    assert!(
        error.action.as_ref().unwrap().contains("acme-images") && !format!("{error:?}").contains("another")
    );
}
