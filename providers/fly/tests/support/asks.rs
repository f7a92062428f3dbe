//! What Fly is asked that no document says, by `live_fly` at Fly itself and by `questions` at the simulator.

use std::time::{Duration, Instant};

use provider_api::conformance::CanaryBootFiles;
use provider_api::conformance::live::{Live, ask_the_usual};

const LIMIT: Duration = Duration::from_secs(20);
const BOOTS: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_secs(3);

pub async fn all(live: &Live, boot: &CanaryBootFiles) {
    live.step("ready", live.provider.ready()).await.unwrap();
    if let Some(images) = live.provider.images() {
        let usual = images.default_reference().unwrap();
        let image = live.step("the image", images.resolve(&usual)).await.unwrap();
        live.tell(&format!("{usual} is {image:?}"));
    }
    boot_files_arrive_and_commands_are_the_users(live, boot).await;
    ask_the_usual(live).await;
}

/// Whether a boot file is in the home, which is below the path on which the volume is mounted. If not, no instance has its gateway's
/// key, and none of them lets anybody in. And as whom a command runs, with which home and in which folder: Fly starts it as root.
async fn boot_files_arrive_and_commands_are_the_users(live: &Live, boot: &CanaryBootFiles) {
    let mut stack = live.runtime();
    live.step("create", stack.up()).await;
    let (runtime, exec) = (stack.runtime(), live.provider.exec().expect("commands"));
    let shell = |script: String| ["sh".to_owned(), "-c".to_owned(), script];
    let read = shell(format!("cat \"$HOME/{}\"", CanaryBootFiles::PATH));
    let deadline = Instant::now() + BOOTS;
    let found = loop {
        // The machine runs before its files can be read.
        match live.step("a look at a boot file", exec.exec(&runtime, &read, LIMIT)).await {
            Ok(done) if done.exit_code == 0 => break String::from_utf8_lossy(&done.stdout).into_owned(),
            failed if Instant::now() > deadline => panic!("the boot file is not in the home: {failed:?}"),
            _ => tokio::time::sleep(PAUSE).await,
        }
    };
    assert_eq!(found, boot.canary());
    let who = shell("id -u; stat -c %u \"$HOME\"; echo \"$HOME\"; pwd".to_owned());
    let done = live.step("who runs a command", exec.exec(&runtime, &who, LIMIT)).await.unwrap();
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    live.tell(&format!("a command has user, owner of its home, home and folder: {told:?}"));
    let users: Vec<&str> = told.lines().take(2).collect();
    assert!(matches!(users.as_slice(), [user, owner] if user == owner), "{done:?}");
    live.step("delete", stack.down()).await;
}
