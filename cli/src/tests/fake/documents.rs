//! What the server says, as documents and events.

use serde_json::{Value, json};

pub const OPERATION: &str = "op-1";
pub const AT: &str = "2026-11-23T10:00:0";

/// One event as the server writes it, `second` seconds after the start.
pub fn event(sequence: u64, second: u64, body: &str) -> String {
    format!("id: {sequence}\ndata: {{\"sequence\":{sequence},\"at\":\"{AT}{second}Z\",{body}}}\n\n")
}

/// A create that goes well.
pub fn create_events() -> Vec<String> {
    let resource = |done| {
        format!(
            r#""type":"resource","op":"create","name":"home","resourceType":"pilot:local:Directory","done":{done}"#
        )
    };
    vec![
        event(1, 0, r#""type":"phase","phase":"queued""#),
        event(2, 1, r#""type":"phase","phase":"planned""#),
        event(3, 1, &resource(false)),
        event(4, 2, &resource(true)),
        event(5, 3, r#""type":"phase","phase":"applied""#),
        event(6, 3, r#""type":"something-newer","x":1"#),
        event(7, 5, r#""type":"phase","phase":"ready""#),
        event(8, 5, r#""type":"done","state":"succeeded""#),
    ]
}

pub fn workspace(state: &str) -> Value {
    json!({
        "id": "ws_1", "slug": "demo", "runtimeId": "rt-1", "provider": "local", "size": "host", "desired": "running",
        "state": state, "since": format!("{AT}0Z"), "url": "http://demo.localhost:1/", "operation": OPERATION,
        "createdAt": format!("{AT}0Z"),
    })
}

pub fn operation() -> Value {
    json!({
        "id": OPERATION, "kind": "create", "workspaceId": "ws_1", "slug": "demo", "runtimeId": "rt-1", "state": "succeeded",
        "phases": {"queued": format!("{AT}0Z"), "ready": format!("{AT}5Z")}, "requestId": "req-1",
    })
}
