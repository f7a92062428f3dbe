//! What a manifest has to be before it is taken.

use bytes::Bytes;
use serde_json::Value;

use crate::error::Refusal;

/// Of one image.
pub(crate) const IMAGES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
/// Of several, one for each platform.
pub(crate) const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// What has to be in the repository already: blobs, and manifests.
pub(crate) struct Needs {
    pub blobs: Vec<(String, u64)>,
    pub manifests: Vec<String>,
}

pub(crate) fn read(media_type: &str, content: &Bytes) -> Result<Needs, Refusal> {
    let invalid = |why: &str| Refusal::bad("MANIFEST_INVALID", why);
    let manifest: Value = serde_json::from_slice(content).map_err(|_| invalid("it is no JSON"))?;
    if manifest["schemaVersion"] != 2 {
        return Err(invalid("its schemaVersion is not 2"));
    }
    if let Some(inside) = manifest["mediaType"].as_str()
        && inside != media_type
    {
        return Err(invalid("its media type is not that of the request"));
    }
    let list = |name: &str| manifest[name].as_array().cloned().unwrap_or_default();
    let digest = |one: &Value| one["digest"].as_str().map(str::to_owned);
    if IMAGES.contains(&media_type) {
        let all = list("layers").into_iter().chain([manifest["config"].clone()]);
        let blobs = all.map(|one| Some((digest(&one)?, one["size"].as_u64()?)));
        let blobs =
            blobs.collect::<Option<Vec<_>>>().ok_or_else(|| invalid("a blob without digest or size"))?;
        return Ok(Needs { blobs, manifests: Vec::new() });
    }
    if INDEXES.contains(&media_type) {
        let manifests: Option<Vec<_>> = list("manifests").iter().map(digest).collect();
        let manifests = manifests.ok_or_else(|| invalid("a manifest without digest"))?;
        return Ok(Needs { blobs: Vec::new(), manifests });
    }
    Err(invalid("a media type that no manifest has"))
}
