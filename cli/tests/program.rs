//! The program as scripts and shells use it: exit codes, variables, signals, and what completes it.

#![allow(clippy::unwrap_used)]

use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use contracts::{ErrorCode, Problem};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

const DEADLINE: Duration = Duration::from_secs(30);

/// A command that knows nothing of who runs the tests.
fn pilot(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilot"));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("PILOT_TOKEN", "secret");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn ended(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        tokio::time::timeout(DEADLINE, command.output()).await.unwrap().unwrap();
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Answers a look at a workspace with the error of its name, which may have a '-' for each '_'.
async fn answer(request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let token = request.headers().get("authorization");
    if token.is_none_or(|token| token != "Bearer secret") {
        return problem(ErrorCode::Unauthorized);
    }
    match path.strip_prefix("/v1/workspaces/") {
        Some(slug) => match slug.replace('-', "_").parse() {
            Ok(code) => problem(code),
            Err(()) => problem(ErrorCode::WorkspaceNotFound),
        },
        None => Json(json!({ "workspaces": [] })).into_response(),
    }
}

fn problem(code: ErrorCode) -> Response {
    (StatusCode::from_u16(code.status()).unwrap(), Json(Problem::new(code, "So."))).into_response()
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn the_exit_code_tells_the_kind_of_failure() {
    let server = serve(Router::new().fallback(answer)).await;
    for (line, expected) in [
        ("ws ls", 0),
        ("ws ls --no-such-option", 2),
        ("ws ls --token secret", 2),
        ("ws get engine-failed", 1),
        ("ws get nothing", 3),
        ("ws get operation-in-progress", 4),
        ("ws get forbidden", 5),
        ("ws get store-unavailable", 6),
        ("ws get Capitals", 7),
    ] {
        let mut command = pilot(line);
        command.env("PILOT_SERVER", &server);
        let (code, text) = ended(command).await;
        assert_eq!(code, Some(expected), "{line}: {text}");
    }
    let mut wrong = pilot("ws ls");
    wrong.env("PILOT_SERVER", &server).env("PILOT_TOKEN", "wrong");
    assert_eq!(ended(wrong).await.0, Some(5));
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(ended(pilot(&format!("ws ls --server http://{nowhere}"))).await.0, Some(6));
}

/// Answers every request over TLS with an empty list, and returns the certificate.
async fn serve_tls() -> (u16, String) {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let body = r#"{"workspaces":[]}"#;
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json";
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, key.cert.pem())
}

#[tokio::test]
async fn ssl_cert_file_names_the_authorities_to_trust() {
    let (port, certificate) = serve_tls().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, certificate).unwrap();
    let line = format!("ws ls --json --server https://localhost:{port}");
    let mut trusting = pilot(&line);
    trusting.env("SSL_CERT_FILE", &file);
    assert_eq!(ended(trusting).await, (Some(0), "{\"workspaces\":[]}\n".to_owned()));
    let (code, text) = ended(pilot(&line)).await;
    assert_eq!(code, Some(6));
    assert!(text.contains("certificate_untrusted"), "{text}");
}

/// A workspace whose log grows with each look.
async fn serve_log() -> String {
    let looks = Arc::new(AtomicU32::new(0));
    let answer = move |request: Request| async move {
        if request.uri().path().ends_with("/logs") {
            let lines = looks.fetch_add(1, Ordering::SeqCst) + 1;
            let text: String = (0..lines).map(|line| format!("line {line}\n")).collect();
            return Json(json!({ "text": text }));
        }
        let at = "2026-11-23T10:00:00Z";
        Json(json!({ "id": "ws_1", "slug": "demo", "runtimeId": "rt-1", "provider": "local", "size": "host",
            "desired": "running", "state": "ready", "since": at, "createdAt": at }))
    };
    serve(Router::new().fallback(answer)).await
}

/// `ws logs -f`, and its first lines.
async fn following(lines: usize) -> (Child, BufReader<tokio::process::ChildStdout>) {
    let mut command = pilot(&format!("ws logs demo -f --server {}", serve_log().await));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    for number in 0..lines {
        let mut line = String::new();
        tokio::time::timeout(DEADLINE, out.read_line(&mut line)).await.unwrap().unwrap();
        assert_eq!(line, format!("line {number}\n"));
    }
    (child, out)
}

#[tokio::test]
async fn ctrl_c_ends_following_as_it_ends_every_program() {
    let (mut child, _out) = following(2).await;
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let status = tokio::time::timeout(DEADLINE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130));
}

#[tokio::test]
async fn following_ends_when_nobody_reads_any_more() {
    let (mut child, out) = following(1).await;
    drop(out);
    let status = tokio::time::timeout(DEADLINE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

/// Everything that a command may ask for here, and nothing more.
async fn serve_all() -> String {
    let answer = |request: Request| async move {
        let path = request.uri().path().to_owned();
        let at = "2026-11-23T10:00:00Z";
        match path.as_str() {
            "/v1/usage" => {
                let row = json!({ "workspaceId": "ws_1", "provider": "local", "size": "host", "seconds": 9 });
                Json(json!({ "to": at, "usage": [row] })).into_response()
            }
            "/v1/operations" => Json(json!({ "operations": [] })).into_response(),
            "/v1/rollouts" => Json(json!({ "rollouts": [] })).into_response(),
            "/v1/providers" => Json(json!({ "providers": [] })).into_response(),
            _ if path.ends_with("/logs") => Json(json!({ "text": "line\n" })).into_response(),
            _ if path.ends_with("/stack") => {
                Json(json!({ "stack": "rt-1", "files": { "Pulumi.yaml": "name: pilot\n" } })).into_response()
            }
            _ if path.ends_with("/demo") => Json(json!({ "id": "ws_1", "slug": "demo", "runtimeId": "rt-1",
                "provider": "local", "size": "host", "desired": "running", "state": "ready", "since": at,
                "createdAt": at }))
            .into_response(),
            "/v1/workspaces" => Json(json!({ "workspaces": [] })).into_response(),
            _ => problem(ErrorCode::WorkspaceNotFound),
        }
    };
    serve(Router::new().fallback(answer)).await
}

/// What a command says on stderr, and how it ends, where stdout has no room.
async fn without_room(line: &str, server: &str) -> (Option<i32>, String) {
    let mut command = pilot(line);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    command.env("PILOT_SERVER", server).stdout(full);
    command.stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await.unwrap().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn results_that_cannot_be_written_are_an_error_and_never_an_empty_success() {
    let server = serve_all().await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("stack");
    let export = format!("stack export demo --out {}", out.display());
    let lost = "error: stdout cannot be written: No space left on device";
    for line in [
        "ws ls --json",
        "ws get demo",
        "ws get demo --json",
        "ws logs demo",
        "ws logs demo -f",
        "op ls --json",
        "rollout ls",
        "usage",
        "usage --json",
        "provider ls --json",
        "context ls --json",
        "completion bash",
        "completion zsh",
        "explain",
        "explain store_full",
        "doctor",
        "doctor --json",
        &export,
        "--help",
        "ws create --help",
        "--version",
    ] {
        let (code, said) = without_room(line, &server).await;
        assert_eq!(code, Some(1), "{line}: {said}");
        assert_eq!(said.matches(lost).count(), 1, "{line}: {said}");
    }
    assert!(out.join("Pulumi.yaml").exists(), "what was to be done is done");
    let (code, said) = without_room("ws get no-such --json", &server).await;
    assert!(code == Some(3) && said.contains("(workspace_not_found)"), "what went wrong is told: {said}");
    assert_eq!(without_room("ws ls --no-such-option", &server).await.0, Some(2));
}

#[tokio::test]
async fn a_reader_that_has_gone_is_no_error() {
    let server = serve_all().await;
    for line in ["ws get demo --json", "completion bash", "--help"] {
        let mut command = pilot(line);
        command.env("PILOT_SERVER", &server).stderr(Stdio::piped());
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = command.stdout(writer).spawn().unwrap();
        let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""), "{line}");
    }
}

#[tokio::test]
async fn bash_completes_commands_and_values_with_the_script() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("pilot.bash");
    let (code, text) = ended(pilot("completion bash")).await;
    assert_eq!(code, Some(0));
    std::fs::write(&script, text).unwrap();
    for (words, expected) in [
        ("pilot ws re", "restart restore resume rename"),
        ("pilot ws wait demo --for s", "stopped suspended"),
        ("pilot completion z", "zsh"),
    ] {
        let last = words.split(' ').count() - 1;
        let current = words.rsplit(' ').next().unwrap();
        let before = words.split(' ').nth(last - 1).unwrap();
        let run = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={last}; _pilot pilot '{current}' '{before}'; echo ${{COMPREPLY[@]}}",
            script.display()
        );
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", &run]);
        let (_, completed) = ended(bash).await;
        let sorted = |text: &str| {
            let mut words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
            words.sort();
            words
        };
        assert_eq!(sorted(&completed), sorted(expected), "{words}");
    }
}

#[tokio::test]
async fn every_shell_has_a_script_that_names_all_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script) = ended(pilot(&format!("completion {shell}"))).await;
        assert_eq!(code, Some(0));
        for word in ["completion", "context", "restart", "token-file"] {
            assert!(script.contains(word), "{word} for {shell}");
        }
        // It is no argument, as a refusal says.
        let mut words = script.split(|letter: char| !letter.is_alphanumeric() && letter != '-');
        assert!(!words.any(|word| word == "--token"), "{shell}");
        assert!(!script.contains("-l token "), "{shell}");
    }
    assert_eq!(ended(pilot("completion tcsh")).await.0, Some(2));
}

#[tokio::test]
async fn an_archive_comes_from_a_file_or_a_pipe_and_a_folder_is_refused_before_anything_is_sent() {
    let answer = |request: Request| async move {
        if request.method() == "POST" {
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
            let came = format!("{} bytes came.", body.len());
            return (StatusCode::PAYLOAD_TOO_LARGE, Json(Problem::new(ErrorCode::TooLarge, came)))
                .into_response();
        }
        let able = json!({ "suspend": false, "persistentHome": true, "logs": true, "exec": true, "snapshot": false, "push": true });
        let provider = json!({ "name": "docker", "summary": "", "isolation": "", "sizes": [], "capabilities": able, "default": true });
        Json(json!({ "providers": [provider] })).into_response()
    };
    let server = serve(Router::new().fallback(answer)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar");
    std::fs::write(&file, "archive").unwrap();
    let push = |path: &std::path::Path| {
        pilot(&format!("image push --server {server} --name app:1 --archive {}", path.display()))
    };
    let (code, said) = ended(push(&file)).await;
    assert!(code != Some(0) && said.contains("7 bytes came"), "{said}");
    let mut piped = push("-".as_ref());
    piped.stdin(std::fs::File::open(&file).unwrap());
    let (_, said) = ended(piped).await;
    assert!(said.contains("7 bytes came"), "{said}");
    let (_, said) = ended(push(folder.path())).await;
    assert!(said.contains("it is a folder") && !said.contains("orchestrator_unreachable"), "{said}");
}
