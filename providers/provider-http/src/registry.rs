//! A client of OCI registries: what a reference means there, and how an image gets there from an archive.
//!
//! The wire is that of `oci-client`: tokens, HTTP Basic, uploads in chunks. What is added here is an archive as
//! `provider_kit::archive` reads it, and what a refusal means. Loopback is spoken to without TLS, as Docker does; nothing else is.

mod blob;
mod failure;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use contracts::ErrorCode;
use contracts::workspace::Image;
use futures_util::TryStreamExt as _;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use provider_api::{Copied, Login, ProviderError, Result, Told};
use provider_kit::archive::{Archive, is_image};
use provider_kit::image::made_for;
use serde_json::{Value, json};

use blob::Blob;
use failure::Asked;

/// Images, and indexes of images for several architectures.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const CONNECT: Duration = Duration::from_secs(10);
/// A registry that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(120);
/// Nor does anybody wait longer for what it has: who names an image waits for the answer.
const LOOK: Duration = Duration::from_secs(20);
/// A configuration is some kilobytes.
const LARGEST_CONFIG: i64 = 8 << 20;

/// One registry's images, as one login sees them.
pub struct Registry {
    client: Client,
    auth: RegistryAuth,
}

impl Registry {
    /// The registry that `reference` names, with this login.
    ///
    /// # Errors
    /// When the login is of a kind that is not sent.
    pub fn of(reference: &str, login: Option<&Login>) -> Result<Self> {
        let host = parse(reference)?.registry().to_owned();
        let auth = match login {
            None => RegistryAuth::Anonymous,
            Some(Login::Password { username, password }) => {
                RegistryAuth::Basic(username.clone(), password.clone())
            }
            Some(Login::IdentityToken(_)) => {
                let message = format!("the login for {host} is an identity token, which only Docker can use");
                return Err(ProviderError::new(ErrorCode::ProviderNotConfigured, message)
                    .with_action("Use a name with a password or an access token."));
            }
        };
        let config = ClientConfig {
            protocol: match is_loopback(&host) {
                true => ClientProtocol::HttpsExcept(vec![host]),
                false => ClientProtocol::Https,
            },
            connect_timeout: Some(CONNECT),
            read_timeout: Some(SILENCE),
            user_agent: concat!("pilot/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| {
            ProviderError::new(ErrorCode::ProviderUnreachable, format!("no HTTP client: {error}"))
        })?;
        Ok(Self { client, auth })
    }

    /// What a reference means now, and for which architectures. Nothing but manifests and one configuration is fetched.
    pub async fn look(&self, reference: &str) -> Result<Found> {
        let asked = Asked { reference, has_login: self.auth != RegistryAuth::Anonymous, pushes: false };
        match tokio::time::timeout(LOOK, self.looked(asked)).await {
            Ok(found) => found,
            Err(_) => Err(asked.silent()),
        }
    }

    async fn looked(&self, asked: Asked<'_>) -> Result<Found> {
        let reference = asked.reference;
        let image = parse(reference)?;
        let pulled = self.client.pull_manifest_raw(&image, &self.auth, &MANIFESTS).await;
        let (content, digest) = pulled.map_err(|error| asked.failed(&error))?;
        let manifest: Value =
            serde_json::from_slice(&content).map_err(|_| asked.unreadable("its manifest"))?;
        let of = |said: &Value| made_for(said["os"].as_str(), said["architecture"].as_str());
        let architectures = match manifest["manifests"].as_array() {
            // BuildKit keeps attestations there, of no architecture.
            Some(entries) => entries.iter().filter_map(|one| of(&one["platform"])).collect(),
            None if !is_image(&manifest) => return Err(asked.no_image()),
            None => of(&self.config(&asked, &image, &manifest).await?).into_iter().collect(),
        };
        Ok(Found { digest, architectures })
    }

    async fn config(&self, asked: &Asked<'_>, image: &Reference, manifest: &Value) -> Result<Value> {
        let (digest, size) = (manifest["config"]["digest"].as_str(), manifest["config"]["size"].as_i64());
        let (Some(digest), Some(0..=LARGEST_CONFIG)) = (digest, size) else {
            return Err(asked.unreadable("its manifest"));
        };
        let mut content = Vec::new();
        let fetched = self.client.pull_blob(image, digest, &mut content).await;
        fetched.map_err(|error| asked.failed(&error))?;
        serde_json::from_slice(&content).map_err(|_| asked.unreadable("its configuration"))
    }

    /// Brings the image of an archive there under this reference. What the registry has already is not sent again, so a push that
    /// was cut off goes on where it was. The archive's layers are compressed on the way, and one that
    /// is not what its digests say is refused before anything has the name. Told are bytes of layers as the archive has them.
    pub async fn push(&self, reference: &str, archive: &Path, told: &Told) -> Result<Image> {
        let asked = Asked { reference, has_login: self.auth != RegistryAuth::Anonymous, pushes: true };
        let image = parse(reference)?;
        let archive = Arc::new(Archive::open(archive.to_owned()).await?);
        let authorized = self.client.auth(&image, &self.auth, RegistryOperation::Push).await;
        authorized.map_err(|error| asked.failed(&error))?;

        let mut copied = Copied { done: 0, total: archive.layers.iter().map(|layer| layer.part.size).sum() };
        let mut layers = Vec::new();
        for layer in &archive.layers {
            told.tell(copied);
            let (blob, media_type) = Blob::of_layer(&archive, layer).await?;
            self.blob(&asked, &image, &blob).await?;
            layers.push(json!({"mediaType": media_type, "digest": blob.digest, "size": blob.size}));
            copied.done += layer.part.size;
        }
        told.tell(copied);
        let config = Blob::of(&archive.config)?;
        self.blob(&asked, &image, &config).await?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFESTS[0],
            "config": {"mediaType": CONFIG, "digest": config.digest, "size": config.size},
            "layers": layers,
        });
        let (manifest, media_type) = (manifest.to_string(), http::HeaderValue::from_static(MANIFESTS[0]));
        let digest = blob::digest(manifest.as_bytes());
        let put = self.client.push_manifest_raw(&image, manifest, media_type).await;
        put.map_err(|error| asked.failed(&error))?;
        Ok(Image {
            digest: Some(format!("{}/{}@{digest}", image.registry(), image.repository())),
            architecture: archive.architecture.clone(),
            ..Image::named(reference)
        })
    }

    async fn blob(&self, asked: &Asked<'_>, image: &Reference, blob: &Blob) -> Result<()> {
        let is_there = self.client.blob_exists(image, &blob.digest).await;
        if is_there.map_err(|error| asked.failed(&error))? {
            return Ok(());
        }
        let content = blob.stream().await?.map_err(OciDistributionError::from);
        let sent = self.client.push_blob_stream(image, content, &blob.digest, Some(blob.size)).await;
        sent.map(drop).map_err(|error| asked.failed(&error))
    }
}

/// What a registry has under a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Of the manifest or the index: the same content for ever.
    pub digest: String,
    /// As [`made_for`] says them; empty where the image does not say.
    pub architectures: Vec<String>,
}

fn parse(reference: &str) -> Result<Reference> {
    reference.parse().map_err(|error| {
        let message = format!("{reference:?} is no reference to an image: {error}");
        ProviderError::new(ErrorCode::BadRequest, message).with_action("Name it as REGISTRY/NAME:TAG.")
    })
}

/// `127.0.0.1:5000`, `[::1]:5000`, `localhost:5000`.
fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
