use std::collections::{BTreeMap, HashMap};

use contracts::ErrorCode;
use proptest::prelude::*;

use super::*;

const LABELS: LabelNames = LabelNames {
    installation: "pilot-installation",
    runtime: "pilot-runtime",
    generation: "pilot-generation",
    fence: Some("pilot-fence"),
};

fn volume() -> Object<'static> {
    Object { kind: "volume", name: "v", removal: |kind, name| format!("Remove {kind} {name}") }
}

fn owner(runtime: &str, installation: &str, generation: u64, fence: Option<u64>) -> Owner {
    let runtime = RuntimeRef::new(runtime.parse().unwrap(), installation.parse().unwrap());
    Owner { runtime: runtime.under(fence), generation }
}

fn read(labels: &BTreeMap<String, String>) -> Option<Owner> {
    LABELS.owner(|name| labels.get(name))
}

#[test]
fn only_the_same_runtime_at_the_same_or_a_newer_generation_and_fence_may_change_an_object() {
    let found = owner("rt-1", "in-a", 4, Some(7));
    let may = |runtime, installation, generation, fence| {
        let ours = owner(runtime, installation, generation, fence);
        ours.may_change(volume(), Some(&found)).map_err(|error| error.code)
    };
    for (generation, fence) in [(4, None), (4, Some(7)), (5, Some(8))] {
        assert_eq!(may("rt-1", "in-a", generation, fence), Ok(()), "{generation} {fence:?}");
    }
    assert_eq!(may("rt-1", "in-a", 3, Some(8)), Err(ErrorCode::Fenced));
    assert_eq!(may("rt-1", "in-a", 5, Some(6)), Err(ErrorCode::Fenced));
    assert_eq!(may("rt-2", "in-a", 9, Some(9)), Err(ErrorCode::ForeignObject));
    assert_eq!(may("rt-1", "in-b", 9, Some(9)), Err(ErrorCode::ForeignObject));
    let unlabelled = owner("rt-1", "in-a", 9, None).may_change(volume(), None);
    assert_eq!(unlabelled.unwrap_err().code, ErrorCode::ForeignObject);
}

#[test]
fn a_refusal_says_whose_it_is_and_how_it_is_removed() {
    let ours = owner("rt-1", "in-a", 1, None).runtime;
    let theirs = owner("rt-2", "in-b", 1, None).runtime;
    let error = volume().must_be_of(&ours, Some(&theirs)).unwrap_err();
    assert_eq!(error.message, "the volume v belongs to rt-2 of the installation in-b, so it is not touched");
    // A delete that is refused is not helped by another workspace.
    let action = error.action.unwrap();
    assert!(action.contains("Remove volume v") && action.contains("pilot ws rm --forget"), "{action}");
    let error = volume().must_be_of(&ours, None).unwrap_err();
    assert_eq!(error.message, "the volume v was not made by Pilot, so it is not touched");
}

#[test]
fn what_is_shared_is_of_an_installation_and_of_no_runtime() {
    let shared: BTreeMap<_, _> = LABELS.of_installation(&"in-a".parse().unwrap());
    assert!(read(&shared).is_none());
    let found = LABELS.installation(|name| shared.get(name));
    let must = |ours: &str| volume().must_be_in(&ours.parse().unwrap(), found.as_ref());
    assert!(must("in-a").is_ok());
    assert_eq!(
        must("in-b").unwrap_err().message,
        "the volume v belongs to the installation in-a, so it is not touched"
    );
    assert_eq!(
        volume().must_be_in(&"in-a".parse().unwrap(), None).unwrap_err().code,
        ErrorCode::ForeignObject
    );
}

#[test]
fn an_object_keeps_the_highest_fence_that_it_has_seen() {
    let found = owner("rt-1", "in-a", 4, Some(7));
    let kept = |fence| owner("rt-1", "in-a", 5, fence).over(Some(&found)).runtime.fence;
    assert_eq!((kept(None), kept(Some(6)), kept(Some(9))), (Some(7), Some(7), Some(9)));
    assert_eq!(owner("rt-1", "in-a", 5, Some(3)).over(None).runtime.fence, Some(3));
}

/// Few letters, so that many of them are nearly the same.
fn id(prefix: &'static str) -> impl Strategy<Value = String> {
    "[ab]{1,2}".prop_map(move |rest| format!("{prefix}{rest}"))
}

fn any_owner() -> impl Strategy<Value = Owner> {
    (id("rt-"), id("in-"), any::<u64>(), any::<Option<u64>>()).prop_map(
        |(runtime, installation, generation, fence)| owner(&runtime, &installation, generation, fence),
    )
}

/// What somebody else may have written: our names with any values, and names like ours.
fn any_labels() -> impl Strategy<Value = HashMap<String, String>> {
    let name = prop_oneof![
        Just(LABELS.installation.to_owned()),
        Just(LABELS.runtime.to_owned()),
        Just(LABELS.generation.to_owned()),
        Just("pilot-fence".to_owned()),
        "pilot[-_.][a-z]{0,12}",
    ];
    let value = prop_oneof![id("rt-"), id("in-"), "[0-9]{0,22}", "\\PC{0,8}"];
    prop::collection::hash_map(name, value, 0..6)
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(ours in any_owner()) {
        let labels: HashMap<_, _> = LABELS.of(&ours);
        let read = LABELS.owner(|name| labels.get(name)).unwrap();
        prop_assert!(read.runtime.is(&ours.runtime));
        prop_assert_eq!((read.generation, read.runtime.fence), (ours.generation, ours.runtime.fence));
        prop_assert!(ours.may_change(volume(), Some(&read)).is_ok());
        // A filter for everything of the runtime finds it.
        let filter: Vec<_> = LABELS.of_runtime(&ours.runtime);
        prop_assert!(filter.iter().all(|(name, value)| labels.get(name) == Some(value)));
    }

    #[test]
    fn labels_of_another_installation_or_runtime_are_never_taken_for_ours(ours in any_owner(), theirs in any_owner()) {
        let labels: HashMap<_, _> = LABELS.of(&theirs);
        let found = LABELS.owner(|name| labels.get(name));
        let is_ours = (&ours.runtime.runtime_id, &ours.runtime.installation)
            == (&theirs.runtime.runtime_id, &theirs.runtime.installation);
        match ours.may_change(volume(), found.as_ref()) {
            Err(error) if error.code == ErrorCode::ForeignObject => prop_assert!(!is_ours),
            _ => prop_assert!(is_ours),
        }
    }

    #[test]
    fn labels_that_do_not_say_just_our_ids_are_never_taken_for_ours(ours in any_owner(), labels in any_labels()) {
        let found = LABELS.owner(|name| labels.get(name));
        let says = |name: &str, value: &str| labels.get(name).is_some_and(|found| found == value);
        let is_ours = says(LABELS.runtime, ours.runtime.runtime_id.as_str())
            && says(LABELS.installation, ours.runtime.installation.as_str());
        let passes = volume().must_be_of(&ours.runtime, found.as_ref().map(|found| &found.runtime)).is_ok();
        prop_assert_eq!(passes, is_ours);
    }
}
