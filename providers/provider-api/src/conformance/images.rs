//! Cases about images that come from a registry, and about those that are brought to the provider.

use std::sync::{Arc, Mutex};

use contracts::ErrorCode;
use contracts::workspace::Image;

use crate::conformance::{Fixture, Pushable, Registry, Stack, eventually, logbook};
use crate::{Copied, ImageStore, Outcome, RuntimeSpec, Told};

fn registry(fixture: &Fixture) -> &dyn Registry {
    fixture.registry.as_deref().expect("a fixture with a registry")
}

pub async fn an_image_of_another_architecture_is_refused(fixture: &Fixture) {
    let foreign = registry(fixture).foreign_image().await;
    let images = fixture.provider.images().expect("it has images");
    let error = images.resolve(&foreign).await.unwrap_err();
    assert_eq!(
        (error.code, &error.outcome),
        (ErrorCode::ImageUnusable, &Outcome::NothingHappened),
        "{error}"
    );
    assert!(error.action.is_some(), "{error:?}");

    // Also where nobody has looked before: what runs goes on, and nothing new begins.
    let image = Some(Image::named(foreign));
    let mut stack = fixture.stack();
    stack.up().await;
    let spec = RuntimeSpec { generation: 2, image: image.clone(), ..stack.spec.clone() };
    (stack.declared, stack.spec) = (fixture.provider.declare(&spec).unwrap(), spec);
    let mut changed = Ok(());
    for name in stack.names() {
        changed = if changed.is_ok() { stack.update(&name).await } else { changed };
    }
    let error = changed.unwrap_err();
    assert_eq!(
        (error.code, &error.outcome),
        (ErrorCode::ImageUnusable, &Outcome::NothingHappened),
        "{error}"
    );
    assert!(fixture.backdoor.runs(&stack.runtime()).await, "what runs is left alone");
    let spec = RuntimeSpec { image, ..fixture.stack().spec };
    let mut new = Stack::new(fixture.provider.clone(), spec);
    let error = new.try_up().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ImageUnusable, "{error}");
    let (there, declared) = (fixture.backdoor.objects(&new.runtime()).await.len(), new.names().len());
    assert!(there < declared, "the instance itself is not made");
}

pub async fn a_private_image_is_pulled_with_its_login(fixture: &Fixture) {
    logbook::open();
    let private = registry(fixture).private_image().await;
    let refused = private.without.images().expect("it has images").resolve(&private.reference).await;
    let refused = refused.unwrap_err();
    let codes = [ErrorCode::ImageMissing, ErrorCode::CredentialsRejected];
    assert!(codes.contains(&refused.code) && refused.action.is_some(), "{refused:?}");

    let image = private.with.images().expect("it has images").resolve(&private.reference).await.unwrap();
    assert!(image.digest.is_some(), "what is pulled is exact: {image:?}");
    let spec = RuntimeSpec { image: Some(image), ..fixture.stack().spec };
    let mut stack = Stack::new(private.with.clone(), spec.clone());
    stack.up().await;
    eventually("the instance runs", async || fixture.backdoor.runs(&stack.runtime()).await).await;

    // What is there is not asked for again.
    let asked = registry(fixture).requests().await;
    let runtime_id = contracts::RuntimeId::random();
    let mut second = Stack::new(private.with.clone(), RuntimeSpec { runtime_id, ..spec });
    second.up().await;
    assert_eq!(registry(fixture).requests().await, asked, "an image that is there is not pulled");

    let mut shown = format!("{refused:?}{:?}{:?}", stack.state, stack.declared);
    for name in stack.names() {
        shown += &format!("{:?}{:?}", stack.read(&name).await, stack.import(&name).await);
    }
    shown += &logbook::read();
    assert!(!shown.contains(&private.secret), "the login is shown");
    second.down().await;
    stack.down().await;
}

async fn pushing(fixture: &Fixture) -> (Pushable, Arc<dyn ImageStore>) {
    let make = fixture.pushable.as_ref().expect("a fixture of a provider that takes images has one to push");
    (make().await, fixture.provider.image_store().expect("a provider that images are pushed to"))
}

pub async fn an_image_that_is_pushed_can_be_run(fixture: &Fixture) {
    logbook::open();
    let (pushable, store) = pushing(fixture).await;
    let heard = Arc::new(Mutex::new(Vec::<Copied>::new()));
    let hears = heard.clone();
    let told = Told::to(move |copied| hears.lock().unwrap().push(copied));
    let pushed = store.push(&pushable.name, &pushable.archive, &told).await.unwrap();
    assert!(pushed.digest.is_some(), "what was pushed is exact: {pushed:?}");
    let heard = heard.lock().unwrap().clone();
    let end = heard.last().expect("it is told how far it is");
    assert!(end.done == end.total && heard.is_sorted_by_key(|copied| copied.done), "{heard:?}");

    // By what was answered another program finds it, too; and by the name.
    let images = fixture.second.images().expect("it has images");
    for reference in [pushed.exact(), &pushed.reference] {
        let found = images.resolve(reference).await.unwrap();
        assert!(found.exact() == pushed.exact() || found.digest.is_none(), "{found:?} is not {pushed:?}");
    }
    let again = store.push(&pushable.name, &pushable.archive, &Told::nobody()).await.unwrap();
    assert_eq!(again, pushed, "the same is the same");
    let by_reference = store.push(&pushed.reference, &pushable.archive, &Told::nobody()).await.unwrap();
    assert_eq!(by_reference, pushed, "a reference of its place is taken as it is");

    let spec =
        RuntimeSpec { image: Some(images.resolve(pushed.exact()).await.unwrap()), ..fixture.stack().spec };
    let mut stack = Stack::new(fixture.provider.clone(), spec);
    stack.up().await;
    eventually("the instance runs", async || fixture.backdoor.runs(&stack.runtime()).await).await;
    stack.down().await;
    if let Some(credential) = &fixture.credential {
        let shown = format!("{pushed:?}{}", logbook::read());
        assert!(!shown.contains(credential), "the credential is shown");
    }
}

pub async fn an_image_that_nothing_there_can_run_is_not_pushed(fixture: &Fixture) {
    let (pushable, store) = pushing(fixture).await;
    let error = store.push(&pushable.name, &pushable.foreign, &Told::nobody()).await.unwrap_err();
    assert_eq!(
        (error.code, &error.outcome),
        (ErrorCode::ImageUnusable, &Outcome::NothingHappened),
        "{error}"
    );
    assert!(error.action.is_some(), "{error:?}");
    for name in ["app", "app@sha256:0", "App:1", ""] {
        let error = store.push(name, &pushable.archive, &Told::nobody()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::BadRequest, "{name:?}: {error}");
    }
    let no_archive = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(no_archive.path(), "no archive").unwrap();
    let error = store.push(&pushable.name, no_archive.path(), &Told::nobody()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::BadRequest, "{error}");
}
