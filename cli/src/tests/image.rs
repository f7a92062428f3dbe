//! `image push`: what is sent, what is said of the answer, and what fails here.

use std::os::unix::fs::PermissionsExt as _;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contracts::ErrorCode;
use serde_json::{Value, json};

use crate::Outcome;
use crate::tests::fake::{Shared, pilot, server};

const EXACT: &str = "registry.test/acme@sha256:12";

/// What the server answers: two words of its progress, and an end.
pub async fn answer(State(script): State<Shared>, body: Bytes) -> Response {
    let text = String::from_utf8_lossy(&body).into_owned();
    let end = match text.as_str() {
        "bad" => {
            json!({"type": "failed", "problem": contracts::Problem::new(ErrorCode::ImageUnusable, "It is for arm64.")})
        }
        _ => {
            json!({"type": "pushed", "provider": "local", "image": {"reference": "registry.test/acme:2", "digest": EXACT},
                    "exact": EXACT, "setting": "PILOT_LOCAL_IMAGE"})
        }
    };
    let is_cut = text == "cut";
    script.lock().unwrap().bodies.push(json!(text));
    let progress = json!({"type": "progress", "done": 1, "total": 2});
    let stream = match is_cut {
        true => format!("data: {progress}\n\n"),
        false => format!(": beat\n\ndata: {progress}\n\ndata: {end}\n\n"),
    };
    ([("content-type", "text/event-stream")], stream).into_response()
}

/// A folder with an archive, and a program that stands for Docker's command.
fn folder(archive: &str, docker: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("image.tar"), archive).unwrap();
    let program = folder.path().join("docker");
    std::fs::write(&program, format!("#!/bin/sh\n{docker}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

const DOCKER: &str = r#"case "$1 $2" in
"image inspect") test "$6" = team/app:2 || { echo "Error: No such image: $6" >&2; exit 1; }; echo sha256:77;;
"save sha256:77") printf 'an archive';;
*) exit 9;;
esac"#;

#[tokio::test]
async fn an_image_of_this_machine_is_saved_by_its_id_and_the_answer_says_what_it_is_good_for() {
    let (at, script) = server().await;
    let folder = folder("", DOCKER);
    let docker = format!("--docker {}/docker", folder.path().display());
    let shown = pilot(at, &format!("image push team/app:2 {docker}")).await;
    assert_eq!(shown.result, Ok(Outcome::Done), "{}", shown.err);
    assert_eq!(script.lock().unwrap().bodies, [json!("an archive")]);
    let asked = script.lock().unwrap().asked.last().unwrap().clone();
    assert_eq!(asked, "POST /v1/providers/local/images?name=team%2Fapp%3A2");
    for said in [
        "local has it as registry.test/acme:2",
        &format!("exactly            {EXACT}"),
        &format!("PILOT_LOCAL_IMAGE={EXACT}, and start the server again"),
        &format!("pilot ws update NAME --image {EXACT}"),
        &format!("pilot rollout --provider local --image {EXACT}"),
    ] {
        assert!(shown.out.contains(said), "{said} in {}", shown.out);
    }
    let shown = pilot(at, &format!("image push team/app:2 --name other:3 --json {docker}")).await;
    let document: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!((document["exact"].as_str(), shown.err.as_str()), (Some(EXACT), ""));
    assert!(script.lock().unwrap().asked.last().unwrap().ends_with("?name=other%3A3"));

    let shown = pilot(at, &format!("image push none:1 {docker}")).await;
    assert_eq!(shown.result.unwrap_err().code, ErrorCode::ImageMissing);
    let shown = pilot(at, "image push team/app:2 --docker /nonexistent/docker").await;
    let problem = shown.result.unwrap_err();
    assert!(problem.code == ErrorCode::DockerUnavailable && problem.action.unwrap().contains("--archive"));
}

#[tokio::test]
async fn a_save_that_breaks_off_is_told_in_dockers_words_and_sends_no_whole_archive() {
    let (at, script) = server().await;
    let breaks = r#"test "$1" = save && { printf 'half of it'; echo 'the disk is on fire' >&2; exit 3; }; echo sha256:77"#;
    let folder = folder("", breaks);
    let shown =
        pilot(at, &format!("image push team/app:2 --docker {}/docker", folder.path().display())).await;
    let problem = shown.result.unwrap_err();
    assert!(problem.detail.contains("the disk is on fire"), "{problem}");
    assert!(script.lock().unwrap().bodies.is_empty(), "what is not whole is no body");
}

#[tokio::test]
async fn an_archive_is_sent_as_it_is_and_the_servers_problem_is_the_commands() {
    let (at, script) = server().await;
    for (content, code) in [
        ("good", None),
        ("bad", Some(ErrorCode::ImageUnusable)),
        ("cut", Some(ErrorCode::OrchestratorUnreachable)),
    ] {
        let folder = folder(content, "exit 1");
        let line =
            format!("image push --archive {}/image.tar --name a:1 --provider local", folder.path().display());
        let shown = pilot(at, &line).await;
        assert_eq!(shown.result.err().map(|problem| problem.code), code.map(Into::into), "{content}");
        assert_eq!(script.lock().unwrap().bodies.pop(), Some(json!(content)));
    }
    let shown = pilot(at, "image push --archive /nonexistent.tar --name a:1").await;
    assert_eq!(shown.result.unwrap_err().code, ErrorCode::BadRequest);
}

#[tokio::test]
async fn who_takes_no_images_is_named_before_anything_is_sent() {
    let (at, script) = server().await;
    let shown = pilot(at, "image push a:1 --provider bare").await;
    let problem = shown.result.unwrap_err();
    assert!(problem.code == ErrorCode::CapabilityUnsupported && problem.action.unwrap().contains("local"));
    let shown = pilot(at, "image push a:1 --provider none").await;
    assert_eq!(shown.result.unwrap_err().code, ErrorCode::UnknownProvider);
    let asked = script.lock().unwrap().asked.clone();
    assert!(asked.iter().all(|line| line == "GET /v1/providers"), "{asked:?}");
}
