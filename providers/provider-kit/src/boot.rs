//! The boot files of a runtime, as every module delivers them: read anew for each boot, and never a way out of the home.

use contracts::boot::is_below_home;
use contracts::{ErrorCode, RuntimeId};
use provider_api::{BootFile, BootSource, ProviderError, Result};

/// What this boot has to bring. A path that leaves the home is an error before anything was delivered.
pub async fn files(source: &dyn BootSource, runtime: &RuntimeId) -> Result<Vec<BootFile>> {
    let files = source.boot_files(runtime).await?;
    match files.iter().find(|file| !is_below_home(&file.path)) {
        None => Ok(files),
        Some(BootFile { path, .. }) => Err(ProviderError::new(
            ErrorCode::Internal,
            format!("the boot file path {path:?} leaves the home"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    struct Source(&'static str);

    #[async_trait]
    impl BootSource for Source {
        async fn boot_files(&self, _: &RuntimeId) -> Result<Vec<BootFile>> {
            let file = |path: &str| BootFile { path: path.to_owned(), content: b"canary".to_vec() };
            Ok(vec![file(".config/pilot/key"), file(self.0)])
        }
    }

    #[tokio::test]
    async fn one_path_out_of_the_home_refuses_all_and_shows_no_content() {
        let runtime = "rt-1".parse().unwrap();
        assert_eq!(files(&Source(".config/opencode/a.json"), &runtime).await.unwrap().len(), 2);
        for path in ["", "/etc/passwd", "../x", ".config/../../x"] {
            let error = files(&Source(path), &runtime).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::Internal, "{path}");
            assert!(
                error.message.contains("leaves the home") && !error.message.contains("canary"),
                "{error}"
            );
        }
    }
}
