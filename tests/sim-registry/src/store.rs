//! What is kept: blobs by their digest, manifests and tags for each repository, and uploads under way.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_lc_rs::digest::{SHA256, digest as hash};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::error::Refusal;
use crate::manifest::{self, IMAGES, INDEXES};

/// As registries write it.
pub fn digest(content: &[u8]) -> String {
    let hex: String = hash(&SHA256, content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Both are images; clients do not know the same of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As Docker itself pushes.
    Docker,
    /// As BuildKit and most others push.
    Oci,
    /// Something else that registries keep: no image.
    Chart,
}

impl Form {
    /// Of manifest, configuration and layer.
    fn types(self) -> [&'static str; 3] {
        match self {
            Form::Docker => [
                IMAGES[1],
                "application/vnd.docker.container.image.v1+json",
                "application/vnd.docker.image.rootfs.diff.tar",
            ],
            Form::Oci => [
                IMAGES[0],
                "application/vnd.oci.image.config.v1+json",
                "application/vnd.oci.image.layer.v1.tar",
            ],
            Form::Chart => [
                IMAGES[0],
                "application/vnd.cncf.helm.config.v1+json",
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            ],
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub digest: String,
    pub media_type: String,
    pub content: Bytes,
}

#[derive(Default)]
struct Repository {
    manifests: BTreeMap<String, Manifest>,
    tags: BTreeMap<String, String>,
    /// Blobs that were uploaded here: those of other repositories are not seen.
    blobs: HashSet<String>,
}

#[derive(Default)]
pub(crate) struct Store {
    blobs: HashMap<String, Bytes>,
    repositories: BTreeMap<String, Repository>,
    uploads: HashMap<String, Vec<u8>>,
}

impl Store {
    pub fn blob(&self, repository: &str, digest: &str) -> Result<Bytes, Refusal> {
        let has = self.repositories.get(repository).is_some_and(|kept| kept.blobs.contains(digest));
        let found = self.blobs.get(digest).filter(|_| has);
        found.cloned().ok_or_else(|| Refusal::unknown("BLOB_UNKNOWN", digest))
    }

    /// Makes a blob of another repository one of this too; `false` where that has none.
    pub fn mount(&mut self, repository: &str, from: &str, digest: &str) -> bool {
        let has = self.blob(from, digest).is_ok();
        if has {
            self.repository(repository).blobs.insert(digest.to_owned());
        }
        has
    }

    pub fn begin(&mut self) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        self.uploads.insert(id.clone(), Vec::new());
        id
    }

    /// How much of an upload is there.
    pub fn uploaded(&self, id: &str) -> Result<usize, Refusal> {
        self.uploads
            .get(id)
            .map(Vec::len)
            .ok_or_else(|| Refusal::unknown("BLOB_UPLOAD_UNKNOWN", "the upload"))
    }

    /// A chunk begins where the one before it has ended: `from` is what its `Content-Range` says.
    pub fn append(&mut self, id: &str, from: Option<usize>, chunk: &[u8]) -> Result<usize, Refusal> {
        let there = self.uploaded(id)?;
        if from.is_some_and(|from| from != there) {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            let message = format!("the upload has {there} bytes, and the chunk begins elsewhere");
            return Err(Refusal::new(status, "BLOB_UPLOAD_INVALID", message));
        }
        if let Some(upload) = self.uploads.get_mut(id) {
            upload.extend_from_slice(chunk);
        }
        self.uploaded(id)
    }

    /// Ends an upload. What is not what the digest says is thrown away.
    pub fn commit(&mut self, repository: &str, id: &str, wanted: &str) -> Result<(), Refusal> {
        self.uploaded(id)?;
        let content = self.uploads.remove(id).unwrap_or_default();
        let found = digest(&content);
        if found != wanted {
            return Err(Refusal::bad("DIGEST_INVALID", format!("the content is {found} and not {wanted}")));
        }
        self.keep(repository, content.into());
        Ok(())
    }

    pub fn abandon(&mut self, id: &str) {
        self.uploads.remove(id);
    }

    fn keep(&mut self, repository: &str, content: Bytes) -> String {
        let name = digest(&content);
        self.blobs.insert(name.clone(), content);
        self.repository(repository).blobs.insert(name.clone());
        name
    }

    fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    pub fn manifest(&self, repository: &str, reference: &str) -> Option<&Manifest> {
        let kept = self.repositories.get(repository)?;
        let digest = kept.tags.get(reference).map_or(reference, String::as_str);
        kept.manifests.get(digest)
    }

    /// Takes a manifest whose parts are all in this repository.
    pub fn put(
        &mut self,
        repository: &str,
        reference: &str,
        media_type: &str,
        content: Bytes,
    ) -> Result<String, Refusal> {
        let needs = manifest::read(media_type, &content)?;
        for (blob, size) in &needs.blobs {
            let Ok(found) = self.blob(repository, blob) else {
                return Err(Refusal::bad("MANIFEST_BLOB_UNKNOWN", format!("{blob} was not uploaded")));
            };
            if found.len() as u64 != *size {
                return Err(Refusal::bad("SIZE_INVALID", format!("{blob} has another size")));
            }
        }
        for inner in &needs.manifests {
            if self.manifest(repository, inner).is_none() {
                return Err(Refusal::bad("MANIFEST_UNKNOWN", format!("{inner} was not pushed")));
            }
        }
        let name = digest(&content);
        let is_digest = reference.contains(':');
        if is_digest && reference != name {
            return Err(Refusal::bad("DIGEST_INVALID", format!("the content is {name} and not {reference}")));
        }
        let kept = self.repository(repository);
        let manifest = Manifest { digest: name.clone(), media_type: media_type.to_owned(), content };
        kept.manifests.insert(name.clone(), manifest);
        if !is_digest {
            kept.tags.insert(reference.to_owned(), name.clone());
        }
        Ok(name)
    }

    pub fn tags(&self, repository: &str) -> Option<Vec<String>> {
        Some(self.repositories.get(repository)?.tags.keys().cloned().collect())
    }

    pub fn seed(&mut self, repository: &str, tag: &str, architecture: &str, form: Form) -> String {
        let [manifest_type, config_type, layer_type] = form.types();
        // The end of a tar archive: two empty blocks.
        let layer = vec![0; 1024];
        let id = digest(&layer);
        let (os, architecture) = architecture.split_once('/').unwrap_or(("linux", architecture));
        let config = match form {
            Form::Chart => json!({"name": repository, "version": tag, "apiVersion": "v2"}),
            Form::Docker | Form::Oci => json!({
                "architecture": architecture, "os": os, "config": {"Labels": {"sim-registry.tag": tag}},
                "rootfs": {"type": "layers", "diff_ids": [id]},
            }),
        };
        let config = Bytes::from(config.to_string());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": part(config_type, &config),
            "layers": [part(layer_type, &layer)],
        });
        self.keep(repository, layer.into());
        self.keep(repository, config);
        self.put(repository, tag, manifest_type, manifest.to_string().into()).unwrap_or_default()
    }

    pub fn seed_index(&mut self, repository: &str, tag: &str, of: &[(&str, &str)]) -> String {
        let entries = of.iter().filter_map(|(architecture, digest)| {
            let found = self.manifest(repository, digest)?;
            let mut entry = part(&found.media_type, &found.content);
            entry["platform"] = json!({"architecture": architecture, "os": "linux"});
            Some(entry)
        });
        let entries: Vec<Value> = entries.collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": entries});
        self.put(repository, tag, INDEXES[0], index.to_string().into()).unwrap_or_default()
    }
}

fn part(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(content), "size": content.len()})
}
