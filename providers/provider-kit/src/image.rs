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
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_tag = tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'));
    if !is_tag {
        return refuse("its tag is none");
    }
    let path = registry(name).map_or(repository, |host| &repository[host.len() + 1..]);
    let is_part = |part: &str| {
        let ends = [part.bytes().next(), part.bytes().last()];
        let is_end =
            |byte: &Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let is_in = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        ends.iter().all(is_end) && part.bytes().all(is_in)
    };
    if !path.split('/').all(is_part) {
        return refuse("each part is of a-z, 0-9 and . _ - between them");
    }
    Ok((repository, tag))
}

/// A name as a tag where there is one repository for all: `team-app-2` of `team/app:2`.
pub fn flat(name: &str) -> Result<String> {
    tagged(name)?;
    let tag = name.replace(['/', ':'], "-");
    if tag.len() > LONGEST_TAG {
        let message = format!("{name:?} is too long: as a tag it has more than {LONGEST_TAG} characters");
        return Err(ProviderError::new(ErrorCode::BadRequest, message).with_action("Give it a shorter name."));
    }
    Ok(tag)
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
    fn a_name_that_an_image_can_get_has_a_tag_and_no_digest() {
        for (name, repository, tag, flat_name) in [
            ("app:2", "app", "2", "app-2"),
            ("team/my_app.x:v1.0-rc_1", "team/my_app.x", "v1.0-rc_1", "team-my_app.x-v1.0-rc_1"),
            ("127.0.0.1:5000/app:A", "127.0.0.1:5000/app", "A", "127.0.0.1-5000-app-A"),
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
