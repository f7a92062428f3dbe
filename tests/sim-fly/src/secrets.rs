//! The values of secrets: one file for each application, readable by the owner only, and in no other
//! place. The journal and the API know names and digests.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};

#[derive(Debug)]
pub struct Secrets {
    folder: PathBuf,
}

impl Secrets {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Every secret of an application.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn of(&self, app: &str) -> io::Result<BTreeMap<String, String>> {
        match fs::read(self.file(app)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    /// Replaces all secrets of an application.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put(&self, app: &str, values: &BTreeMap<String, String>) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let new = self.file(app).with_extension("new");
        let mut file =
            fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(values)?)?;
        file.sync_data()?;
        fs::rename(new, self.file(app))
    }

    pub fn forget(&self, app: &str) {
        // Nothing was kept where no secret was ever set.
        let _ = fs::remove_file(self.file(app));
    }

    fn file(&self, app: &str) -> PathBuf {
        self.folder.join(format!("{app}.json"))
    }
}

/// What may be told of a value.
pub fn digest_of(value: &str) -> String {
    let hash = digest(&SHA256, value.as_bytes());
    hash.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
