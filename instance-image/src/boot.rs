//! What the provider laid into the instance before it started, and the folders that must exist.

use std::io::ErrorKind;
use std::path::Path;

use backend::Verifier;
use contracts::identity::RuntimeIdentity;

use crate::config::Config;

const GATEWAY_KEY: &str = ".config/pilot/gateway-key";
const LABEL: &str = ".config/pilot/label";

/// A label longer than this is cut: it is shown to people in one line.
const LONGEST_LABEL: usize = 80;

/// Why the folders of the instance cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the folder {path} cannot be made: {source}")]
pub struct FolderError {
    path: String,
    source: std::io::Error,
}

/// The identity from the command line and the label file; the runtime id stands in for a label.
pub fn identity(config: &Config) -> RuntimeIdentity {
    let label = std::fs::read_to_string(config.home.join(LABEL)).unwrap_or_default();
    let label: String = label.trim().chars().filter(|c| !c.is_control()).take(LONGEST_LABEL).collect();
    RuntimeIdentity {
        runtime_label: if label.is_empty() { config.runtime_id.to_string() } else { label },
        runtime_id: config.runtime_id.clone(),
        platform: config.platform.into(),
    }
}

/// The check of the gateway's assertions. Without a key file every request will be refused, and the
/// log says so now.
pub fn verifier(config: &Config) -> Verifier {
    let path = config.home.join(GATEWAY_KEY);
    let (runtime, installation) = (&config.runtime_id, config.installation.as_ref());
    match std::fs::read_to_string(&path) {
        Ok(key) => Verifier::new(&key, runtime, installation),
        Err(error) => {
            let reason = match error.kind() {
                ErrorKind::NotFound => format!("there is no {}", path.display()),
                _ => format!("{} cannot be read: {error}", path.display()),
            };
            tracing::warn!("{reason}; every request will be refused");
            Verifier::without_key(&reason, runtime, installation)
        }
    }
}

/// Says in the log which programs the agent will miss. None of them stops the boot.
pub fn warn_of_missing_programs() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = |name: &str| !std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    if missing("rg") {
        tracing::warn!("ripgrep (rg) is not installed: OpenCode will download it at the first search");
    }
    if missing("git") {
        tracing::warn!("git is not installed: nothing can be cloned, and OpenCode keeps no snapshots");
    }
}

/// Makes the folder and those above it.
pub fn make_folder(path: &Path) -> Result<(), FolderError> {
    std::fs::create_dir_all(path).map_err(|source| FolderError { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn config(home: &Path) -> Config {
        Config::parse_from(["pilot-instance", "--runtime-id", "rt-1", "--home", home.to_str().unwrap()])
    }

    #[test]
    fn the_label_file_names_the_instance_and_the_runtime_id_stands_in_for_it() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(identity(&config(home.path())).runtime_label, "rt-1");
        std::fs::create_dir_all(home.path().join(".config/pilot")).unwrap();
        std::fs::write(home.path().join(LABEL), "demo\u{1b}[31m\n").unwrap();
        assert_eq!(identity(&config(home.path())).runtime_label, "demo[31m");
    }

    #[test]
    fn without_a_key_file_requests_are_refused_with_the_missing_path() {
        let home = tempfile::tempdir().unwrap();
        let refusal = verifier(&config(home.path())).verify(&axum::http::HeaderMap::new()).unwrap_err();
        assert!(refusal.to_string().contains(GATEWAY_KEY), "{refusal}");
    }
}
