//! What the fake model answers: a pure function of the request's messages.

use serde_json::Value;

/// The answer to an ordinary prompt.
pub const ANSWER: &str = "Hello from the fake model.";

/// The answer once a tool's result is there.
pub const TOOL_ANSWER: &str = "The tool ran.";

/// What `run-tool` without a command runs.
pub const DEFAULT_COMMAND: &str = "echo tool-ran > tool.txt";

const TITLE: &str = "Fake session";
const MARK: &str = "run-tool";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    Say(String),
    RunTool(String),
}

pub(super) fn turn(request: &Value) -> Turn {
    let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    if is_title_request(request, messages) {
        return Turn::Say(TITLE.to_owned());
    }
    let Some(last_user) = messages.iter().rposition(|message| message["role"] == "user") else {
        return Turn::Say(ANSWER.to_owned());
    };
    let prompt = text_of(&messages[last_user]["content"]);
    let Some(command) = command_of(&prompt) else {
        return Turn::Say(ANSWER.to_owned());
    };
    // Only a result of this prompt counts, so that a second `run-tool` in a session runs as well.
    if messages[last_user..].iter().any(|message| message["role"] == "tool") {
        return Turn::Say(TOOL_ANSWER.to_owned());
    }
    Turn::RunTool(command)
}

/// OpenCode asks for a title without tools, with a system prompt that speaks of titles.
fn is_title_request(request: &Value, messages: &[Value]) -> bool {
    let has_tools = request["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    !has_tools
        && messages
            .iter()
            .filter(|message| message["role"] == "system")
            .any(|message| text_of(&message["content"]).to_lowercase().contains("title"))
}

/// The rest of the line after `run-tool:`, or the default command.
fn command_of(prompt: &str) -> Option<String> {
    let (_, rest) = prompt.split_once(MARK)?;
    let command =
        rest.strip_prefix(':').and_then(|rest| rest.lines().next()).map(str::trim).unwrap_or_default();
    Some(if command.is_empty() { DEFAULT_COMMAND } else { command }.to_owned())
}

/// Content is a text or a list of parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}
