//! Cases about what all runtimes of an installation share.

use crate::conformance::{Fixture, Stack};

pub async fn what_is_shared_is_made_once_and_found_again(fixture: &Fixture) {
    let mut first = fixture.shared();
    assert_eq!(first.declared, fixture.second.shared(&fixture.installation).unwrap());
    first.up().await;
    let attempts = [&fixture.provider, &fixture.second].map(|provider| {
        let mut stack = Stack::shared(provider.clone(), &fixture.installation);
        tokio::spawn(async move {
            stack.up().await;
            stack
        })
    });
    for attempt in attempts {
        assert_eq!(attempt.await.unwrap().state, first.state, "another program finds the same");
    }
    for name in first.names() {
        let read = first.read(&name).await.unwrap().expect("it was just made");
        assert_eq!(read.outputs, first.state[&name].1.outputs, "{name} reads as it was created");
        assert_eq!(read.inputs, first.state[&name].0, "{name} reads with its inputs");
    }
}

pub async fn what_is_shared_is_deleted_once_and_can_be_made_anew(fixture: &Fixture) {
    let mut shared = fixture.shared();
    shared.up().await;
    shared.down().await;
    for name in shared.names() {
        assert_eq!(shared.read(&name).await.unwrap(), None, "{name} is gone");
    }
    // Whose answer was lost asks again.
    shared.down().await;
    shared.up().await;
    let mut runtime = fixture.stack();
    runtime.up().await;
    assert!(fixture.backdoor.runs(&runtime.runtime()).await, "what is made anew serves as before");
}
