//! Images go to the account's registry, with a login that the API gives for it.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use contracts::{ErrorCode, RuntimeId};
use provider_api::conformance::empty_archive;
use provider_api::{BootFile, BootSource, Provider as _, Result, Settings, Told};
use provider_cloudflare::{CloudflareConfig, CloudflareProvider};
use serde_json::{Value, json};
use sim_registry::{Options, Registry, Scheme, User};

const TOKEN: &str = "token";
const ACCOUNT: &str = "acc";

struct NoBoot;

#[async_trait]
impl BootSource for NoBoot {
    async fn boot_files(&self, _: &RuntimeId) -> Result<Vec<BootFile>> {
        Ok(Vec::new())
    }
}

/// An account with a registry that knows only logins which were given for pushes.
struct World {
    registry: Arc<Registry>,
    provider: CloudflareProvider,
}

async fn credentials(State(registry): State<Arc<Registry>>, Json(wanted): Json<Value>) -> Json<Value> {
    let password = format!("given-{}", RuntimeId::random());
    if wanted["permissions"] == json!(["push", "pull"]) {
        registry.admit(User { name: "v1".to_owned(), password: password.clone(), of: format!("{ACCOUNT}/") });
    }
    Json(json!({"success": true, "result": {"username": "v1", "password": password}}))
}

async fn world() -> World {
    let options = Options { scheme: Scheme::Bearer, users: Vec::new(), public: Vec::new() };
    let registry = Arc::new(Registry::start(options).await.unwrap());
    let path = format!("/accounts/{ACCOUNT}/containers/registries/{}/credentials", registry.host());
    let api = Router::new().route(&path, post(credentials)).with_state(registry.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });
    let host = registry.host();
    let var = |name: &str| match name {
        "PILOT_CLOUDFLARE_API_TOKEN" => Some(TOKEN.to_owned()),
        "PILOT_CLOUDFLARE_ACCOUNT_ID" => Some(ACCOUNT.to_owned()),
        "PILOT_CLOUDFLARE_API_URL" => Some(url.clone()),
        "PILOT_CLOUDFLARE_REGISTRY" => Some(host.clone()),
        _ => None,
    };
    let settings = Settings::read(&CloudflareProvider::name(), &CloudflareProvider::settings(), var).unwrap();
    let config = CloudflareConfig {
        settings,
        identity: None,
        boot: Arc::new(NoBoot),
        timeout: CloudflareConfig::TIMEOUT,
    };
    World { registry, provider: CloudflareProvider::new(config) }
}

impl World {
    async fn push(&self, name: &str, archive: &Path) -> Result<contracts::workspace::Image> {
        self.provider.image_store().unwrap().push(name, archive, &Told::nobody()).await
    }
}

#[tokio::test]
async fn an_image_gets_to_the_accounts_registry_with_a_login_of_its_own() {
    let world = world().await;
    let archive = empty_archive("amd64");
    let pushed = world.push("team/app:2", &archive).await.unwrap();
    let own = format!("{}/{ACCOUNT}/team/app", world.registry.host());
    assert_eq!(pushed.reference, format!("{own}:2"));
    let digest = world.registry.resolve(&format!("{ACCOUNT}/team/app"), "2").unwrap();
    assert_eq!(pushed.exact(), format!("{own}@{digest}"));
    assert_eq!(world.push(&pushed.reference, &archive).await.unwrap(), pushed);
}

#[tokio::test]
async fn what_cloudflare_would_not_run_is_not_sent() {
    let world = world().await;
    let (archive, foreign) = (empty_archive("amd64"), empty_archive("arm64"));
    for name in ["app:latest", "app", "ghcr.io/team/app:1", "registry.cloudflare.com/other/app:1"] {
        let error = world.push(name, &archive).await.unwrap_err();
        assert!(error.code == ErrorCode::BadRequest && error.action.is_some(), "{name}: {error}");
    }
    let error = world.push("localhost/team/app:1", &archive).await.unwrap_err();
    assert!(error.action.unwrap().contains("`--name team/app:1`"));
    let error = world.push("app:1", &foreign).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ImageUnusable, "{error}");
    assert_eq!(world.registry.journal(), [""; 0], "nobody was asked");
}
