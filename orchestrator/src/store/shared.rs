//! What all workspaces of a provider share, as the store knows it: who needs it, the wish to remove it, and who did.

use contracts::operation::Operation;
use contracts::{OperationId, ProviderName, RuntimeId};
use provider_api::Site;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::leases::Lease;
use super::operations::read;
use super::requests::NewOperation;
use super::rows::Columns;
use super::{Result, Store, StoreError, to_json};

impl Store {
    /// The last operation that removed it, or began to.
    pub async fn torn_by(&self, provider: &ProviderName) -> Result<Option<OperationId>> {
        let said = sqlx::query("SELECT value FROM installation WHERE name = $1").bind(name(provider));
        let said = said.fetch_optional(self.database.pool()).await?;
        said.map(|row| Columns(&row).parsed("value")).transpose()
    }

    /// Where it is, the place that its state is of at last; empty where that was never kept.
    pub async fn shared_sites(&self, provider: &ProviderName) -> Result<Vec<Site>> {
        let said = sqlx::query("SELECT value FROM installation WHERE name = $1").bind(site_name(provider));
        let said = said.fetch_optional(self.database.pool()).await?;
        Ok(said.map(|row| Columns(&row).json("value")).transpose()?.unwrap_or_default())
    }

    /// From here on it is at these. `Fenced` where the lease is another's by now.
    pub async fn settle_shared(&self, provider: &ProviderName, lease: &Lease, sites: &[Site]) -> Result<()> {
        self.say_of_installation(site_name(provider), to_json(&sites)?, lease).await
    }

    /// It is removed now. `Fenced` where the lease is another's by now.
    pub async fn say_torn(&self, provider: &ProviderName, lease: &Lease, by: &OperationId) -> Result<()> {
        self.say_of_installation(name(provider), by.to_string(), lease).await
    }

    async fn say_of_installation(&self, name: String, value: String, lease: &Lease) -> Result<()> {
        let (store, lease) = (self.clone(), lease.clone());
        self.write(move |connection| {
            Box::pin(async move {
                store.must_have(connection, &lease).await?;
                let say = "INSERT INTO installation (name, value) VALUES ($1, $2)
                           ON CONFLICT (name) DO UPDATE SET value = excluded.value";
                sqlx::query(say).bind(&name).bind(&value).execute(connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// Who needs it: the names of the provider's workspaces, also of those whose homes are kept. A part of them.
    pub async fn users_of(&self, provider: &ProviderName) -> Result<Vec<String>> {
        users(&mut *self.database.pool().acquire().await?, provider).await
    }

    /// An operation that removes it; the one that is to, where there is one. `InUse` while somebody needs it.
    pub async fn request_teardown(&self, provider: &ProviderName, new: &NewOperation) -> Result<Operation> {
        let (store, provider, new) = (self.clone(), provider.clone(), new.clone());
        let operation = self.write(move |connection| {
            Box::pin(async move {
                let users = users(connection, &provider).await?;
                if !users.is_empty() {
                    return Err(StoreError::InUse(users));
                }
                let runtime = RuntimeId::shared_by(&provider);
                let select = "SELECT * FROM operations WHERE runtime_id = $1 AND cancel = 0
                              AND state IN ('queued', 'running') ORDER BY id DESC";
                let same =
                    sqlx::query(select).bind(runtime.as_str()).fetch_optional(&mut *connection).await?;
                if let Some(same) = &same {
                    let same = read(same)?;
                    store.remember(connection, new.key().as_ref(), same.id.as_str()).await?;
                    return Ok(same);
                }
                let operation = new.queued(&runtime, &provider);
                store.enqueue(connection, &operation, "", None, &new).await?;
                Ok(operation)
            })
        });
        let operation = operation.await?;
        self.wakes.work();
        Ok(operation)
    }

    async fn must_have(&self, connection: &mut AnyConnection, lease: &Lease) -> Result<()> {
        let held = format!(
            "SELECT name FROM leases WHERE name = $1 AND holder = $2 AND fence = $3{}",
            self.database.locking()
        );
        let held = sqlx::query(AssertSqlSafe(held));
        let held = held.bind(&lease.name).bind(&lease.holder).bind(lease.fence as i64);
        match held.fetch_optional(connection).await? {
            Some(_) => Ok(()),
            None => Err(StoreError::Fenced),
        }
    }
}

fn name(provider: &ProviderName) -> String {
    format!("torn/{provider}")
}

fn site_name(provider: &ProviderName) -> String {
    format!("sites/{provider}")
}

async fn users(connection: &mut AnyConnection, provider: &ProviderName) -> Result<Vec<String>> {
    const SHOWN: u32 = 10;
    let users = format!(
        "SELECT w.slug FROM workspaces w JOIN runtimes r ON r.id = w.runtime_id
         WHERE r.provider = $1 ORDER BY w.slug LIMIT {SHOWN}"
    );
    let users = sqlx::query(AssertSqlSafe(users)).bind(provider.as_str()).fetch_all(connection).await?;
    users.iter().map(|row| Columns(row).text("slug")).collect()
}
