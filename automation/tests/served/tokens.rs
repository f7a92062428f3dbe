//! A token is used by the run that brought it, and by nobody else.

use pulumi_auto::{Backend, Error, Options, Workspace, program};
use tokio::sync::mpsc;

use crate::support::service::{Service, TOKEN};
use crate::support::world::{PROJECT, World, files_mention};
use crate::things::{nothing, thing, up};

const OTHER: &str = "pul-canary-of-bob";

#[tokio::test]
async fn runs_with_different_tokens_and_services_share_a_process_and_stay_apart() {
    let world = World::new().await;
    world.keep.0.add_user("bob", OTHER);
    let second = Service::start();
    let ada = world.workspace.clone();
    let bob = ada.clone().with_env("PULUMI_ACCESS_TOKEN", OTHER);
    let (folder, home) = (world.folder().join("second"), world.folder().join("home"));
    let elsewhere =
        Workspace::inline(world.engine.clone(), PROJECT, folder, home, Backend::Url(second.url()))
            .unwrap()
            .with_env("PULUMI_ACCESS_TOKEN", TOKEN);
    world.stack("of-ada").await;
    bob.create_stack("of-bob").await.unwrap();
    elsewhere.create_stack("of-the-second").await.unwrap();
    for (workspace, user, stack) in
        [(&ada, "ada", "of-ada"), (&bob, "bob", "of-bob"), (&elsewhere, "ada", "of-the-second")]
    {
        let (who, stacks) = tokio::join!(workspace.whoami(), workspace.stacks(true));
        assert_eq!(who.unwrap().user, user);
        let names: Vec<String> = stacks.unwrap().into_iter().map(|stack| stack.name).collect();
        assert!(names.len() == 1 && names[0].ends_with(stack), "{user} sees {names:?}");
    }
    assert_eq!(world.engine.processes().len(), 1);
    let wrong = ada.clone().with_env("PULUMI_ACCESS_TOKEN", "pul-nobody");
    for error in [wrong.whoami().await.unwrap_err(), wrong.stack("of-ada").export().await.unwrap_err()] {
        assert!(matches!(error, Error::Auth { .. }), "{error:?}");
    }
    let error = bob.stack("acme/shop/of-ada").export().await.unwrap_err();
    assert!(matches!(error, Error::StackNotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_token_is_in_no_output_event_file_or_environment() {
    let world = World::new().await;
    let stack = world.stack("hushed").await;
    let (events, mut seen) = mpsc::channel(4096);
    let (printed, mut heard) = mpsc::channel(4096);
    let options = Options::default().events(events).output(printed);
    let broken = program(|context| async move {
        context.register(thing("a", [("fail", "no quota".into())])).await?;
        Ok(nothing())
    });
    let error = stack.up(broken).with(&options).await.unwrap_err();
    drop(options);
    up(&stack, program(|_| async { Ok(nothing()) })).await;
    let mut told = format!("{error:?} {error} {:?}", world.workspace);
    while let Some(event) = seen.recv().await {
        told.push_str(&format!("{event:?}"));
    }
    while let Some(text) = heard.recv().await {
        told.push_str(&format!("{text:?}"));
    }
    assert!(!told.contains(TOKEN), "{told}");
    assert!(!files_mention(world.folder(), TOKEN));
    for pid in world.engine.processes() {
        for file in ["environ", "cmdline"] {
            let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
            assert!(!String::from_utf8_lossy(&text).contains(TOKEN), "{file}");
        }
    }
}
