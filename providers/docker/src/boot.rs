//! Boot files as an archive that Docker unpacks into the container before it starts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bollard::query_parameters::{ContainerArchiveInfoOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use contracts::ErrorCode;
use contracts::boot::{HOME, USER};
use provider_api::{BootFile, ProviderError, Result};
use tar::{EntryType, Header};

use crate::engine::Engine;
use crate::failure::Failure;

/// Puts the files into the home of a container, whether it runs or not.
pub(crate) async fn deliver(engine: &Engine, container: &str, boot: &[BootFile]) -> Result<()> {
    if boot.is_empty() {
        return Ok(());
    }
    let docker = engine.docker().await?;
    let mut missing: Vec<PathBuf> = Vec::new();
    for folder in folders(boot) {
        let is_within_missing = folder.parent().is_some_and(|outer| missing.iter().any(|it| it == outer));
        if is_within_missing || !is_there(engine, container, &folder).await? {
            missing.push(folder);
        }
    }
    let options = UploadToContainerOptionsBuilder::default().path(HOME).build();
    let archive = archive(boot, &missing)?;
    // As a stream, because the client writes other bodies into its trace log and these hold secrets.
    let body = bollard::body_try_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(archive)]));
    let upload = docker.upload_to_container(container, Some(options), body);
    Ok(engine.ask("deliver the boot files", upload).await?)
}

/// The folders on the way to the files, the outer ones first.
fn folders(boot: &[BootFile]) -> BTreeSet<PathBuf> {
    let ancestors = boot.iter().flat_map(|file| Path::new(&file.path).ancestors().skip(1));
    ancestors.filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned).collect()
}

/// Whatever it is: a link that its user has put there leads on.
async fn is_there(engine: &Engine, container: &str, folder: &Path) -> Result<bool> {
    let docker = engine.docker().await?;
    let path = format!("{HOME}/{}", folder.display());
    let options = ContainerArchiveInfoOptionsBuilder::default().path(&path).build();
    let found = engine.ask("look into the home", docker.get_container_archive_info(container, Some(options)));
    Ok(Failure::optional(found.await)?.is_some())
}

/// Missing folders on the way are in the archive too: Docker would make them for root. Those that are there are not: Docker would
/// put a folder in the place of a link, and give them another mode and time.
fn archive(boot: &[BootFile], missing: &[PathBuf]) -> Result<Bytes> {
    let mut builder = tar::Builder::new(Vec::new());
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
        for folder in missing {
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
        let files = [file(".config/pilot/key"), file(".config/opencode/a.json")];
        let missing: Vec<_> = folders(&files).into_iter().collect();
        let bytes = archive(&files, &missing).unwrap();
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
