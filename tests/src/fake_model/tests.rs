use serde_json::{Value, json};

use super::script::{ANSWER, DEFAULT_COMMAND, TOOL_ANSWER, Turn, turn};
use super::*;

fn with_tools(messages: Value) -> Value {
    json!({"messages": messages, "tools": [{"type": "function"}]})
}

#[test]
fn an_ordinary_prompt_is_answered_with_text() {
    let request = with_tools(json!([{"role": "user", "content": [{"type": "text", "text": "Say hello"}]}]));
    assert_eq!(turn(&request), Turn::Say(ANSWER.to_owned()));
}

#[test]
fn the_command_of_a_tool_call_comes_from_the_prompt() {
    for (prompt, command) in [
        ("run-tool: touch a.txt\nthen stop", "touch a.txt"),
        ("please run-tool", DEFAULT_COMMAND),
        ("run-tool:", DEFAULT_COMMAND),
    ] {
        let request = with_tools(json!([{"role": "user", "content": prompt}]));
        assert_eq!(turn(&request), Turn::RunTool(command.to_owned()), "{prompt}");
    }
}

#[test]
fn each_prompt_runs_its_tool_once() {
    let first = json!([
        {"role": "user", "content": "run-tool: a"},
        {"role": "assistant", "tool_calls": []},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]);
    assert_eq!(turn(&with_tools(first.clone())), Turn::Say(TOOL_ANSWER.to_owned()));
    let mut second = first;
    second.as_array_mut().unwrap().push(json!({"role": "user", "content": "run-tool: b"}));
    assert_eq!(turn(&with_tools(second)), Turn::RunTool("b".to_owned()));
}

#[test]
fn a_title_request_gets_a_title_even_if_it_quotes_the_prompt() {
    let request = json!({"messages": [
        {"role": "system", "content": "You are a title generator."},
        {"role": "user", "content": "run-tool: a"},
    ]});
    assert_eq!(turn(&request), Turn::Say("Fake session".to_owned()));
}

#[tokio::test]
async fn a_stream_ends_with_a_reason_the_usage_and_done() {
    let model = FakeModel::start().await.unwrap();
    let request = json!({"stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let url = format!("{}/chat/completions", model.base_url());
    let text = reqwest::Client::new().post(url).json(&request).send().await.unwrap().text().await.unwrap();
    let lines: Vec<&str> = text.split("\n\n").filter(|line| !line.is_empty()).collect();
    assert!(lines.len() > 6, "several deltas: {text}");
    assert!(lines[lines.len() - 3].contains(r#""finish_reason":"stop""#), "{text}");
    assert!(lines[lines.len() - 2].contains(r#""usage""#), "{text}");
    assert_eq!(lines[lines.len() - 1], "data: [DONE]");
}

#[tokio::test]
async fn the_model_list_and_a_whole_answer_are_served_too() {
    let model = FakeModel::start().await.unwrap();
    let client = reqwest::Client::new();
    let models: Value =
        client.get(format!("{}/models", model.base_url())).send().await.unwrap().json().await.unwrap();
    assert_eq!(models["data"][0]["id"], "fake-model");
    let request = json!({"messages": [{"role": "user", "content": "hi"}]});
    let answer: Value = client
        .post(format!("{}/chat/completions", model.base_url()))
        .json(&request)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], ANSWER);
}
