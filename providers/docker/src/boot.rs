//! Boot files as an archive that Docker unpacks into the container before it starts.

use std::collections::BTreeSet;
use std::path::Path;

use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bytes::Bytes;
use contracts::ErrorCode;
use contracts::boot::{HOME, USER};
use provider_api::{BootFile, ProviderError, Result};
use tar::{EntryType, Header};

use crate::engine::Engine;

/// Puts the files into the home of a container, whether it runs or not.
pub(crate) async fn deliver(engine: &Engine, container: &str, boot: &[BootFile]) -> Result<()> {
    if boot.is_empty() {
        return Ok(());
    }
    let docker = engine.docker().await?;
    let options = UploadToContainerOptionsBuilder::default().path(HOME).build();
    let archive = archive(boot)?;
    // As a stream, because the client writes other bodies into its trace log and these hold secrets.
    let body = bollard::body_try_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(archive)]));
    let upload = docker.upload_to_container(container, Some(options), body);
    Ok(engine.ask("deliver the boot files", upload).await?)
}

/// The folders on the way are in the archive too: Docker would make missing ones for root.
fn archive(boot: &[BootFile]) -> Result<Bytes> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut folders = BTreeSet::new();
    for file in boot {
        let path = Path::new(&file.path);
        folders.extend(path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()));
    }
    let mut add = |path: &Path, kind: EntryType, mode: u32, content: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(USER.into());
        header.set_gid(USER.into());
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content)
    };
    let mut write = || -> std::io::Result<()> {
        for folder in &folders {
            add(folder, EntryType::Directory, 0o700, &[])?;
        }
        boot.iter().try_for_each(|file| add(Path::new(&file.path), EntryType::Regular, 0o600, &file.content))
    };
    let unusable = |error: std::io::Error| {
        ProviderError::new(ErrorCode::Internal, format!("cannot build the archive of boot files: {error}"))
    };
    write().map_err(unusable)?;
    Ok(builder.into_inner().map_err(unusable)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> BootFile {
        BootFile { path: path.to_owned(), content: b"secret".to_vec() }
    }

    #[test]
    fn files_and_the_folders_on_the_way_belong_to_the_instance_user_alone() {
        let bytes = archive(&[file(".config/pilot/key"), file(".config/opencode/a.json")]).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (USER.into(), USER.into()));
                (entry.path().unwrap().display().to_string(), header.mode().unwrap())
            })
            .collect();
        let folders = [".config", ".config/opencode", ".config/pilot"].map(|path| (path.to_owned(), 0o700));
        assert_eq!(entries[..3], folders);
        assert_eq!(
            entries[3..],
            [".config/pilot/key", ".config/opencode/a.json"].map(|path| (path.to_owned(), 0o600))
        );
    }
}
