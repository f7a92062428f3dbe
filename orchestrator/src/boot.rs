//! The files an instance finds when it boots: whom to trust, what it is called, how OpenCode is set up.
//! They go from the data folder to the instance and never through Pulumi.

use async_trait::async_trait;
use contracts::{ErrorCode, RuntimeId};
use provider_api::{BootFile, BootSource, ProviderError, Result};

use crate::data::Layout;
use crate::store::Store;

pub struct DataFolderBoot {
    layout: Layout,
    /// Absent in the plugin process, which must not open the orchestrator's database.
    store: Option<Store>,
}

impl DataFolderBoot {
    pub fn new(layout: Layout, store: Option<Store>) -> Self {
        Self { layout, store }
    }
}

#[async_trait]
impl BootSource for DataFolderBoot {
    async fn boot_files(&self, runtime: &RuntimeId) -> Result<Vec<BootFile>> {
        let mut files = Vec::new();
        let mut add = |path: &str, content: Vec<u8>| files.push(BootFile { path: path.to_owned(), content });
        let key = self.layout.secret("assertion-public-key");
        let key = std::fs::read(&key).map_err(|error| {
            ProviderError::new(ErrorCode::DataFolderUnusable, format!("{}: {error}", key.display()))
        })?;
        add(".config/pilot/gateway-key", key);
        if let Some(store) = &self.store {
            let row = store.workspace_of(runtime).await;
            if let Some(row) =
                row.map_err(|error| ProviderError::new(ErrorCode::StoreUnavailable, error.to_string()))?
            {
                add(".config/pilot/label", row.slug.as_str().as_bytes().to_vec());
            }
        }
        match std::fs::read(self.layout.opencode_config()) {
            Ok(config) => add(".config/opencode/opencode.json", config),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let message = format!("{}: {error}", self.layout.opencode_config().display());
                return Err(ProviderError::new(ErrorCode::DataFolderUnusable, message));
            }
        }
        Ok(files)
    }
}
