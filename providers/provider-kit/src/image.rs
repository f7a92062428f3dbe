//! How references to images are read, and what architectures are called.

use contracts::ErrorCode;
use provider_api::{ProviderError, Result};

/// As registries limit it.
const LONGEST_TAG: usize = 128;

/// The registry that a reference names itself: `ghcr.io` of `ghcr.io/team/app:1`. `None` of `app:1` and of `team/app:1`, which may be
/// names that an image has on a host alone, and of an id.
pub fn registry(reference: &str) -> Option<&str> {
    let (first, rest) = reference.split_once('/')?;
    let is_host = first.contains(['.', ':']) || first == "localhost";
    (is_host && !rest.is_empty()).then_some(first)
}

/// A reference without the registry that it names.
pub fn without_registry(reference: &str) -> &str {
    registry(reference).map_or(reference, |host| &reference[host.len() + 1..])
}

/// Whether a registry is on the machine that names it: nobody else pulls from there. `podman` calls so what has none.
pub fn is_here(registry: &str) -> bool {
    let name = registry.split_once(':').map_or(registry, |(name, _)| name);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A reference without its tag and its digest.
pub fn repository(reference: &str) -> &str {
    let name = reference.split_once('@').map_or(reference, |(name, _)| name);
    match name.rsplit_once(':') {
        // The port of a registry is no tag.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// Repository and tag of a name that an image is to get: `team/app` and `2` of `team/app:2`. `bad_request` for what no registry and no
/// engine takes, for a digest, which nobody chooses, and without a tag: which one is usual is not the same everywhere.
pub fn tagged(name: &str) -> Result<(&str, &str)> {
    let refuse = |why: &str| {
        Err(ProviderError::new(ErrorCode::BadRequest, format!("{name:?} is no name for an image: {why}"))
            .with_action("Name it as NAME:TAG, such as `team/app:2`."))
    };
    if name.contains('@') {
        return refuse("a digest is not chosen");
    }
    let repository = repository(name);
    let Some(tag) = name[repository.len()..].strip_prefix(':') else { return refuse("it has no tag") };
    if !is_tag(tag) {
        return refuse("its tag is none");
    }
    match no_repository(repository) {
        Some(why) => refuse(why),
        None => Ok((repository, tag)),
    }
}

/// Passes for what registries and engines read as a reference to an image: a name, with a registry or a tag or a digest or without, or
/// an id. `bad_request` says what is wrong with another.
pub fn readable(reference: &str) -> Result<()> {
    let refuse = |why: &str| {
        let message = format!("{reference:?} is no reference to an image: {why}");
        Err(ProviderError::new(ErrorCode::BadRequest, message)
            .with_action("Name it as REGISTRY/NAME:TAG, such as `ghcr.io/team/app:2`."))
    };
    if reference.contains("://") {
        return refuse("it has no scheme, such as http://");
    }
    let (name, digest) = reference.split_once('@').unwrap_or((reference, ""));
    if name.len() != reference.len() && !is_digest(digest) {
        return refuse("its digest is none, such as sha256: and 64 digits");
    }
    let repository = repository(name);
    if name[repository.len()..].strip_prefix(':').is_some_and(|tag| !is_tag(tag)) {
        return refuse("its tag is none");
    }
    no_repository(repository).map_or(Ok(()), refuse)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hash)| {
        !algorithm.is_empty() && !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// What is wrong with a name without its tag.
fn no_repository(repository: &str) -> Option<&'static str> {
    let host = registry(repository);
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(host) = host {
        let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
        if name.is_empty() || !is_name || !port.is_none_or(is_port) {
            return Some("its registry is a host with or without a port, and no address in brackets");
        }
    }
    let path = host.map_or(repository, |host| &repository[host.len() + 1..]);
    let is_part = |part: &str| {
        let ends = [part.bytes().next(), part.bytes().last()];
        let is_end =
            |byte: &Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let is_in = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        ends.iter().all(is_end) && part.bytes().all(is_in)
    };
    let is_path = path.split('/').all(is_part);
    (!is_path).then_some("each part is of a-z, 0-9 and . _ - between them")
}

/// A name without a registry as a tag where there is one repository for all: `team-app-2` of `team/app:2`. No two names have the same: a
/// `-` of the name is `--`, and what separates its parts stands alone, since no part begins or ends with it.
pub fn flat(name: &str) -> Result<String> {
    tagged(name)?;
    let tag = name.replace('-', "--").replace(['/', ':'], "-");
    if tag.len() > LONGEST_TAG {
        let message = format!("{name:?} is too long: as a tag it has more than {LONGEST_TAG} characters");
        return Err(ProviderError::new(ErrorCode::BadRequest, message).with_action("Give it a shorter name."));
    }
    Ok(tag)
}

/// Registries keep charts, models and signatures as well: what is wrong with one that was taken for an image, and what to do.
pub const NO_IMAGE: (&str, &str) = (
    "what its registry has under this name is no image of containers",
    "Name an image: something else, such as a chart, has this name.",
);

/// What an image is for, in OCI's words: `amd64`, or `windows/amd64` where that is not Linux. `None` where it does not say.
pub fn made_for(system: Option<&str>, architecture: Option<&str>) -> Option<String> {
    let known = |name: &&str| !name.is_empty() && *name != "unknown";
    let architecture = architecture.filter(known)?;
    match system.filter(known) {
        Some(system) if system != "linux" => Some(format!("{system}/{architecture}")),
        _ => Some(architecture.to_owned()),
    }
}

/// As OCI calls what an operating system calls otherwise.
pub fn architecture(name: &str) -> &str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i686" => "386",
        "armv6l" | "armv7l" | "armhf" => "arm",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_for_another_system_is_for_none_of_the_processors_that_linux_has() {
        for (system, architecture, meant) in [
            (Some("linux"), Some("amd64"), Some("amd64")),
            (None, Some("arm64"), Some("arm64")),
            (Some("windows"), Some("amd64"), Some("windows/amd64")),
            (Some("unknown"), Some("unknown"), None),
            (Some(""), Some(""), None),
        ] {
            assert_eq!(made_for(system, architecture).as_deref(), meant);
        }
    }

    #[test]
    fn a_name_that_an_image_can_get_has_a_tag_and_no_digest() {
        for (name, repository, tag, flat_name) in [
            ("app:2", "app", "2", "app-2"),
            ("team/my_app.x:v1.0-rc_1", "team/my_app.x", "v1.0-rc_1", "team-my_app.x-v1.0--rc_1"),
            ("team-app:2", "team-app", "2", "team--app-2"),
            ("team:app-2", "team", "app-2", "team-app--2"),
            ("a--b/c:_-1", "a--b/c", "_-1", "a----b-c-_--1"),
        ] {
            assert_eq!((tagged(name).unwrap(), flat(name).unwrap().as_str()), ((repository, tag), flat_name));
        }
        let long = format!("app:{}", "x".repeat(129));
        let names = [
            "",
            "app",
            ":1",
            "App:1",
            "a//b:1",
            "a:",
            "a:.x",
            "a:x y",
            "-a:1",
            "a@sha256:1",
            "a b:1",
            "127.0.0.1:5000/app",
            &long,
        ];
        for name in names {
            let error = tagged(name).unwrap_err();
            assert!(error.code == ErrorCode::BadRequest && error.action.is_some(), "{name}: {error}");
        }
        assert!(flat(&format!("app:{}", "x".repeat(126))).is_err());
    }

    #[test]
    fn what_no_registry_reads_is_no_reference() {
        for reference in [
            "app",
            "fake:2",
            "sha256:1b18",
            "1b18",
            "127.0.0.1:7120/team/app",
            "ghcr.io/Team/app:1".to_lowercase().as_str(),
            "ghcr.io/team/app:V1@sha256:1b18",
        ] {
            readable(reference).unwrap();
        }
        for (reference, said) in [
            ("127.0.0.1:7120/Team/App:1", "a-z"),
            ("[::1]:7120/app:1", "brackets"),
            ("host:port/app:1", "brackets"),
            ("http://127.0.0.1:7120/app:1", "scheme"),
            ("app@sha256", "digest"),
            ("app@", "digest"),
            ("app:.x", "tag"),
            ("a//b", "a-z"),
            ("", "a-z"),
        ] {
            let error = readable(reference).unwrap_err();
            assert!(error.code == ErrorCode::BadRequest && error.message.contains(said), "{error}");
        }
        assert!(tagged("[::1]:7120/app:1").is_err(), "nor a name that an image can get");
    }

    #[test]
    fn a_registry_is_what_looks_like_a_host() {
        for (reference, host, name) in [
            ("ghcr.io/team/app:1", Some("ghcr.io"), "ghcr.io/team/app"),
            ("127.0.0.1:5000/app", Some("127.0.0.1:5000"), "127.0.0.1:5000/app"),
            ("localhost/app@sha256:1", Some("localhost"), "localhost/app"),
            ("docker.io/library/debian:12@sha256:1", Some("docker.io"), "docker.io/library/debian"),
            ("pilot-instance:0.1.0", None, "pilot-instance"),
            ("team/app:1", None, "team/app"),
            ("sha256:1b18", None, "sha256"),
        ] {
            assert_eq!((registry(reference), repository(reference)), (host, name), "{reference}");
        }
    }
}
