//! An image in a file: as `docker save` writes it, or an OCI layout as tar. What is in it, and where.
//!
//! The file is read in place, by where each part begins; nothing is unpacked. What is described there is small, and is not taken for
//! more than it can be.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use contracts::ErrorCode;
use provider_api::{ProviderError, Result};
use serde_json::Value;

/// What `docker save` writes, beside an OCI layout or without one.
const LIST: &str = "manifest.json";
/// What every OCI layout has.
const INDEX: &str = "index.json";
/// Who writes a layout for an engine names its images there.
const NAME: &str = "io.containerd.image.name";
/// What is no layer is small.
const LARGEST: u64 = 8 << 20;
/// So many manifests and indexes are looked at.
const MOST: u32 = 64;

/// Where a part is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    at: u64,
    /// In bytes.
    pub size: u64,
}

/// The one image of a file.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    /// The lowest first.
    pub layers: Vec<Part>,
    /// As it is in the file.
    pub config: Vec<u8>,
    /// In OCI's words, where the image says.
    pub architecture: Option<String>,
    /// The names that an engine gives it which loads the file.
    pub names: BTreeSet<String>,
    /// Of the whole file.
    pub size: u64,
    /// It has what `docker save` writes, which every engine loads; else it is an OCI layout alone.
    pub is_saved: bool,
}

/// What an archive says of its image.
struct Described {
    config: Part,
    layers: Vec<Part>,
    names: BTreeSet<String>,
}

/// The parts of a file by their names.
struct Parts {
    file: File,
    parts: HashMap<String, Part>,
    links: HashMap<String, String>,
}

impl Archive {
    /// Reads what is described in it; `bad_request` where it is no such file.
    pub async fn open(path: PathBuf) -> Result<Self> {
        apart(move || Self::read(&path).map_err(|error| unusable(&path, &error))).await
    }

    fn read(path: &Path) -> io::Result<Self> {
        let mut parts = Parts::of(path)?;
        let is_saved = parts.has(LIST);
        let described = if is_saved { parts.saved()? } else { parts.layout()? };
        let config = parts.small(described.config)?;
        let image: Value = serde_json::from_slice(&config).map_err(invalid)?;
        let architecture = image["architecture"].as_str().filter(|name| !name.is_empty());
        Ok(Self {
            path: path.to_owned(),
            layers: described.layers,
            architecture: architecture.map(str::to_owned),
            names: described.names,
            size: parts.file.metadata()?.len(),
            config,
            is_saved,
        })
    }

    /// The file that it is in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of a layer, from its beginning.
    pub fn content(&self, layer: Part) -> io::Result<impl Read + use<>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(layer.at))?;
        Ok(file.take(layer.size))
    }
}

impl Parts {
    fn of(path: &Path) -> io::Result<Self> {
        let (mut parts, mut links) = (HashMap::new(), HashMap::new());
        let mut archive = tar::Archive::new(File::open(path)?);
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
            match entry.link_name()? {
                // A layer that is there twice is a link to the first.
                Some(to) => links.insert(name.clone(), beside(&name, &to)).map(drop),
                None => {
                    let part = Part { at: entry.raw_file_position(), size: entry.size() };
                    parts.insert(name, part).map(drop)
                }
            };
        }
        Ok(Self { file: File::open(path)?, parts, links })
    }

    fn has(&self, name: &str) -> bool {
        self.parts.contains_key(name)
    }

    fn find(&self, name: &str) -> io::Result<Part> {
        let target = self.links.get(name).map_or(name, String::as_str);
        self.parts.get(target).copied().ok_or_else(|| invalid(format!("it has no {name}")))
    }

    fn small(&mut self, part: Part) -> io::Result<Vec<u8>> {
        if part.size > LARGEST {
            return Err(invalid("a description in it is larger than any is"));
        }
        self.file.seek(SeekFrom::Start(part.at))?;
        let mut content = Vec::new();
        (&self.file).take(part.size).read_to_end(&mut content)?;
        Ok(content)
    }

    fn json(&mut self, name: &str) -> io::Result<Value> {
        let part = self.find(name)?;
        serde_json::from_slice(&self.small(part)?).map_err(invalid)
    }

    /// By the list that `docker save` writes.
    fn saved(&mut self) -> io::Result<Described> {
        let list = self.json(LIST)?;
        let [image] = list.as_array().map(Vec::as_slice).unwrap_or_default() else {
            return Err(not_one());
        };
        let config = image["Config"].as_str().ok_or_else(|| invalid("its list names no configuration"))?;
        let names = image["Layers"].as_array().ok_or_else(|| invalid("its list names no layers"))?;
        let layers = names.iter().map(|name| self.find(name.as_str().unwrap_or_default()));
        let tags = image["RepoTags"].as_array().into_iter().flatten();
        Ok(Described {
            config: self.find(config)?,
            layers: layers.collect::<io::Result<_>>()?,
            names: tags.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    /// By the index of an OCI layout, and of what that names.
    fn layout(&mut self) -> io::Result<Described> {
        if !self.has(INDEX) {
            return Err(invalid(format!("it has neither a {LIST} nor an {INDEX}")));
        }
        let mut wanted = entries(&self.json(INDEX)?);
        let mut names = BTreeSet::new();
        let mut images: Vec<Value> = Vec::new();
        let mut looked = 0;
        while let Some(entry) = wanted.pop() {
            // No index leads to itself, but an archive can say anything.
            looked += 1;
            if looked > MOST {
                return Err(not_one());
            }
            names.extend(entry["annotations"][NAME].as_str().map(str::to_owned));
            let content = self.json(&blob(&entry)?)?;
            match content["manifests"].is_array() {
                true => wanted.extend(entries(&content)),
                false => images.push(content),
            }
        }
        let [image] = images.as_slice() else { return Err(not_one()) };
        let layers = image["layers"].as_array().ok_or_else(|| invalid("its manifest names no layers"))?;
        let layers = layers.iter().map(|layer| self.find(&blob(layer)?));
        Ok(Described {
            config: self.find(&blob(&image["config"])?)?,
            layers: layers.collect::<io::Result<_>>()?,
            names,
        })
    }
}

/// What an index names, without attestations, which are of no architecture.
fn entries(index: &Value) -> Vec<Value> {
    let all = index["manifests"].as_array().into_iter().flatten();
    all.filter(|entry| entry["platform"]["architecture"] != "unknown").cloned().collect()
}

/// Where a layout has what a descriptor is of.
fn blob(descriptor: &Value) -> io::Result<String> {
    let digest = descriptor["digest"].as_str().and_then(|digest| digest.split_once(':'));
    let (algorithm, hash) = digest.ok_or_else(|| invalid("a part of it has no digest"))?;
    Ok(format!("blobs/{algorithm}/{hash}"))
}

/// Where a link in an archive leads, by its own name: `a/layer.tar` to `../b/layer.tar` is `b/layer.tar`.
fn beside(name: &str, to: &Path) -> String {
    let mut words: Vec<&str> = name.split('/').collect();
    words.pop();
    let to = to.to_string_lossy();
    for word in to.split('/') {
        match word {
            ".." => drop(words.pop()),
            "." | "" => {}
            word => words.push(word),
        }
    }
    words.join("/")
}

fn not_one() -> io::Error {
    invalid("it holds not one image but several or none")
}

fn invalid(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}

/// What an error with an archive, or with what is made of it, means to who has given it.
pub fn unusable(path: &Path, error: &io::Error) -> ProviderError {
    let code = match error.kind() {
        io::ErrorKind::StorageFull => ErrorCode::StoreFull,
        // What `tar` says of a file that is no archive is of the kind `Other`.
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Other => {
            ErrorCode::BadRequest
        }
        _ => ErrorCode::Internal,
    };
    ProviderError::new(code, format!("the image's archive {} cannot be used: {error}", path.display()))
        .with_action("`docker save -o FILE IMAGE` writes one.")
}

/// Reading and compressing are no work for a thread that others wait for.
pub async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(ProviderError::new(ErrorCode::Internal, error.to_string())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn archive(folder: &Path, files: &[(&str, Vec<u8>)]) -> PathBuf {
        let path = folder.join("image.tar");
        let mut tar = tar::Builder::new(File::create(&path).unwrap());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, content.as_slice()).unwrap();
        }
        tar.into_inner().unwrap();
        path
    }

    fn bytes(value: &Value) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    /// A layout whose index leads to an index, with an attestation, as BuildKit writes it.
    fn layout(images: &[&str]) -> Vec<(&'static str, Vec<u8>)> {
        let images: Vec<_> = images
            .iter()
            .map(|architecture| json!({"digest": "sha256:image", "platform": {"architecture": architecture}}))
            .collect();
        let name = json!({"io.containerd.image.name": "docker.io/team/app:2"});
        vec![
            ("oci-layout", bytes(&json!({"imageLayoutVersion": "1.0.0"}))),
            ("index.json", bytes(&json!({"manifests": [{"digest": "sha256:inner", "annotations": name}]}))),
            ("blobs/sha256/inner", bytes(&json!({"manifests": images}))),
            (
                "blobs/sha256/image",
                bytes(
                    &json!({"config": {"digest": "sha256:config"}, "layers": [{"digest": "sha256:layer"}]}),
                ),
            ),
            ("blobs/sha256/config", bytes(&json!({"architecture": "arm64"}))),
            ("blobs/sha256/layer", vec![7; 1500]),
        ]
    }

    #[tokio::test]
    async fn an_oci_layout_is_read_through_its_indexes_and_without_attestations() {
        let folder = tempfile::tempdir().unwrap();
        let found = Archive::open(archive(folder.path(), &layout(&["arm64", "unknown"]))).await.unwrap();
        assert_eq!(found.architecture.as_deref(), Some("arm64"));
        assert_eq!(found.names, BTreeSet::from(["docker.io/team/app:2".to_owned()]));
        let mut content = Vec::new();
        found.content(found.layers[0]).unwrap().read_to_end(&mut content).unwrap();
        assert_eq!(content, [7; 1500]);

        let several = archive(folder.path(), &layout(&["arm64", "amd64"]));
        let error = Archive::open(several).await.unwrap_err();
        assert!(error.code == ErrorCode::BadRequest && error.message.contains("several"), "{error}");
    }

    #[tokio::test]
    async fn the_names_that_a_load_would_give_are_known_before() {
        let folder = tempfile::tempdir().unwrap();
        let list = json!([{"Config": "c.json", "Layers": [], "RepoTags": ["a:1", "b:2"]}]);
        let files = [("manifest.json", bytes(&list)), ("c.json", bytes(&json!({"architecture": "amd64"})))];
        let found = Archive::open(archive(folder.path(), &files)).await.unwrap();
        assert_eq!(found.names.iter().map(String::as_str).collect::<Vec<_>>(), ["a:1", "b:2"]);
    }

    #[tokio::test]
    async fn what_is_no_archive_of_an_image_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let error = Archive::open(archive(folder.path(), &[("x", vec![1])])).await.unwrap_err();
        assert!(error.code == ErrorCode::BadRequest && error.message.contains("manifest.json"), "{error}");
        let index = json!({"manifests": [{"digest": "sha256:own"}]});
        let endless = [("index.json", bytes(&index)), ("blobs/sha256/own", bytes(&index))];
        let error = Archive::open(archive(folder.path(), &endless)).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::BadRequest, "{error}");
    }
}
