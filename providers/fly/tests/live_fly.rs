//! Fly.io itself, with the settings of an operator in the environment. `docs/live.md` says what it asks and what it costs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use provider_api::conformance::CanaryBootFiles;
use provider_api::conformance::live::{Limits, Live, ask_the_usual, run};
use provider_api::{Provider, Settings};
use provider_fly::{FlyProvider, SETTINGS};

const LIMIT: Duration = Duration::from_secs(20);
const BOOTS: Duration = Duration::from_secs(120);

/// Whether a file of `config.files` is there below the path on which the volume is mounted. If not, no instance has its gateway's
/// key, and none of them lets anybody in.
async fn boot_files_come_after_the_mount(live: &Live, boot: &CanaryBootFiles) {
    let mut stack = live.runtime();
    live.step("create", stack.up()).await;
    let (runtime, exec) = (stack.runtime(), live.provider.exec().expect("commands"));
    let path = format!("/home/pilot/{}", CanaryBootFiles::PATH);
    let command = ["cat".to_owned(), path];
    let deadline = Instant::now() + BOOTS;
    let found = loop {
        // The machine runs before its files can be read.
        match live.step("a look at a boot file", exec.exec(&runtime, &command, LIMIT)).await {
            Ok(done) if done.exit_code == 0 => break String::from_utf8_lossy(&done.stdout).into_owned(),
            failed if Instant::now() > deadline => panic!("the boot file is not under the mount: {failed:?}"),
            _ => tokio::time::sleep(Duration::from_secs(3)).await,
        }
    };
    assert_eq!(found, boot.canary());
    live.step("delete", stack.down()).await;
}

/// One test, because there is one installation. That the image of a nested path such as `registry.fly.io/APP/NAME` is taken is asked
/// by naming one in `PILOT_FLY_IMAGE`.
#[tokio::test(flavor = "multi_thread")]
async fn fly_does_what_the_simulator_does() {
    let settings =
        Settings::read(&"fly".parse().unwrap(), &SETTINGS, |name| std::env::var(name).ok()).unwrap();
    let boot = CanaryBootFiles::new();
    let provider: Arc<dyn Provider> = Arc::new(FlyProvider::new(settings, boot.clone()));
    run(provider, Limits::from_environment(), |live| async move {
        live.step("ready", live.provider.ready()).await.unwrap();
        if let Some(images) = live.provider.images() {
            let usual = images.default_reference().unwrap();
            let image = live.step("the image", images.resolve(&usual)).await.unwrap();
            live.tell(&format!("{usual} is {image:?}"));
        }
        boot_files_come_after_the_mount(&live, &boot).await;
        ask_the_usual(&live).await;
    })
    .await;
}
