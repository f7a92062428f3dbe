//! What a failed operation advises, done: it helps, once the cause is mended.

use std::path::Path;

use serde_json::Value;

use crate::support::world::World;

/// The operator's own configuration of the agent, made unusable and mended again: every boot meanwhile fails for good.
struct Cause {
    good: String,
    file: std::path::PathBuf,
}

impl Cause {
    fn of(data: &Path) -> Self {
        let file = data.join("opencode.json");
        Self { good: std::fs::read_to_string(&file).unwrap(), file }
    }

    fn come(&self) {
        std::fs::write(&self.file, "{ \"model\": ").unwrap();
    }

    fn go(&self) {
        std::fs::write(&self.file, &self.good).unwrap();
    }
}

/// What a command says when its operation has failed; fails the test when it did not.
fn failed(world: &World, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let output = world.pilot_output(&words);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}: {said}");
    said
}

/// The commands behind the arrow that are to try it again.
fn advised(said: &str) -> Vec<Vec<String>> {
    let advice = said.rsplit("  -> ").next().unwrap();
    let quoted = advice.split('`').skip(1).step_by(2);
    let tries = quoted
        .filter(|command| ["ws start", "ws restart", "stack apply"].iter().any(|one| command.contains(one)));
    tries
        .map(|command| command.split_whitespace().skip(1).map(|word| word.replace("NAME", "demo")).collect())
        .collect()
}

#[tokio::test]
async fn what_each_failed_operation_advises_helps_when_the_cause_is_mended() {
    let world = World::start_with_env(&[], &[("PILOT_HOME_GRACE", "1h")]).await;
    let cause = Cause::of(&world.data);
    for (before, line) in [
        (None, "ws create demo --provider local"),
        (Some("ws stop demo"), "ws start demo"),
        (None, "ws restart demo"),
        (Some("ws stop demo"), "ws resume demo"),
        (Some("ws rm demo --yes"), "ws restore demo"),
    ] {
        if let Some(before) = before {
            world.pilot(&before.split(' ').collect::<Vec<_>>());
        }
        cause.come();
        let said = failed(&world, line);
        let tries = advised(&said);
        assert!(!tries.is_empty(), "{line} advises nothing: {said}");
        cause.go();
        for command in tries {
            world.pilot(&command.iter().map(String::as_str).collect::<Vec<_>>());
            let workspace: Value = world.api.workspace("demo").await;
            assert_eq!(workspace["state"], "ready", "{line}, then {command:?}: {workspace:#}");
        }
    }
    world.pilot(&["ws", "rm", "demo", "--yes", "--purge"]);
}
