//! `login` and `context`: servers that are kept by name.

use contracts::ErrorCode;
use serde_json::{Value, json};

use crate::tests::fake::{pilot_hearing, pilot_with, server};
use crate::{Outcome, exit};

#[tokio::test]
async fn a_login_tries_the_token_keeps_it_and_says_who_was_reached() {
    let data = tempfile::tempdir().unwrap();
    let (at, script) = server().await;
    let line = format!("login http://{at} --name here --gateway http://{at} --token-stdin");
    let shown = pilot_hearing("secret\n", data.path(), &line, &[]).await;
    let expected = format!(
        "Reached the Pilot at http://{at}/ (providers: local, bare). here is the current context now.\n"
    );
    assert_eq!((shown.out, shown.err.as_str()), (expected, ""));
    assert_eq!(script.lock().unwrap().asked, ["GET /v1/providers"]);
    assert!(pilot_with(data.path(), "ws ls", &["--context", "here"]).await.out.contains("demo"));
    let link = pilot_with(data.path(), "ws open demo", &["--context", "here"]).await;
    assert!(link.out.starts_with("http://demo.localhost"), "{}", link.err);
}

#[tokio::test]
async fn a_token_that_is_refused_is_not_kept() {
    let data = tempfile::tempdir().unwrap();
    let (at, _) = server().await;
    let line = format!("login http://{at} --name here --token-stdin");
    let shown = pilot_hearing("wrong", data.path(), &line, &[]).await;
    assert_eq!(exit::of(&shown.result), exit::UNAUTHORIZED);
    assert!(!data.path().join("config").exists());
    let empty = pilot_hearing("\n", data.path(), &line, &[]).await;
    assert_eq!(empty.result.unwrap_err().code, ErrorCode::Unauthorized);
    let nobody = pilot_with(data.path(), &format!("login http://{at}"), &[]).await;
    assert!(nobody.err.contains("--token-stdin"), "{}", nobody.err);
}

#[tokio::test]
async fn contexts_are_listed_without_tokens_chosen_and_forgotten() {
    let data = tempfile::tempdir().unwrap();
    let (at, _) = server().await;
    let run = async |line: &str| pilot_with(data.path(), line, &[]).await;
    assert!(run("context ls").await.err.contains("`pilot login URL` makes one"));
    for name in ["one", "two"] {
        let line = format!("login http://{at} --name {name} --token-stdin");
        assert_eq!(pilot_hearing("secret", data.path(), &line, &[]).await.result, Ok(Outcome::Done));
    }
    let shown = run("context ls").await.out;
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let url = format!("http://{at}/");
    assert_eq!(rows[1..], [vec!["one", &url], vec!["two", "*", &url]]);
    assert!(run("context use one").await.out.starts_with("The current context is one"));
    let json: Value = serde_json::from_str(&run("context ls --json").await.out).unwrap();
    assert_eq!(
        (&json["contexts"][0]["current"], &json["contexts"][1]["current"]),
        (&json!(true), &json!(false))
    );
    assert!(!json.to_string().contains("secret"), "{json}");
    assert!(run("context rm one").await.out.starts_with("There is no current context now"));
    assert_eq!(exit::of(&run("context use one").await.result), exit::NOT_FOUND);
    assert_eq!(exit::of(&run("ws ls --context one").await.result), exit::NOT_FOUND);
}

#[tokio::test]
async fn what_goes_wrong_with_a_context_names_it() {
    let data = tempfile::tempdir().unwrap();
    let (at, _) = server().await;
    let line = format!("login http://{at} --name here --token-stdin");
    assert!(pilot_hearing("secret", data.path(), &line, &[]).await.result.is_ok());
    let link = pilot_with(data.path(), "ws open demo --context here", &[]).await;
    assert!(
        link.err.contains("(context here) is not known") && link.err.contains("--gateway URL"),
        "{}",
        link.err
    );

    let path = data.path().join("config/contexts.json");
    let kept = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, kept.replace("secret", "old")).unwrap();
    let refused = pilot_with(data.path(), "ws ls --context here", &[]).await;
    assert!(refused.err.contains("--name here` stores another token"), "{}", refused.err);

    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    std::fs::write(&path, kept.replace(&at.to_string(), &nowhere.to_string())).unwrap();
    let away = pilot_with(data.path(), "ws ls --context here", &[]).await;
    assert!(
        away.err.contains(&format!("Nothing answers at http://{nowhere} (context here)")),
        "{}",
        away.err
    );
    assert_eq!(exit::of(&away.result), exit::UNREACHABLE);
}

#[tokio::test]
async fn an_unencrypted_way_to_another_machine_is_warned_of() {
    let data = tempfile::tempdir().unwrap();
    let shown = pilot_with(data.path(), "login http://pilot.example.com", &[]).await;
    assert!(shown.err.starts_with("warning: http:// sends the token"), "{}", shown.err);
    let shown = pilot_with(data.path(), "login https://ada:pw@pilot.example.com", &[]).await;
    assert_eq!(exit::of(&shown.result), exit::REFUSED);
}
