//! Who gets in: the matrix of callers and sites, login links, cookies and origins.

use contracts::ErrorCode;

use crate::tests::world::{ADMIN, World, cookie_of, problem};

const DEMO_API: &str = "/api/chamber/workspaces/demo/session";

#[tokio::test]
async fn each_site_opens_with_the_admin_token_or_its_own_session_and_nothing_else() {
    let world = World::new().await;
    let control = world.session("").await;
    let demo = world.session("demo").await;
    let other = world.session("other").await;
    let token = format!("Bearer {ADMIN}");
    let cases = [
        ("", DEMO_API, vec![("authorization", token.as_str())], 200),
        ("", DEMO_API, vec![("cookie", &control)], 200),
        ("", DEMO_API, vec![("cookie", &demo)], 401),
        ("", DEMO_API, vec![], 401),
        ("demo", "/", vec![("authorization", &token)], 200),
        ("demo", "/", vec![("cookie", &demo)], 200),
        ("demo", "/", vec![("cookie", &other)], 401),
        ("demo", "/", vec![("cookie", &control)], 401),
        ("demo", "/", vec![("cookie", "pilot_session=x.y.z")], 401),
        ("demo", "/", vec![("authorization", "Bearer wrong")], 401),
        ("demo", "/", vec![("authorization", "Bearer wrong"), ("cookie", &demo)], 200),
        ("demo", "/", vec![("authorization", "Basic YTpi")], 401),
        ("demo", "/", vec![], 401),
    ];
    for (slug, path, headers, expected) in cases {
        let request =
            headers.iter().fold(world.request("GET", slug, path), |r, (name, value)| r.header(*name, *value));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), expected, "{slug:?} {headers:?}");
        if expected == 401 {
            assert_eq!(problem(response).await.code, ErrorCode::Unauthorized);
        }
    }
}

#[tokio::test]
async fn a_workspace_that_does_not_exist_looks_like_one_that_does_to_a_stranger() {
    let world = World::new().await;
    let there = problem(world.request("GET", "demo", "/").send().await.unwrap()).await;
    let missing = problem(world.request("GET", "nothing", "/").send().await.unwrap()).await;
    assert_eq!((there.code, missing.code), (ErrorCode::Unauthorized.into(), ErrorCode::Unauthorized.into()));
    assert_eq!(world.asked(), 0, "the orchestrator is not bothered by strangers");
}

#[tokio::test]
async fn a_link_logs_one_browser_in_once() {
    let world = World::new().await;
    let link = world.link("demo").await;
    let first = world.request("GET", "demo", &link).send().await.unwrap();
    assert_eq!((first.status().as_u16(), &first.headers()["location"]), (303, &"/".parse().unwrap()));
    let cookie = cookie_of(&first);
    assert_eq!(
        world.request("GET", "demo", "/").header("cookie", &cookie).send().await.unwrap().status(),
        200
    );

    let again = world.request("GET", "demo", &link).send().await.unwrap();
    assert_eq!(problem(again).await.code, ErrorCode::LoginLinkInvalid);
    let back = world.request("GET", "demo", &link).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(back.status(), 303, "who is logged in is just let in");
    assert!(!back.headers().contains_key("set-cookie"));
}

#[tokio::test]
async fn a_link_for_one_site_opens_no_other_and_survives_the_try() {
    let world = World::new().await;
    let link = world.link("demo").await;
    for site in ["other", ""] {
        let refused = world.request("GET", site, &link).send().await.unwrap();
        assert_eq!(problem(refused).await.code, ErrorCode::LoginLinkInvalid);
    }
    assert_eq!(world.request("GET", "demo", &link).send().await.unwrap().status(), 303);
}

#[tokio::test]
async fn links_are_minted_with_the_admin_token_only() {
    let world = World::new().await;
    let control = world.session("").await;
    for (name, value) in [("x-nothing", "1"), ("cookie", &control), ("authorization", "Bearer wrong")] {
        let response = world.request("POST", "", "/api/auth/links").header(name, value).send().await.unwrap();
        assert_eq!(problem(response).await.code, ErrorCode::Unauthorized, "{name}");
    }
}

#[tokio::test]
async fn a_link_request_that_makes_no_sense_is_explained() {
    let world = World::new().await;
    let large = format!("{{\"slug\": \"{}\"}}", "x".repeat(5000));
    for (body, code) in [
        ("{", ErrorCode::BadRequest),
        (r#"{"slug": 1}"#, ErrorCode::BadRequest),
        (r#"{"slog": "demo"}"#, ErrorCode::UnknownField),
        (r#"{"slug": "No Such"}"#, ErrorCode::InvalidSlug),
        (&large, ErrorCode::BadRequest),
    ] {
        let request = world.request("POST", "", "/api/auth/links").bearer_auth(ADMIN).body(body.to_owned());
        assert_eq!(problem(request.send().await.unwrap()).await.code, code, "{body:.40}");
    }
    let empty = world.request("POST", "", "/api/auth/links").bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(empty.status(), 200);
}

#[tokio::test]
async fn pages_of_other_sites_cannot_use_a_session() {
    let world = World::new().await;
    let session = world.session("demo").await;
    let own = format!("http://{}", world.authority("demo"));
    let foreign = format!("http://{}", world.authority("other"));
    let try_with = async |method: &str, headers: &[(&str, &str)]| {
        let request = world.request(method, "demo", "/x").header("cookie", &session);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap()
    };
    assert_eq!(try_with("POST", &[("origin", &own)]).await.status(), 200);
    assert_eq!(
        try_with("GET", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]).await.status(),
        200
    );
    for refused in [
        try_with("POST", &[("origin", &foreign)]).await,
        try_with("POST", &[("origin", "null")]).await,
        try_with("GET", &[("origin", &foreign)]).await,
        try_with("GET", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")]).await,
    ] {
        assert_eq!(problem(refused).await.code, ErrorCode::Forbidden);
    }
    let minted = world.request("POST", "", "/api/auth/links").bearer_auth(ADMIN).header("origin", foreign);
    assert_eq!(problem(minted.send().await.unwrap()).await.code, ErrorCode::Forbidden);
}
