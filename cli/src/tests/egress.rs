//! `ws egress` and what `ws why` says of it: the list, whether it is in force, and what was refused.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::Outcome;
use crate::tests::fake::{Shared, pilot, server};

/// What the server answers.
pub async fn answer(State(script): State<Shared>) -> Json<Value> {
    Json(script.lock().unwrap().with["egress"].clone())
}

fn report() -> Value {
    let last = "2026-11-23T10:00:00Z";
    json!({
        "egressAllow": ["github.com", "*.npmjs.org"], "inForce": true, "moreRefused": true,
        "refused": [
            {"kind": "name", "destination": "registry.yarnpkg.com", "count": 4, "last": last},
            {"kind": "address", "destination": "2001:db8::7", "protocol": "tcp", "port": 443, "count": 1, "last": last},
            {"kind": "address", "destination": "10.0.0.9", "protocol": "icmp", "count": 2, "last": last, "closedForAll": true},
        ],
        "proposed": ["github.com", "*.npmjs.org", "registry.yarnpkg.com"],
    })
}

#[tokio::test]
async fn what_was_refused_is_shown_with_a_line_that_can_be_typed() {
    let (at, script) = server().await;
    script.lock().unwrap().with = json!({"egress": report()});
    let shown = pilot(at, "ws egress demo").await;
    assert_eq!(shown.result, Ok(Outcome::Done));
    for part in [
        "demo reaches only github.com, *.npmjs.org.\nThe list is in force.\n",
        "registry.yarnpkg.com ",
        "[2001:db8::7]:443 (tcp)",
        "10.0.0.9 (icmp) ",
        " closed for every workspace, whatever a list says\n",
        "\n  pilot ws update demo --egress-allow 'github.com,*.npmjs.org,registry.yarnpkg.com'\n",
    ] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    assert!(shown.err.contains("More was refused"), "{}", shown.err);
    let document: Value = serde_json::from_str(&pilot(at, "--json ws egress demo").await.out).unwrap();
    assert_eq!(document, report());

    let none = json!({"refused": [], "moreRefused": false});
    script.lock().unwrap().with = json!({"egress": none});
    let shown = pilot(at, "ws egress demo").await.out;
    assert!(shown.contains("has no list") && shown.contains("Nothing was refused"), "{shown}");
    assert!(!shown.contains("in force"), "{shown}");
}

#[tokio::test]
async fn why_says_that_a_list_is_not_in_force_and_what_was_refused_where_something_is_wrong() {
    let (at, script) = server().await;
    let why = async |egress: Value, state: &'static str| {
        {
            let mut script = script.lock().unwrap();
            (script.with, script.state) = (json!({"egress": egress}), state);
        }
        pilot(at, "ws why demo").await.out
    };
    let shown = why(report(), "failed").await;
    let last = "It reaches only github.com, *.npmjs.org. Refused last: registry.yarnpkg.com ";
    assert!(shown.contains(last) && shown.contains("`pilot ws egress demo`"), "{shown}");
    assert!(!shown.contains("in force"), "{shown}");
    let shown = why(report(), "ready").await;
    assert!(!shown.contains("Refused last") && !shown.contains("in force"), "all is well: {shown}");
    let mut lost = report();
    (lost["inForce"], lost["reason"]) = (json!(false), json!("nothing keeps rules on the Docker host a"));
    let shown = why(lost.clone(), "ready").await;
    assert!(
        shown.contains("The list is NOT in force: nothing keeps rules on the Docker host a.\n"),
        "{shown}"
    );
    lost["inForce"] = Value::Null;
    assert!(why(lost, "ready").await.contains("Whether the list is in force is not known: nothing keeps"));
    assert!(!why(Value::Null, "failed").await.contains("It reaches"));
}
