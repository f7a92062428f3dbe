//! Logins from a file of the form that `docker login` writes, or `podman login`.
//!
//! An entry is for a registry, or for what is below a path of it, as `podman` has them; the longest that fits counts.
//! Only what is written there is used: programs that keep logins elsewhere (`credHelpers`, `credsStore`) are not started, and where
//! one of them has the login that is needed, that is said.

use std::path::PathBuf;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::ErrorCode;
use provider_api::{Login, ProviderError, RegistryLogins, Result};
use serde_json::Value;

/// The variable that names the file.
pub const VARIABLE: &str = "PILOT_REGISTRY_AUTH_FILE";

/// What Docker calls its own registry in its file.
const HUB: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "docker.io"];

/// Paths of registries' API, which are no names of images.
const API: [&str; 2] = ["v1", "v2"];

/// A file that is read each time, since `docker login` and operators change it.
pub struct DockerLogins {
    path: PathBuf,
}

impl DockerLogins {
    /// The file may come later.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn unusable(&self, why: impl std::fmt::Display) -> ProviderError {
        let message = format!("the logins in {} cannot be used: {why}", self.path.display());
        ProviderError::new(ErrorCode::ProviderNotConfigured, message).with_action(format!(
            "Correct the file that {VARIABLE} names. `docker --config FOLDER login REGISTRY` writes one, as FOLDER/config.json."
        ))
    }
}

#[async_trait]
impl RegistryLogins for DockerLogins {
    async fn login(&self, repository: &str) -> Result<Option<Login>> {
        let text = tokio::fs::read_to_string(&self.path).await.map_err(|error| self.unusable(error))?;
        // The error of a parser may quote what it reads.
        let file: Value = serde_json::from_str(&text).map_err(|_| self.unusable("it is no JSON"))?;
        find(&file, repository).map_err(|why| self.unusable(why))
    }
}

fn find(file: &Value, repository: &str) -> std::result::Result<Option<Login>, String> {
    let registry = repository.split('/').next().unwrap_or_default();
    let of = |section: &str| {
        let entries = file[section].as_object().into_iter().flatten();
        let fitting = entries.filter_map(|(name, value)| Some((fits(name, repository)?, value)));
        fitting.max_by_key(|(length, _)| *length)
    };
    let (helper, entry) = (of("credHelpers"), of("auths"));
    if let Some((length, helper)) = helper
        && let Some(helper) = helper.as_str()
        && entry.is_none_or(|(of_entry, _)| of_entry <= length)
    {
        return Err(kept_by(helper, registry));
    }
    let Some((_, entry)) = entry else { return Ok(None) };
    let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Login::IdentityToken(token.to_owned())));
    }
    if let Some(encoded) = text("auth") {
        let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (username, password) =
            pair.ok_or_else(|| format!("the login for {registry} is not a name and a password in base64"))?;
        return Ok(Some(Login::Password { username: username.to_owned(), password: password.to_owned() }));
    }
    if let (Some(username), Some(password)) = (text("username"), text("password")) {
        return Ok(Some(Login::Password { username: username.to_owned(), password: password.to_owned() }));
    }
    // `docker login` leaves an empty entry where a program keeps the login.
    match file["credsStore"].as_str() {
        Some(store) => Err(kept_by(store, registry)),
        None => Err(format!("the login for {registry} is empty")),
    }
}

fn kept_by(helper: &str, registry: &str) -> String {
    format!(
        "docker-credential-{helper} keeps the login for {registry}, and Pilot starts no such programs; \
         write the login itself into the file"
    )
}

/// How much of the repository an entry is for; `None` where it is for another. Entries are hosts, with a path or without, or addresses
/// with a scheme, whose path is that of the registry's API.
fn fits(entry: &str, repository: &str) -> Option<usize> {
    let without = entry.strip_prefix("https://").or_else(|| entry.strip_prefix("http://"));
    let (host, path) = parts(without.unwrap_or(entry));
    let path = if without.is_some() || API.contains(&path) { "" } else { path };
    let (registry, name) = parts(repository);
    let is_below = || name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    (host == registry && (path.is_empty() || is_below())).then_some(path.len())
}

/// Host and path; Docker's own registry has one host here.
fn parts(name: &str) -> (&str, &str) {
    let (host, path) = name.split_once('/').unwrap_or((name, ""));
    (if HUB.contains(&host) { HUB[0] } else { host }, path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn password(username: &str, password: &str) -> Login {
        Login::Password { username: username.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn a_login_is_found_by_the_host_of_its_entry() {
        let auth = STANDARD.encode("ada:pass:word");
        let file = json!({"auths": {
            "https://ghcr.io/v2/": {"auth": auth}, "127.0.0.1:5000": {"username": "b", "password": "p"},
            "https://index.docker.io/v1/": {"auth": auth}, "azurecr.io": {"identitytoken": "t", "auth": auth},
        }});
        let found = |registry| find(&file, registry).unwrap();
        assert_eq!(found("ghcr.io"), Some(password("ada", "pass:word")), "a password may have colons");
        assert_eq!(found("127.0.0.1:5000"), Some(password("b", "p")));
        assert_eq!(found("docker.io"), Some(password("ada", "pass:word")));
        assert_eq!(found("azurecr.io"), Some(Login::IdentityToken("t".to_owned())));
        assert_eq!((found("127.0.0.1:5001"), found("io")), (None, None));
    }

    #[test]
    fn of_several_entries_that_fit_the_longest_counts() {
        let login = |name: &str| json!({"username": name, "password": "p"});
        let file = json!({
            "auths": {
                "ghcr.io": login("all"), "ghcr.io/team": login("team"), "ghcr.io/team/app": login("app"),
                "quay.io/team": login("quay"), "docker.io/team": login("hub"), "index.docker.io/v1/": login("docker"),
            },
            "credHelpers": {"quay.io": "keeper", "ghcr.io/helped": "keeper"},
        });
        for (repository, name) in [
            ("ghcr.io/other", "all"),
            ("ghcr.io/teams/app", "all"),
            ("ghcr.io/team/other", "team"),
            ("ghcr.io/team/app", "app"),
            ("ghcr.io/team/app/part", "app"),
            ("quay.io/team/app", "quay"),
            ("docker.io/team/app", "hub"),
            ("docker.io/library/app", "docker"),
        ] {
            assert_eq!(find(&file, repository).unwrap(), Some(password(name, "p")), "{repository}");
        }
        for repository in ["quay.io/other", "ghcr.io/helped/app"] {
            assert!(
                find(&file, repository).unwrap_err().contains("docker-credential-keeper"),
                "{repository}"
            );
        }
    }

    #[test]
    fn a_program_that_keeps_the_login_is_named() {
        let helped =
            json!({"credHelpers": {"gcr.io": "gcloud"}, "credsStore": "desktop", "auths": {"ghcr.io": {}}});
        let refused = |registry| find(&helped, registry).unwrap_err();
        assert!(refused("gcr.io").contains("docker-credential-gcloud"));
        assert!(refused("ghcr.io").contains("docker-credential-desktop"));
        assert_eq!(find(&helped, "quay.io"), Ok(None), "nobody has logged in there");
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_file_is_said_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let logins = DockerLogins::new(&path);
        let missing = logins.login("ghcr.io").await.unwrap_err();
        assert_eq!(missing.code, ErrorCode::ProviderNotConfigured);
        assert!(missing.message.contains("config.json") && missing.action.unwrap().contains(VARIABLE));
        let secret = "canary-5d1";
        for content in [
            format!("{{\"auths\": {secret}"),
            json!({"auths": {"ghcr.io": {"auth": secret}}}).to_string(),
            json!({"auths": {"ghcr.io": {"auth": STANDARD.encode(secret)}}}).to_string(),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = logins.login("ghcr.io").await.unwrap_err();
            assert!(!format!("{error:?}").contains(secret), "{error:?}");
        }
        std::fs::write(
            &path,
            json!({"auths": {"ghcr.io": {"username": "a", "password": secret}}}).to_string(),
        )
        .unwrap();
        let login = logins.login("ghcr.io").await.unwrap().unwrap();
        assert!(!format!("{login:?}").contains(secret));
    }
}
