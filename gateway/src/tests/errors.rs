//! Every error is a problem document, or the same as a page for a person; odd requests get one too.

use contracts::{ErrorCode, Problem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::tests::world::{World, problem};

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

/// Sends bytes as they are and reads the whole answer.
async fn raw(world: &World, request: &str) -> String {
    let mut stream = TcpStream::connect(world.gateway.address()).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    tokio::time::timeout(std::time::Duration::from_secs(10), reading).await.expect("no answer").unwrap();
    answer
}

fn code_of(answer: &str) -> Option<ErrorCode> {
    let body = answer.split_once("\r\n\r\n")?.1;
    serde_json::from_str::<Problem>(body).ok().and_then(|problem| problem.code.known())
}

#[tokio::test]
async fn what_does_not_exist_is_a_problem_on_every_site() {
    let world = World::new().await;
    let cases = [
        ("", "GET", "/nothing", ErrorCode::NotFound),
        ("", "GET", "/docs/errors/nothing", ErrorCode::NotFound),
        ("", "GET", "/api/chamber/workspaces/Bad!/x", ErrorCode::WorkspaceNotFound),
        ("", "GET", "/api/chamber/workspaces/demo/..%2fx", ErrorCode::BadRequest),
        ("", "PUT", "/health", ErrorCode::MethodNotAllowed),
        ("demo", "GET", "/_pilot/nothing", ErrorCode::NotFound),
        ("demo", "GET", "/_pilot/login", ErrorCode::LoginLinkInvalid),
        ("demo", "POST", "/_pilot/login", ErrorCode::MethodNotAllowed),
    ];
    for (slug, method, path, code) in cases {
        let response = world.request(method, slug, path).send().await.unwrap();
        assert_eq!(problem(response).await.code, code, "{slug:?} {method} {path}");
    }
}

#[tokio::test]
async fn odd_requests_are_refused_with_a_problem() {
    let world = World::new().await;
    let end = "connection: close\n\n";
    for (request, code) in [
        (format!("GET / HTTP/1.1\nhost: evil.example\n{end}"), ErrorCode::NotFound),
        (format!("GET / HTTP/1.1\n{end}"), ErrorCode::BadRequest),
        (format!("GET / HTTP/1.1\nhost: localhost\nhost: demo.localhost\n{end}"), ErrorCode::BadRequest),
        (format!("GET / HTTP/1.1\nhost: x@localhost\n{end}"), ErrorCode::BadRequest),
        (format!("GET http://evil.example/ HTTP/1.1\nhost: localhost\n{end}"), ErrorCode::NotFound),
        (format!("GET http://demo.localhost/ HTTP/1.1\nhost: localhost\n{end}"), ErrorCode::Unauthorized),
        (
            format!("CONNECT demo.localhost:80 HTTP/1.1\nhost: demo.localhost:80\n{end}"),
            ErrorCode::MethodNotAllowed,
        ),
        (format!("OPTIONS * HTTP/1.1\nhost: demo.localhost\n{end}"), ErrorCode::MethodNotAllowed),
        (format!("GET / HTTP/1.0\n{end}"), ErrorCode::BadRequest),
    ] {
        let answer = raw(&world, &request).await;
        assert_eq!(code_of(&answer), Some(code), "{request}: {answer}");
        assert!(answer.contains("x-pilot-request-id: req-"), "{answer}");
    }
}

#[tokio::test]
async fn a_host_name_counts_without_regard_to_case() {
    let world = World::new().await;
    let answer = raw(&world, "GET /health HTTP/1.1\nhost: LOCALHOST:1\nconnection: close\n\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"status":"ok"}"#), "{answer}");
}

#[tokio::test]
async fn a_browser_gets_an_error_as_a_page_that_waits_where_waiting_helps() {
    let world = World::new().await;
    world.say("demo", contracts::workspace::Observed::Booting, None);
    let response = world.get("demo", "/").header("accept", BROWSER).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(response.headers()["retry-after"], "2");
    let id = response.headers()["x-pilot-request-id"].to_str().unwrap().to_owned();
    let page = response.text().await.unwrap();
    for part in ["The workspace demo is booting", "http-equiv=\"refresh\"", "workspace_not_ready", &id] {
        assert!(page.contains(part), "{part} in {page}");
    }

    let stranger = world.request("GET", "demo", "/").header("accept", BROWSER).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
    let page = stranger.text().await.unwrap();
    assert!(page.contains("<code>pilot ws open demo</code>") && !page.contains("refresh"), "{page}");

    let api = world.get("", "/api/chamber/workspaces/demo/x").header("accept", BROWSER).send().await.unwrap();
    assert_eq!(problem(api).await.code, ErrorCode::WorkspaceNotReady);
}

#[tokio::test]
async fn the_pages_of_all_codes_and_the_front_page_need_no_login() {
    let world = World::new().await;
    for code in ErrorCode::ALL {
        let response = world.request("GET", "", &format!("/docs/errors/{code}")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/markdown; charset=utf-8");
        assert_eq!(response.text().await.unwrap(), code.page());
    }
    let front = world.request("GET", "", "/").send().await.unwrap().text().await.unwrap();
    assert!(front.contains("pilot ws open"), "{front}");
}

#[tokio::test]
async fn an_instance_that_rejects_the_gateway_does_not_look_like_a_missing_login() {
    let world = World::new().await;
    let problem = problem(world.get("demo", "/refuse").send().await.unwrap()).await;
    assert_eq!(problem.code, ErrorCode::UpstreamUnreachable);
    assert!(problem.detail.contains("signature"), "{}", problem.detail);
}
