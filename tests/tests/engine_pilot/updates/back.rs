//! The way back of a rollout, over workspaces that somebody has changed since.

use contracts::rollout::Rollout;

use super::*;

/// How long after the last of its updates a rollout had ended, in seconds.
async fn slack(api: &Api, rollout: &Value) -> f64 {
    let rollout: Rollout = serde_json::from_value(rollout.clone()).unwrap();
    let mut last = 0;
    for id in rollout.members.iter().filter_map(|member| member.operation.as_ref()) {
        let operation = api.get(&format!("/v1/operations/{id}")).await;
        let phases = serde_json::from_value::<Operation>(operation).unwrap().phases;
        last = last.max(phases.finished.unwrap().as_millisecond());
    }
    (rollout.finished_at.unwrap().as_millisecond() - last) as f64 / 1000.0
}

#[tokio::test]
async fn a_way_back_says_why_it_leaves_workspaces_as_they_are_and_ends_with_the_last_one() {
    let world = World::start_with_env(&["--provider", "fake"], &[("PILOT_HOME_GRACE", "1h")]).await;
    let world = filled(world, &["a", "b", "c", "d"]).await;
    let api = &world.api;
    let done = rolled_out(api, &rollout(api, json!({"image": "fake:2"})).await).await;
    let forth = slack(api, &done).await;
    world.pilot(&["ws", "rm", "a", "--purge", "--yes"]);
    world.pilot(&["ws", "create", "a", "--provider", "fake"]);
    world.pilot(&["ws", "rm", "b", "--yes"]);
    world.pilot(&["ws", "update", "c", "--image", "fake:3"]);
    let id = done["id"].as_str().unwrap();
    let begun = api.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await.json::<Value>().await;
    let back = rolled_out(api, &begun.unwrap()).await;
    let told = |member: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        [&member["slug"], &member["state"], &member["reason"], &member["before"]["reference"]].map(text)
    };
    let told: Vec<_> = back["members"].as_array().unwrap().iter().map(told).collect();
    let expected = [
        ["d", "updated", "-", "fake:2"],
        ["c", "skipped", "changed", "fake:3"],
        ["b", "skipped", "deleted", "fake:2"],
        ["a", "skipped", "gone", "-"],
    ];
    assert_eq!(told, expected.map(|row| row.map(str::to_owned)), "{back:#}");
    let shown = world.pilot(&["rollout", "show", back["id"].as_str().unwrap()]);
    assert!(
        shown.lines().any(|line| line.starts_with("c ") && line.contains("was changed since  fake:3")),
        "{shown}"
    );
    assert!(!shown.contains("AFTER  fake:1") && shown.contains("is gone"), "{shown}");
    let backwards = slack(api, &back).await;
    assert!(forth < 2.0 && backwards < 2.0, "it ends with the last of them: {forth} s, {backwards} s");
}
