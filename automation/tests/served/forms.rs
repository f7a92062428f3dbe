//! Services that take journals, and those that take whole states, are served alike, in turns with the CLI.

use pulumi_auto::{Options, program};

use crate::support::keep::Keep;
use crate::support::service::{Journals, Service};
use crate::support::world::{PROJECT, World};
use crate::things::{destroy, nothing, thing, up};

async fn in_turns(journals: Journals, asked_by: &[&str]) {
    let world = World::kept(|_| Keep(Service::start_with(journals))).await;
    let by_host = world.stack("forms").await;
    let by_cli = world.on(world.cli.clone()).stack("forms");
    let shop = |label: &'static str| {
        program(move |context| async move {
            let a = context.register(thing("a", [("label", label.into())])).await?;
            context.register(thing("b", [("label", a.output("address")), ("fixed", label.into())])).await?;
            Ok(nothing())
        })
    };
    let strict = Options::default().expect_no_changes(true);
    for (label, first, second) in [("one", &by_host, &by_cli), ("two", &by_cli, &by_host)] {
        up(first, shop(label)).await;
        second.preview(shop(label)).with(&strict).await.unwrap();
        assert!(second.up(shop(label)).with(&strict).await.unwrap().summary.is_unchanged());
    }
    by_cli.refresh(shop("two")).with(&strict).await.unwrap();
    destroy(&by_host).await;
    assert_eq!(world.cloud.ids(), [""; 0]);
    let updates = world.keep.0.updates(PROJECT, "forms");
    assert!(updates.iter().all(|(_, result, events)| result == "succeeded" && *events > 2), "{updates:?}");
    let log = world.keep.0.log();
    for way in asked_by {
        assert!(log.iter().any(|line| line.ends_with(&format!("{way} 200"))), "{way}: {log:?}");
    }
    assert!(!log.iter().any(|line| line.ends_with(" 500") || line.ends_with(" 405")), "{log:?}");
}

#[tokio::test]
async fn a_service_that_takes_journals_gets_them() {
    in_turns(Journals::Entries, &["/journalentries"]).await;
}

#[tokio::test]
async fn a_service_that_takes_whole_states_gets_them() {
    in_turns(Journals::Checkpoints, &["/checkpoint"]).await;
}

#[tokio::test]
async fn a_service_that_takes_differences_of_states_gets_what_it_understands() {
    in_turns(Journals::Deltas, &["/checkpoint", "/checkpointverbatim", "/checkpointdelta"]).await;
}
