//! The data folder: who owns it, and the secrets that are made once and kept there.

mod lock;

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use contracts::{ErrorCode, InstallationId, Problem};

use crate::store::Mark;
pub(crate) use lock::{Locked, lock};

/// `$PILOT_DATA`, else `$XDG_DATA_HOME/pilot`, else `~/.local/share/pilot`.
pub fn default_data_folder() -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = var("PILOT_DATA") {
        return folder;
    }
    let share = var("XDG_DATA_HOME").or_else(|| var("HOME").map(|home| home.join(".local/share")));
    share.unwrap_or_else(|| PathBuf::from("/var/lib")).join("pilot")
}

/// The paths inside a data folder.
#[derive(Debug, Clone)]
pub struct Layout {
    pub root: PathBuf,
}

impl Layout {
    pub fn database(&self) -> PathBuf {
        self.root.join("pilot.db")
    }

    pub fn pulumi(&self) -> PathBuf {
        self.root.join("pulumi")
    }

    /// States that an import has replaced.
    pub fn replaced(&self) -> PathBuf {
        self.pulumi().join("replaced")
    }

    /// Pulumi's states, where no database has them.
    pub fn state(&self) -> PathBuf {
        self.pulumi().join("state")
    }

    pub fn secret(&self, name: &str) -> PathBuf {
        self.root.join("secrets").join(name)
    }

    /// A secret that a server of this folder has made; `None` where none has begun yet.
    pub fn read_secret(&self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.secret(name)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// What tells the secrets that the store depends on from those of another installation, without giving them away.
    pub fn secrets_digest(&self) -> String {
        secrets_digest(IRREPLACEABLE.map(|name| self.read_secret(name)))
    }

    /// The root of the `local` provider.
    pub fn local(&self) -> PathBuf {
        self.root.join("local")
    }

    /// Archives of images that are being pushed; nothing in it outlives the server.
    pub fn spool(&self) -> PathBuf {
        self.root.join("spool")
    }

    /// The operator's OpenCode configuration for every instance; may be absent.
    pub fn opencode_config(&self) -> PathBuf {
        self.root.join("opencode.json")
    }
}

/// An opened data folder. Holds the folder's lock until it is dropped.
pub struct DataFolder {
    layout: Layout,
    installation: InstallationId,
    admin_token: String,
    gateway_token: String,
    session_key: [u8; 32],
    assertion_key_pem: String,
    _lock: Locked,
}

impl DataFolder {
    /// Takes the folder for this process; makes it and its secrets at the first start.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, Problem> {
        let layout = Layout { root: root.into() };
        let unusable = |error: std::io::Error| unusable(&layout.root, &error);
        for folder in [layout.root.clone(), layout.root.join("secrets"), layout.pulumi()] {
            std::fs::create_dir_all(&folder).map_err(unusable)?;
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).map_err(unusable)?;
        }
        let lock = lock(&layout.root)?;
        must_be_restored(&layout)?;
        if layout.database().exists() {
            irreplaceable(&layout, &layout.database().display().to_string())?;
        }
        let installation = secret(&layout, "installation", || Ok(InstallationId::random().to_string()))?;
        let session_key = secret(&layout, "session-key", || Ok(URL_SAFE_NO_PAD.encode(random_bytes())))?;
        let assertion_key_pem = secret(&layout, "assertion-key.pem", new_assertion_key)?;
        publish_assertion_key(&layout, &assertion_key_pem)?;
        secret(&layout, "control-key", || Ok(URL_SAFE_NO_PAD.encode(random_bytes())))?;
        secret(&layout, "pulumi-passphrase", || Ok(URL_SAFE_NO_PAD.encode(random_bytes())))?;
        Ok(Self {
            installation: installation.parse().map_err(|_| damaged(&layout, "installation"))?,
            admin_token: secret(&layout, "admin-token", || Ok(token("pilot_admin")))?,
            gateway_token: secret(&layout, "gateway-token", || Ok(token("pilot_gateway")))?,
            session_key: URL_SAFE_NO_PAD
                .decode(&session_key)
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or_else(|| damaged(&layout, "session-key"))?,
            assertion_key_pem,
            layout,
            _lock: lock,
        })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub fn secrets_digest(&self) -> String {
        self.layout.secrets_digest()
    }

    pub fn installation(&self) -> &InstallationId {
        &self.installation
    }

    /// For people and the CLI: may do everything.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// For the gateway: may resolve routes and nothing else.
    pub fn gateway_token(&self) -> &str {
        &self.gateway_token
    }

    pub fn session_key(&self) -> [u8; 32] {
        self.session_key
    }

    pub fn assertion_key_pem(&self) -> &str {
        &self.assertion_key_pem
    }
}

/// See [`Layout::secrets_digest`]; `secrets` in the order of [`IRREPLACEABLE`].
pub(crate) fn secrets_digest(secrets: [Option<String>; 2]) -> String {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for secret in secrets {
        digest.update(secret.unwrap_or_default().as_bytes());
        digest.update(b"\0");
    }
    URL_SAFE_NO_PAD.encode(digest.finish())
}

/// The name of a file that is there while a backup is being restored; in it, which.
pub(crate) const RESTORING: &str = "restoring";

/// An error where a restore was not ended.
pub(crate) fn must_be_restored(layout: &Layout) -> Result<(), Problem> {
    match std::fs::read_to_string(layout.root.join(RESTORING)) {
        Ok(file) => Err(Mark::Filling.problem(&format!("restore of {file}"))),
        Err(_) => Ok(()),
    }
}

/// What everything outside is marked with, and what the stacks' states are encrypted with.
const IRREPLACEABLE: [&str; 2] = ["installation", "pulumi-passphrase"];

/// Beside a database, these are there or the server does not start: new ones would make everything foreign.
pub(crate) fn irreplaceable(layout: &Layout, database: &str) -> Result<(), Problem> {
    for name in IRREPLACEABLE {
        if layout.read_secret(name).is_none() {
            let path = layout.secret(name);
            let detail = format!("{} is missing or empty, and {database} is there.", path.display());
            return Err(Problem::new(ErrorCode::SecretsMissing, detail).with_action(RESTORE));
        }
    }
    Ok(())
}

/// The database was made with other secrets.
pub(crate) fn other_secrets(layout: &Layout, is_shared: bool) -> Problem {
    let [installation, passphrase] = IRREPLACEABLE.map(|name| layout.secret(name).display().to_string());
    let (database, action) = match is_shared {
        true => ("The shared database".to_owned(), SHARE),
        false => (layout.database().display().to_string(), RESTORE),
    };
    let detail = format!("{database} was made with another {installation} or {passphrase}.");
    Problem::new(ErrorCode::SecretsMissing, detail).with_action(action)
}

const SHARE: &str = "Copy the folder `secrets` of an orchestrator of this installation into this data folder, then start \
                     the server again.";

const RESTORE: &str =
    "Restore the folder `secrets` from a backup of this data folder, then start the server again.";

/// Reads the secret, or makes it: written whole and synced before it has its name.
fn secret(
    layout: &Layout,
    name: &str,
    make: impl FnOnce() -> Result<String, Problem>,
) -> Result<String, Problem> {
    let path = layout.secret(name);
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(&path, &error)),
    }
    let text = make()?;
    write_private(&path, text.as_bytes()).map_err(|error| unusable(&path, &error))?;
    Ok(text)
}

pub(crate) fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

fn random_bytes() -> [u8; 32] {
    rand::random()
}

fn token(prefix: &str) -> String {
    format!("{prefix}_{}", URL_SAFE_NO_PAD.encode(random_bytes()))
}

/// An Ed25519 key as PKCS#8 PEM.
fn new_assertion_key() -> Result<String, Problem> {
    use aws_lc_rs::signature::Ed25519KeyPair;
    let document = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1());
    let document =
        document.map_err(|_| Problem::new(ErrorCode::Internal, "No Ed25519 key could be made."))?;
    let body = STANDARD.encode(document.as_ref());
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----"))
}

/// Writes the public half where instances' boot files are made from.
fn publish_assertion_key(layout: &Layout, pem: &str) -> Result<(), Problem> {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = STANDARD.decode(body).ok().and_then(|der| Ed25519KeyPair::from_pkcs8(&der).ok());
    let key = key.ok_or_else(|| damaged(layout, "assertion-key.pem"))?;
    let public = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    let path = layout.secret("assertion-public-key");
    if std::fs::read_to_string(&path).ok().as_deref() == Some(&public) {
        return Ok(());
    }
    write_private(&path, public.as_bytes()).map_err(|error| unusable(&path, &error))
}

fn damaged(layout: &Layout, name: &str) -> Problem {
    let detail = format!("The secret {} is damaged.", layout.secret(name).display());
    Problem::new(ErrorCode::DataFolderUnusable, detail).with_action("Restore the data folder from a backup.")
}

pub(crate) fn unusable(path: &Path, error: &std::io::Error) -> Problem {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return full(&format!("There is no space left for {}.", path.display()), DISK);
    }
    let detail = format!("The data folder cannot be used: {}: {error}.", path.display());
    Problem::new(ErrorCode::DataFolderUnusable, detail)
        .with_action("Choose a folder of your own with --data or PILOT_DATA, and check its permissions.")
}

/// Which disk mostly is full.
pub(crate) const DISK: &str = "the disk of the data folder";

/// The one problem for "no space left", wherever it is met: in words what there is none for, and on which disk.
pub(crate) fn full(detail: &str, disk: &str) -> Problem {
    Problem::new(ErrorCode::StoreFull, detail)
        .with_action(format!("Free space on {disk}; nothing that was accepted is lost."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let (first, installation) = {
            let data = DataFolder::open(folder.path()).unwrap();
            (data.admin_token().to_owned(), data.installation().clone())
        };
        let data = DataFolder::open(folder.path()).unwrap();
        assert_eq!((data.admin_token(), data.installation()), (first.as_str(), &installation));
        for entry in std::fs::read_dir(folder.path().join("secrets")).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
    }

    #[test]
    fn beside_a_database_no_secret_that_it_depends_on_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let layout = DataFolder::open(folder.path()).unwrap().layout().clone();
        std::fs::write(layout.database(), "x").unwrap();
        for name in IRREPLACEABLE {
            let kept = std::fs::read(layout.secret(name)).unwrap();
            std::fs::write(layout.secret(name), "\n").unwrap();
            let problem = DataFolder::open(folder.path()).err().unwrap();
            assert_eq!(problem.code, ErrorCode::SecretsMissing);
            assert!(problem.detail.contains(name), "{problem}");
            assert_eq!(std::fs::read_to_string(layout.secret(name)).unwrap(), "\n");
            std::fs::write(layout.secret(name), kept).unwrap();
        }
        std::fs::remove_file(layout.secret("session-key")).unwrap();
        assert!(DataFolder::open(folder.path()).is_ok(), "sessions end, and that is all");
    }

    #[test]
    fn secrets_are_told_apart_without_being_told() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        let digest = |text: &str| {
            std::fs::write(data.layout().secret("pulumi-passphrase"), text).unwrap();
            data.secrets_digest()
        };
        assert_eq!(digest("one"), digest("one\n"));
        assert_ne!(digest("one"), digest("two"));
    }

    #[test]
    fn a_second_owner_is_refused_while_the_first_lives() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataFolder::open(folder.path()).unwrap();
        let problem = DataFolder::open(folder.path()).err().unwrap();
        assert_eq!(problem.code, ErrorCode::AlreadyRunning);
        assert!(problem.detail.contains(&std::process::id().to_string()), "{problem}");
        // Whoever puts the file away does not let a second one in.
        std::fs::remove_file(folder.path().join("lock")).unwrap();
        assert_eq!(DataFolder::open(folder.path()).err().unwrap().code, ErrorCode::AlreadyRunning);
        drop(first);
        assert!(DataFolder::open(folder.path()).is_ok());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_a_clear_error() {
        let problem = DataFolder::open("/proc/pilot").err().unwrap();
        assert_eq!(problem.code, ErrorCode::DataFolderUnusable);
    }
}
