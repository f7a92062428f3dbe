//! How references to images are read, and what architectures are called.

/// The registry that a reference names itself: `ghcr.io` of `ghcr.io/team/app:1`. `None` of `app:1` and of `team/app:1`, which may be
/// names that an image has on a host alone, and of an id.
pub fn registry(reference: &str) -> Option<&str> {
    let (first, rest) = reference.split_once('/')?;
    let is_host = first.contains(['.', ':']) || first == "localhost";
    (is_host && !rest.is_empty()).then_some(first)
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
