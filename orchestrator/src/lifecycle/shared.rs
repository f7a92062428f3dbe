//! What is asked of that which all workspaces of a provider share.

use contracts::operation::{Operation, OperationKind};
use contracts::{OperationId, Problem};

use super::changes::new_operation;
use super::service::{Caller, Lifecycle};
use crate::store::StoreError;

impl Lifecycle {
    /// Removes it; refused while a workspace needs it. The next create makes it again.
    pub async fn teardown(&self, provider: &str, caller: &Caller) -> Result<Operation, Problem> {
        let provider = self.providers.get(provider)?.describe().name;
        let digest = format!("teardown {provider}");
        let ask = async {
            let operation = new_operation(OperationKind::Teardown, caller, &digest);
            Ok(self.store.request_teardown(&provider, &operation).await?)
        };
        let again = |id: String| async move {
            let id: OperationId = id.parse().map_err(|_| StoreError::KeyTaken)?;
            Ok(self.store.operation(&id).await?.ok_or(StoreError::KeyTaken)?)
        };
        self.once(caller.key(&digest).as_ref(), again, ask).await
    }
}
