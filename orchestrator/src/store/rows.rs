//! Rows as they are read. One that this version cannot read hides no other.

use std::fmt::Display;
use std::str::FromStr;

use contracts::workspace::{Desired, Observed};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::workspaces::WorkspaceRow;
use super::{Result, StoreError, unreadable};

/// One row's columns; errors name the column.
pub(super) struct Columns<'a>(pub &'a AnyRow);

impl Columns<'_> {
    pub fn text(&self, column: &str) -> Result<String> {
        self.0.try_get(column).map_err(|error| damaged(column, error))
    }

    pub fn maybe(&self, column: &str) -> Result<Option<String>> {
        self.0.try_get(column).map_err(|error| damaged(column, error))
    }

    pub fn number(&self, column: &str) -> Result<i64> {
        self.0.try_get(column).map_err(|error| damaged(column, error))
    }

    pub fn maybe_number(&self, column: &str) -> Result<Option<i64>> {
        self.0.try_get(column).map_err(|error| damaged(column, error))
    }

    pub fn parsed<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T> {
        self.text(column)?.parse().map_err(|error| damaged(column, error))
    }

    /// Empty where there is none.
    pub fn parsed_unless_empty<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>> {
        match self.text(column)?.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|error| damaged(column, error)),
        }
    }

    pub fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T> {
        serde_json::from_str(&self.text(column)?).map_err(|error| damaged(column, error))
    }

    pub fn maybe_json<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>> {
        let text = self.maybe(column)?;
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| damaged(column, error))
    }
}

/// Not the whole value: it may be long. The parser quotes a word of it at most.
fn damaged(column: &str, error: impl Display) -> StoreError {
    StoreError::Damaged(format!("the column {column}: {error}"))
}

pub(super) fn read(row: &AnyRow) -> Result<WorkspaceRow> {
    let row = Columns(row);
    Ok(WorkspaceRow {
        id: row.parsed("id")?,
        runtime_id: row.parsed("runtime_id")?,
        slug: row.parsed("slug")?,
        owner: row.text("owner")?,
        labels: row.json("labels")?,
        provider: row.parsed("provider")?,
        size: row.text("size")?,
        region: row.maybe("region")?,
        image: row.maybe_json("image")?,
        git: row.maybe_json("git")?,
        egress: row.maybe_json("egress")?,
        source: row.maybe_json("source")?,
        generation: row.number("generation")? as u64,
        applied: row.number("applied")? as u64,
        sites: row.maybe_json("sites")?.unwrap_or_default(),
        revision: row.number("revision")? as u64,
        desired: row.json("desired")?,
        observed: row.json("observed")?,
        since: row.parsed("since")?,
        endpoint: row.maybe_json("endpoint")?,
        error: row.maybe_json("error")?,
        operation: row
            .maybe("operation")?
            .map(|id| id.parse())
            .transpose()
            .map_err(|error| damaged("operation", error))?,
        created_at: row.parsed("created_at")?,
        home_until: row.maybe_number("home_until")?.map(kept_until),
    })
}

/// What is kept beyond the last moment that can be told is kept all the same.
fn kept_until(at: i64) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX)
}

/// For people: what cannot be read has failed, and says why. Nothing where not even its names can be read; the log has it.
pub(super) fn shown(row: &AnyRow) -> Option<WorkspaceRow> {
    let error = match read(row) {
        Ok(row) => return Some(row),
        Err(error) => error,
    };
    tracing::error!(%error, "a workspace's record cannot be read");
    let columns = Columns(row);
    let message = match &error {
        StoreError::Damaged(message) => message.clone(),
        other => other.to_string(),
    };
    Some(WorkspaceRow {
        id: columns.parsed("id").ok()?,
        runtime_id: columns.parsed("runtime_id").ok()?,
        slug: columns.parsed("slug").ok()?,
        owner: columns.text("owner").unwrap_or_default(),
        labels: columns.json("labels").unwrap_or_default(),
        provider: columns.parsed("provider").ok()?,
        size: columns.text("size").unwrap_or_default(),
        region: columns.maybe("region").unwrap_or_default(),
        image: columns.maybe_json("image").unwrap_or_default(),
        git: None,
        egress: None,
        source: None,
        generation: columns.number("generation").unwrap_or_default() as u64,
        applied: columns.number("applied").unwrap_or_default() as u64,
        sites: columns.maybe_json("sites").ok().flatten().unwrap_or_default(),
        revision: columns.number("revision").unwrap_or_default() as u64,
        desired: columns.json("desired").unwrap_or(Desired::Running),
        observed: Observed::Failed,
        since: columns.parsed("since").unwrap_or(Timestamp::UNIX_EPOCH),
        endpoint: None,
        error: Some(unreadable(&message)),
        operation: None,
        created_at: columns.parsed("created_at").unwrap_or(Timestamp::UNIX_EPOCH),
        home_until: columns.maybe_number("home_until").ok().flatten().map(kept_until),
    })
}

#[cfg(test)]
mod tests {
    use contracts::ErrorCode;
    use contracts::operation::OperationKind;

    use super::*;
    use crate::store::{NewOperation, Store};

    struct World {
        _folder: tempfile::TempDir,
        store: Store,
        rows: Vec<WorkspaceRow>,
    }

    impl World {
        async fn with<const N: usize>(slugs: [&str; N]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("pilot.db")).await.unwrap();
            let mut rows = Vec::new();
            for slug in slugs {
                let row =
                    WorkspaceRow::new(slug.parse().unwrap(), "local".parse().unwrap(), "small".to_owned());
                let operation = NewOperation::of(OperationKind::Create, "admin", "r");
                store.insert_workspace(&row, &operation).await.unwrap();
                rows.push(row);
            }
            Self { _folder: folder, store, rows }
        }

        async fn set(&self, sql: &'static str) {
            sqlx::query(sql).execute(self.store.database.pool()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_read_is_shown_as_failed_and_hides_no_other() {
        let world = World::with(["a", "b"]).await;
        world.set("UPDATE runtimes SET observed = '\"new\"' WHERE id = (SELECT runtime_id FROM workspaces WHERE slug = 'a')").await;
        let rows = world.store.workspaces().await.unwrap();
        assert_eq!(rows.iter().map(|row| row.slug.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let error = rows[0].error.as_ref().unwrap();
        assert_eq!(rows[0].observed, Observed::Failed);
        assert_eq!(error.code, ErrorCode::RecordUnreadable);
        assert!(error.detail.contains("the column observed"), "{error}");
        assert_eq!(rows[1].error, None);
        let shown = world.store.workspace_shown(&world.rows[0].slug.clone().into()).await.unwrap().unwrap();
        assert_eq!(shown.observed, Observed::Failed);
        // What would change it is refused.
        assert!(matches!(
            world.store.workspace(&world.rows[0].id.clone().into()).await,
            Err(StoreError::Damaged(_))
        ));
    }

    #[tokio::test]
    async fn an_operation_that_cannot_be_read_keeps_none_of_the_others_from_going_on() {
        let world = World::with(["a", "b"]).await;
        world.set("UPDATE operations SET kind = '\"novel\"' WHERE slug = 'a'").await;
        let lease = std::time::Duration::from_secs(9);
        let claimed = world.store.claim("me", lease, &[], &[]).await.unwrap().unwrap();
        assert_eq!(claimed.operation.subject(), "b");
        // It is another version's to run.
        assert_eq!(world.store.claim("me", lease, &[], &[]).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_operation_with_a_damaged_record_ends_and_says_so() {
        let world = World::with(["a", "b"]).await;
        world.set("UPDATE operations SET phases = '{' WHERE slug = 'a'").await;
        let lease = std::time::Duration::from_secs(9);
        assert_eq!(world.store.claim("me", lease, &[], &[]).await.unwrap(), None);
        let claimed = world.store.claim("me", lease, &[], &[]).await.unwrap().unwrap();
        assert_eq!(claimed.operation.subject(), "b");
    }

    #[tokio::test]
    async fn an_operation_of_a_runtime_that_cannot_be_read_has_an_end_all_the_same() {
        let world = World::with(["a"]).await;
        let lease = std::time::Duration::from_secs(9);
        let claimed = world.store.claim("me", lease, &[], &[]).await.unwrap().unwrap();
        world.set("UPDATE runtimes SET observed = '\"new\"'").await;
        let (operation, runtime) = (claimed.operation.id.clone(), claimed.operation.runtime_id);
        let end = crate::store::End {
            state: contracts::operation::OperationState::Failed,
            phases: claimed.operation.phases,
            error: None,
            change: Some(crate::store::Change::of(crate::lifecycle::state::Event::OperationFailed)),
            left: crate::store::Left::All,
        };
        let hold = crate::store::Hold { operation, runtime, fence: claimed.fence };
        world.store.finish(&hold, end).await.unwrap();
        let ended = world.store.operation(&claimed.operation.id).await.unwrap().unwrap();
        assert!(ended.state.is_final());
    }

    #[tokio::test]
    async fn a_database_of_a_newer_pilot_is_called_so() {
        let world = World::with(["a"]).await;
        world
            .set(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'of the future', TRUE, x'00', 1)",
            )
            .await;
        let path = world._folder.path().join("pilot.db");
        assert!(matches!(Store::open(&path).await.err(), Some(StoreError::Newer)));
    }

    #[tokio::test]
    async fn a_database_belongs_to_the_secrets_of_its_first_start() {
        let world = World::with([]).await;
        assert!(world.store.belongs_to("one").await.unwrap());
        assert!(!world.store.belongs_to("two").await.unwrap());
        assert!(world.store.belongs_to("one").await.unwrap());
    }

    #[tokio::test]
    async fn a_database_from_before_runtimes_has_the_same_workspaces_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pilot.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        let migrations = crate::store::migrations::sqlite();
        let before = migrations.iter().take_while(|one| one.version < 5).cloned().collect::<Vec<_>>();
        sqlx::migrate::Migrator::with_migrations(before).run(&pool).await.unwrap();
        for sql in [
            "INSERT INTO workspaces (runtime_id, slug, provider, size, git, generation, desired, observed, since,
             endpoint, error, operation, created_at, region) VALUES ('rt-7', 'demo', 'fly', 'small',
             '{\"url\":\"https://example.com/x.git\"}', 3, '\"running\"', '\"ready\"', '2026-11-28T10:00:00Z',
             '{\"host\":\"10.0.0.7\",\"port\":3000}', NULL, 'op-1', '2026-11-27T10:00:00Z', 'lhr')",
            "INSERT INTO operations (id, kind, runtime_id, slug, state, phases, request_id)
             VALUES ('op-0', '\"start\"', 'rt-7', 'demo', 'succeeded', '{}', 'req-0')",
            "INSERT INTO operations (id, kind, runtime_id, slug, state, phases, request_id, idempotency_key, request_digest)
             VALUES ('op-1', '\"create\"', 'rt-7', 'demo', 'running', '{}', 'req-1', 'key', 'digest')",
            "INSERT INTO operations (id, kind, runtime_id, slug, state, phases, request_id)
             VALUES ('op-2', '\"start\"', 'rt-7', 'demo', 'queued', '{}', 'req-2')",
            "INSERT INTO operations (id, kind, runtime_id, slug, state, phases, request_id)
             VALUES ('op-3', '\"delete\"', 'rt-7', 'demo', 'queued', '{}', 'req-3')",
        ] {
            sqlx::query(sql).execute(&pool).await.unwrap();
        }
        pool.close().await;

        let store = Store::open(&path).await.unwrap();
        let rows = store.workspaces().await.unwrap();
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((row.id.as_str(), row.slug.as_str(), row.runtime_id.as_str()), ("ws_7", "demo", "rt-7"));
        assert_eq!(
            (row.provider.as_str(), row.size.as_str(), row.region.as_deref()),
            ("fly", "small", Some("lhr"))
        );
        assert_eq!((row.generation, row.desired, row.observed), (3, Desired::Running, Observed::Ready));
        assert_eq!(row.endpoint.as_ref().unwrap().to_string(), "10.0.0.7:3000");
        assert_eq!(row.git.as_ref().unwrap().url, "https://example.com/x.git");
        assert_eq!(row.since.to_string(), "2026-11-28T10:00:00Z");
        // What has ended is kept for its time from now on.
        store.prune(crate::store::Kept::default()).await.unwrap();
        assert!(store.operation(&"op-0".parse().unwrap()).await.unwrap().is_some());
        // The delete that waits meant to end what runs, and what waited before it.
        let claimed = store.claim("me", std::time::Duration::from_secs(9), &[], &[]).await.unwrap().unwrap();
        assert_eq!(
            (claimed.operation.id.as_str(), claimed.operation.workspace_id.as_ref()),
            ("op-1", Some(&row.id))
        );
        assert_eq!((claimed.cancel, claimed.provider.as_str(), claimed.fence), (true, "fly", 2));
        let waiting = store.unfinished_of(&row.runtime_id).await.unwrap();
        assert_eq!(waiting.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["op-1", "op-3"]);
        let (operation, digest) = store.operation_of_key("admin", "key").await.unwrap().unwrap();
        assert_eq!((operation.id.as_str(), digest.as_str()), ("op-1", "digest"));
        assert_eq!(store.workspace(&row.id.clone().into()).await.unwrap().as_ref(), Some(row));
    }
}
