//! The parts of an image's archive by their names, and which of them is the image: by the list that `docker save` writes, or by the
//! indexes of an OCI layout.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde_json::Value;

use super::{Layer, Part, compressed, invalid, several};

/// What `docker save` writes, beside an OCI layout or without one.
pub(super) const LIST: &str = "manifest.json";
/// What every OCI layout has.
const INDEX: &str = "index.json";
/// What is there is called by its digest.
const BLOBS: &str = "blobs/sha256/";
/// Who writes a layout for an engine names its images there.
const NAME: &str = "io.containerd.image.name";
/// What is no layer is small.
const LARGEST: u64 = 8 << 20;
/// How compressed files begin, what compresses so, and what unpacks it.
const COMPRESSED: [(&[u8], &str, &str); 4] = [
    (&[0x1f, 0x8b], "gzip", "gunzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd", "unzstd"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
];
/// So many manifests and indexes are looked at.
const MOST: usize = 64;
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// What an archive says of its image.
pub(super) struct Described {
    pub config: Part,
    pub layers: Vec<Layer>,
    pub names: BTreeSet<String>,
}

/// The parts of a file by their names.
pub(super) struct Parts {
    pub file: File,
    parts: HashMap<String, Part>,
    links: HashMap<String, String>,
}

impl Parts {
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut begin = Vec::new();
        file.by_ref().take(8).read_to_end(&mut begin)?;
        if let Some((_, by, unpacks)) = COMPRESSED.iter().find(|(magic, _, _)| begin.starts_with(magic)) {
            return Err(compressed(by, unpacks));
        }
        file.rewind()?;
        let mut parts = Self { file: File::open(path)?, parts: HashMap::new(), links: HashMap::new() };
        parts.list(file).map_err(no_tar)?;
        Ok(parts)
    }

    fn list(&mut self, file: File) -> io::Result<()> {
        let mut archive = tar::Archive::new(file);
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
            match entry.link_name()? {
                // A layer that is there twice is a link to the first.
                Some(to) => self.links.insert(name.clone(), beside(&name, &to)).map(drop),
                None => {
                    let part = Part { at: entry.raw_file_position(), size: entry.size() };
                    self.parts.insert(name, part).map(drop)
                }
            };
        }
        Ok(())
    }

    pub fn has(&self, name: &str) -> bool {
        self.parts.contains_key(name)
    }

    fn find(&self, name: &str) -> io::Result<Part> {
        let target = self.links.get(name).map_or(name, String::as_str);
        self.parts.get(target).copied().ok_or_else(|| invalid(format!("it has no {name}")))
    }

    fn layer(&self, name: &str) -> io::Result<Layer> {
        let hash = name.strip_prefix(BLOBS).map(|hash| format!("sha256:{hash}"));
        Ok(Layer { part: self.find(name)?, name: name.to_owned(), digest: hash, diff_id: None })
    }

    pub fn small(&mut self, part: Part) -> io::Result<Vec<u8>> {
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
    pub fn saved(&mut self) -> io::Result<Described> {
        let list = self.json(LIST)?;
        let mut images: Vec<(Described, String)> = Vec::new();
        for image in list.as_array().into_iter().flatten() {
            let name = image["Config"].as_str().ok_or_else(|| invalid("its list names no configuration"))?;
            let config = self.find(name)?;
            let layers = image["Layers"].as_array().ok_or_else(|| invalid("its list names no layers"))?;
            let layers = layers.iter().map(|name| self.layer(name.as_str().unwrap_or_default()));
            let layers = layers.collect::<io::Result<_>>()?;
            let tags = image["RepoTags"].as_array().into_iter().flatten();
            let names: BTreeSet<String> = tags.filter_map(Value::as_str).map(str::to_owned).collect();
            match images.iter_mut().find(|(known, _)| known.config == config) {
                Some((known, _)) => known.names.extend(names),
                None => images.push((Described { config, layers, names }, String::new())),
            }
        }
        self.only(images)
    }

    /// By the index of an OCI layout, and of what that names.
    pub fn layout(&mut self) -> io::Result<Described> {
        if !self.has(INDEX) {
            return Err(invalid(format!("it has neither a {LIST} nor an {INDEX}")));
        }
        let mut wanted = entries(&self.json(INDEX)?);
        let mut names = BTreeSet::new();
        let mut images: Vec<(Described, String)> = Vec::new();
        let (mut seen, mut missing) = (BTreeSet::new(), None);
        while let Some(entry) = wanted.pop() {
            names.extend(entry["annotations"][NAME].as_str().map(str::to_owned));
            // Under two tags it is one image. No index leads to itself, but an archive can say anything.
            let path = blob(&entry)?;
            if !seen.insert(path.clone()) {
                continue;
            }
            if seen.len() > MOST {
                return Err(invalid("its indexes have no end"));
            }
            // An index may name what was left out for other processors.
            if !self.has(&path) && !self.links.contains_key(&path) {
                missing = missing.or(Some(path));
                continue;
            }
            let content = self.json(&path)?;
            if content["manifests"].is_array() {
                wanted.extend(entries(&content));
            } else if is_image(&content) {
                let layers =
                    content["layers"].as_array().ok_or_else(|| invalid("its manifest names no layers"))?;
                let layers = layers.iter().map(|layer| self.layer(&blob(layer)?));
                let layers = layers.collect::<io::Result<_>>()?;
                let config = self.find(&blob(&content["config"])?)?;
                images.push((
                    Described { config, layers, names: BTreeSet::new() },
                    platform(&entry["platform"]),
                ));
            }
        }
        match missing {
            Some(path) if images.is_empty() => Err(invalid(format!("it has no {path}"))),
            _ => Ok(Described { names, ..self.only(images)? }),
        }
    }

    /// The one image of those that were found, each with its platform where that is known.
    fn only(&mut self, mut images: Vec<(Described, String)>) -> io::Result<Described> {
        if images.len() > 1 {
            let mut platforms = BTreeSet::new();
            for (image, known) in &images {
                let config: Value = serde_json::from_slice(&self.small(image.config)?).map_err(invalid)?;
                let own = platform(&config);
                platforms.insert(if own.is_empty() { known.clone() } else { own });
            }
            let names = images.iter().flat_map(|(image, _)| image.names.iter().cloned()).collect();
            return Err(several(platforms, names));
        }
        images.pop().map(|(image, _)| image).ok_or_else(|| invalid("it holds no image"))
    }
}

/// What an index names, without attestations, lists of what is in an image, and signatures: they are of no processors. An image alone
/// may be so, too.
fn entries(index: &Value) -> Vec<Value> {
    let all = || index["manifests"].as_array().into_iter().flatten();
    let has_platform = |entry: &Value| entry["platform"]["architecture"].is_string();
    let is_index = |entry: &Value| entry["mediaType"].as_str().is_some_and(|kind| INDEXES.contains(&kind));
    let some_have = all().any(has_platform);
    let is_meant = |entry: &&Value| {
        entry["platform"]["architecture"] != "unknown"
            && !entry["artifactType"].is_string()
            && (!some_have || has_platform(entry) || is_index(entry))
    };
    all().filter(is_meant).cloned().collect()
}

/// Whether a manifest is of an image: what is attached to one, and what else registries keep, has a manifest as images have one.
pub fn is_image(manifest: &Value) -> bool {
    let config = manifest["config"]["mediaType"].as_str();
    !manifest["artifactType"].is_string() && config.is_none_or(|kind| CONFIGS.contains(&kind))
}

/// `linux/arm64`, of an entry's platform or of a configuration.
fn platform(of: &Value) -> String {
    let words = ["os", "architecture", "variant"].map(|key| of[key].as_str().filter(|word| !word.is_empty()));
    words.into_iter().flatten().collect::<Vec<_>>().join("/")
}

/// Where a layout has what a descriptor is of.
fn blob(descriptor: &Value) -> io::Result<String> {
    let digest = descriptor["digest"].as_str().and_then(|digest| digest.split_once(':'));
    let (algorithm, hash) = digest.ok_or_else(|| invalid("a part of it has no digest"))?;
    Ok(format!("blobs/{algorithm}/{hash}"))
}

/// What the reader says of a file that is none quotes it, and where it is.
fn no_tar(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            invalid("it is no tar archive, or a damaged one")
        }
        io::ErrorKind::UnexpectedEof => invalid("it is no tar archive, or not all of one"),
        kind => kind.into(),
    }
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
