//! Images that are pulled: each way in which that can fail has a code and says what to do, and nothing is made.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use contracts::ErrorCode;
use contracts::workspace::Image;
use provider_api::conformance::{Stack, run};
use provider_api::{NoLogins, Outcome, Provider, ProviderError, RuntimeSpec};
use provider_docker::conformance::{TestRegistry, World};
use provider_docker::{DockerConfig, DockerProvider};
use sim_registry::{Fault, Form};

async fn refusal(provider: &dyn Provider, reference: &str) -> ProviderError {
    let error = provider.images().unwrap().resolve(reference).await.expect_err(reference);
    assert_eq!(error.outcome, Outcome::NothingHappened, "{error}");
    assert!(error.action.is_some(), "{error:?}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_why_an_image_cannot_be_had_has_its_code() {
    let world = World::new().await;
    let registry = TestRegistry::start(&world).await;
    let config = DockerConfig { logins: Arc::new(NoLogins), ..world.config() };
    let stranger: Arc<dyn Provider> = Arc::new(DockerProvider::new(config));
    run(world.fixture(), |fixture| async move {
        registry.sim.seed("team/app", "1", "amd64");
        let private = registry.name("team/app", "1");
        let known: Arc<dyn Provider> = registry.provider(&registry.password);
        let wrong: Arc<dyn Provider> = registry.provider("wrong");
        for (provider, reference, code, said) in [
            (&stranger, private.clone(), ErrorCode::ImageMissing, "without a login"),
            (&wrong, private.clone(), ErrorCode::CredentialsRejected, "refuses the login"),
            (&known, registry.name("team/app", "none"), ErrorCode::ImageMissing, "none of this name"),
            (&known, "127.0.0.1:1/app:1".to_owned(), ErrorCode::ProviderUnreachable, "cannot reach"),
            (
                &known,
                "pilot-no-such-image:1".to_owned(),
                ErrorCode::ImageMissing,
                "is not on the Docker host",
            ),
        ] {
            let error = refusal(&**provider, &reference).await;
            assert_eq!(error.code, code, "{reference}: {error}");
            assert!(error.message.contains(said), "{error}");
            // The same where nobody has looked before.
            let image = Some(Image::named(&reference));
            let spec = RuntimeSpec { image, ..fixture.stack().spec };
            let mut stack = Stack::new(provider.clone(), spec);
            let error = stack.try_up().await.unwrap_err();
            assert_eq!(
                (error.code, &error.outcome),
                (code, &Outcome::NothingHappened),
                "{reference}: {error}"
            );
            assert!(!fixture.backdoor.runs(&stack.runtime()).await);
            stack.down().await;
        }
        // An engine asks a second time by itself.
        for (status, code, said) in [
            (503, ErrorCode::ProviderUnreachable, "answers with an error"),
            (500, ErrorCode::ProviderUnreachable, "answers with an error"),
            (429, ErrorCode::ProviderRateLimited, "fewer calls"),
        ] {
            (0..4).for_each(|_| registry.sim.order(Fault::Status(status)));
            let error = refusal(&*known, &private).await;
            assert_eq!(error.code, code, "{error}");
            assert!(error.message.contains(said), "{error}");
            registry.sim.heal();
        }
        let image = known.images().unwrap().resolve(&private).await.unwrap();
        assert_eq!(image.architecture.as_deref(), Some("amd64"));
        assert!(image.exact().contains("/team/app@sha256:"), "each host can pull it: {image:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_index_one_architecture_that_fits_is_enough() {
    let world = World::new().await;
    let registry = TestRegistry::start(&world).await;
    run(world.fixture(), |fixture| async move {
        let amd = registry.sim.seed("public/app", "amd", "amd64");
        let arm = registry.sim.seed("public/app", "arm", "arm64");
        registry.sim.seed_index("public/app", "both", &[("amd64", &amd), ("arm64", &arm)]);
        registry.sim.seed_index("public/app", "foreign", &[("arm64", &arm)]);
        let images = fixture.provider.images().unwrap();
        let both = images.resolve(&registry.name("public/app", "both")).await.unwrap();
        assert_eq!(both.architecture.as_deref(), Some("amd64"));
        let error = refusal(&*fixture.provider, &registry.name("public/app", "foreign")).await;
        assert_eq!(error.code, ErrorCode::ImageUnusable);
        assert!(error.message.contains("arm64") && error.message.contains("amd64"), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_another_system_or_is_no_image_at_all_is_unusable_and_makes_nothing() {
    let world = World::new().await;
    let registry = TestRegistry::start(&world).await;
    run(world.fixture(), |fixture| async move {
        registry.sim.seed("public/app", "windows", "windows/amd64");
        registry.sim.seed_as(Form::Chart, "public/app", "chart", "amd64");
        // Whoever looks first is told of the other system; of a chart only a pull tells.
        let error = refusal(&*fixture.provider, &registry.name("public/app", "windows")).await;
        assert_eq!(error.code, ErrorCode::ImageUnusable, "{error}");
        assert!(error.message.contains("is for windows/amd64"), "{error}");
        for (tag, said) in [("windows", "\"windows\""), ("chart", "no image")] {
            let image = Some(Image::named(registry.name("public/app", tag)));
            let mut stack = Stack::new(
                fixture.provider.clone(),
                RuntimeSpec { image: image.clone(), ..fixture.stack().spec },
            );
            let error = stack.try_up().await.unwrap_err();
            assert_eq!(error.code, ErrorCode::ImageUnusable, "{tag}: {error}");
            assert!(error.message.contains(said) && error.action.is_some(), "{error:?}");
            assert!(!fixture.backdoor.runs(&stack.runtime()).await);
            stack.down().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_cannot_tell_before_it_pulls_is_refused_when_it_has() {
    let world = World::new().await;
    let registry = TestRegistry::start(&world).await;
    run(world.fixture(), |fixture| async move {
        registry.sim.seed_as(Form::Oci, "public/oci", "1", "s390x");
        let images = fixture.provider.images().unwrap();
        // Engines since 24 read what OCI's form says, and refuse at once.
        let resolved = images.resolve(&registry.name("public/oci", "1")).await;
        let refused = match resolved {
            Ok(image) => {
                assert_eq!(image.architecture, None, "nobody has said so");
                let spec = RuntimeSpec { image: Some(image), ..fixture.stack().spec };
                let mut stack = Stack::new(fixture.provider.clone(), spec);
                let error = stack.try_up().await.unwrap_err();
                assert!(!fixture.backdoor.runs(&stack.runtime()).await);
                error
            }
            Err(error) => error,
        };
        assert_eq!(refused.code, ErrorCode::ImageUnusable, "{refused}");
        assert!(refused.message.contains("s390x"), "{refused}");
    })
    .await;
}
