//! What it refuses, as real registries do: each would else hide a fault of a client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use sim_registry::{Fault, Form, Options, Registry, Scheme, User, digest};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

async fn is_refused(response: Response, status: StatusCode, code: &str) {
    assert_eq!(response.status(), status);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["errors"][0]["code"], code, "{body}");
}

/// Where the next upload goes.
async fn upload(client: &Client, base: &str) -> String {
    let begun = client.post(format!("{base}/v2/app/blobs/uploads/")).send().await.unwrap();
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    format!("{base}{}", begun.headers()["location"].to_str().unwrap())
}

#[tokio::test]
async fn what_is_uploaded_is_what_its_digest_says_and_comes_in_order() {
    let registry = Registry::start(Options::open()).await.unwrap();
    let (client, base) = (Client::new(), format!("http://{}", registry.host()));
    let wrong = upload(&client, &base).await;
    let put = client.put(format!("{wrong}?digest={}", digest(b"other"))).body("this");
    is_refused(put.send().await.unwrap(), StatusCode::BAD_REQUEST, "DIGEST_INVALID").await;

    let at = upload(&client, &base).await;
    let first = client.patch(&at).header("content-range", "0-1").body("ab").send().await.unwrap();
    assert_eq!((first.status(), &first.headers()["range"]), (StatusCode::ACCEPTED, &"0-1".parse().unwrap()));
    let gap = client.patch(&at).header("content-range", "5-6").body("cd").send().await.unwrap();
    is_refused(gap, StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID").await;
    let put = client.put(format!("{at}?digest={}", digest(b"abc"))).body("c").send().await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED);
    let again = client.put(format!("{at}?digest={}", digest(b"abc"))).send().await.unwrap();
    is_refused(again, StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN").await;
    let of_another = client.get(format!("{base}/v2/other/blobs/{}", digest(b"abc"))).send().await.unwrap();
    is_refused(of_another, StatusCode::NOT_FOUND, "BLOB_UNKNOWN").await;

    registry.order(Fault::Status(503));
    let ordered = client.get(format!("{base}/v2/app/tags/list")).send().await.unwrap();
    is_refused(ordered, StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE").await;
}

#[tokio::test]
async fn a_manifest_names_blobs_that_are_there_and_is_what_its_digest_says() {
    let registry = Registry::start(Options::open()).await.unwrap();
    let client = Client::new();
    let put = |tag: &str, manifest: &Value| {
        let at = format!("http://{}/v2/app/manifests/{tag}", registry.host());
        client.put(at).header("content-type", MANIFEST).body(manifest.to_string())
    };
    let nothing = json!({"digest": digest(b""), "size": 0});
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": nothing, "layers": []});
    let sent = put("1", &manifest).send().await.unwrap();
    is_refused(sent, StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN").await;
    let whole = registry.seed_as(Form::Oci, "app", "1", "amd64");
    let at = format!("http://{}/v2/app/manifests/1", registry.host());
    let there: Value = client.get(&at).header("accept", MANIFEST).send().await.unwrap().json().await.unwrap();
    let sent = put(&digest(b"other"), &there).send().await.unwrap();
    is_refused(sent, StatusCode::BAD_REQUEST, "DIGEST_INVALID").await;
    let none = client.get(&at).header("accept", "application/json").send().await.unwrap();
    is_refused(none, StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN").await;
    let head = client.head(&at).header("accept", MANIFEST).send().await.unwrap();
    assert_eq!(head.headers()["docker-content-digest"].to_str().unwrap(), whole);
}

#[tokio::test]
async fn who_may_not_is_told_where_to_get_a_token_and_gets_no_more_than_is_theirs() {
    let user = User { of: "ada/".to_owned(), ..User::everywhere("ada", "secret") };
    let options = Options { scheme: Scheme::Bearer, users: vec![user], public: vec!["public/".to_owned()] };
    let registry = Registry::start(options).await.unwrap();
    for name in ["ada/app", "bob/app", "public/app"] {
        registry.seed_as(Form::Oci, name, "1", "amd64");
    }
    let client = Client::new();
    let base = format!("http://{}", registry.host());
    let refused = client.get(format!("{base}/v2/ada/app/manifests/1")).send().await.unwrap();
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
    assert_eq!(
        challenge,
        format!("Bearer realm=\"{base}/token\",service=\"sim-registry\",scope=\"repository:ada/app:pull\"")
    );
    let ask = |login: Option<&'static str>, scope: &str| {
        let request =
            client.get(format!("{base}/token")).query(&[("service", "sim-registry"), ("scope", scope)]);
        match login {
            Some(password) => request.basic_auth("ada", Some(password)),
            None => request,
        }
    };
    assert_eq!(ask(Some("wrong"), "").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    for (login, name, status) in [
        (Some("secret"), "ada/app", 200),
        (Some("secret"), "bob/app", 401),
        (Some("secret"), "public/app", 200),
        (None, "ada/app", 401),
        (None, "public/app", 200),
    ] {
        let scope = format!("repository:{name}:pull");
        let token: Value = ask(login, &scope).send().await.unwrap().json().await.unwrap();
        let asked = client.get(format!("{base}/v2/{name}/manifests/1")).header("accept", MANIFEST);
        let answer = asked.bearer_auth(token["token"].as_str().unwrap()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{login:?} {name}");
    }
}
