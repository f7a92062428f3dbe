//! What people ask for: the wish, the operation that makes it true, the key and the word of who asked are one commit.

use contracts::operation::{Operation, OperationKind, OperationState, Update};
use contracts::snapshot::SnapshotWork;
use contracts::workspace::Desired;
use contracts::{ErrorCode, OperationId, Problem, ProviderName, RuntimeId, Slug, WorkspaceId};
use jiff::Timestamp;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::database::Topic;
use super::keys::Key;
use super::operations::read;
use super::rows::Columns;
use super::workspaces::WorkspaceRow;
use super::{Result, Store, StoreError, to_json};
use crate::reconcile::RECONCILER;

/// An operation to be accepted.
#[derive(Debug, Clone)]
pub struct NewOperation {
    pub id: OperationId,
    pub kind: OperationKind,
    /// Of an update: what it changes.
    pub update: Option<Update>,
    /// Which snapshot it works on, or begins with.
    pub snapshot: Option<SnapshotWork>,
    /// Of a restore: the name that it gets.
    pub slug: Option<Slug>,
    pub request_id: String,
    /// Which trace it is a part of.
    pub traceparent: Option<String>,
    /// Who asks.
    pub principal: String,
    /// The client's key, and a digest of what it asked for with it.
    pub idempotency: Option<(String, String)>,
    /// Only of a workspace that has this tag.
    pub if_match: Option<String>,
    /// Only of one that is deleted and kept: nobody has brought it back meanwhile.
    pub of_kept: bool,
}

impl NewOperation {
    /// Asked for by somebody with a request.
    pub fn of(kind: OperationKind, principal: &str, request_id: &str) -> Self {
        Self {
            id: OperationId::random(),
            kind,
            update: None,
            snapshot: None,
            slug: None,
            request_id: request_id.to_owned(),
            traceparent: crate::trace::current(),
            principal: principal.to_owned(),
            idempotency: None,
            if_match: None,
            of_kept: false,
        }
    }

    pub(super) fn queued(&self, runtime: &RuntimeId, provider: &ProviderName) -> Operation {
        Operation::queued(self.id.clone(), self.kind, runtime.clone(), provider.clone(), &self.request_id)
    }

    pub(super) fn key(&self) -> Option<Key> {
        let (key, digest) = self.idempotency.clone()?;
        Some(Key { principal: self.principal.clone(), key, digest })
    }
}

/// What comes after it has nothing to work on, and what is under way has no use any more.
fn ends_others(kind: OperationKind) -> bool {
    matches!(kind, OperationKind::Delete | OperationKind::Purge | OperationKind::Forget)
}

/// What was before is no part of what is asked for.
fn asks_the_same(one: &Operation, other: &NewOperation) -> bool {
    let asked = |update: &Option<Update>| update.clone().map(|update| (update.image, update.size));
    // Each take has an id of its own.
    let snapshot = |work: &Option<SnapshotWork>| work.as_ref().map(|work| work.id.clone());
    one.kind == other.kind
        && asked(&one.update) == asked(&other.update)
        && snapshot(&one.snapshot) == snapshot(&other.snapshot)
}

/// A delete that does not come to its end can be followed by one that keeps less, and by giving it up.
fn goes_further(delete: OperationKind, then: OperationKind) -> bool {
    let rank = |kind| match kind {
        OperationKind::Forget => 2,
        OperationKind::Purge => 1,
        _ => 0,
    };
    rank(then) > rank(delete)
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub operation: Operation,
    /// What runs meanwhile is to end: by its id, where one was told so.
    pub cancelled: Option<OperationId>,
}

impl Store {
    /// The workspace and its create operation.
    pub async fn insert_workspace(&self, row: &WorkspaceRow, new: &NewOperation) -> Result<Operation> {
        let (store, row, new, runtime) = (self.clone(), row.clone(), new.clone(), row.runtime_id.clone());
        let operation = self.write(move |connection| {
            Box::pin(async move {
                row.insert(connection, &new.id).await?;
                store.database.tell(connection, Topic::Routes, row.runtime_id.as_str()).await?;
                store.insert(connection, &row, &new, Desired::Stopped).await
            })
        });
        let operation = operation.await?;
        self.wakes.route(runtime.as_str());
        self.wakes.work();
        Ok(operation)
    }

    /// A new operation of an existing workspace and what it is for; without, what is desired stays. Asked for what is on its way already, that is the answer.
    /// A delete ends what waits and what runs; anything else waits behind what runs, and is refused where another waits.
    pub async fn request(
        &self,
        workspace: &WorkspaceId,
        desired: Option<Desired>,
        new: &NewOperation,
    ) -> Result<Wanted> {
        let (store, workspace, new) = (self.clone(), workspace.clone(), new.clone());
        let wanted = self.write(move |connection| {
            Box::pin(async move { store.accept(connection, &workspace, desired, &new).await })
        });
        let wanted = wanted.await?;
        self.wakes.work();
        Ok(wanted)
    }

    async fn accept(
        &self,
        connection: &mut AnyConnection,
        workspace: &WorkspaceId,
        desired: Option<Desired>,
        new: &NewOperation,
    ) -> Result<Wanted> {
        self.lock(connection, workspace.as_str()).await?;
        let mut row = self.workspace_in(connection, workspace).await?.ok_or(StoreError::Gone)?;
        if new.if_match.as_ref().is_some_and(|wanted| *wanted != row.tag()) {
            return Err(StoreError::Changed);
        }
        // What is deleted is brought back or cleared away, and nothing else; what is not is not brought back.
        let fits = match row.home_until {
            Some(_) => {
                matches!(new.kind, OperationKind::Restore | OperationKind::Purge | OperationKind::Forget)
            }
            None => new.kind != OperationKind::Restore && !new.of_kept,
        };
        if !fits {
            return Err(StoreError::Gone);
        }
        let select = format!(
            "SELECT * FROM operations WHERE runtime_id = $1 AND state IN ('queued', 'running'){}",
            self.database.locking()
        );
        let unfinished = sqlx::query(AssertSqlSafe(select)).bind(row.runtime_id.as_str());
        let unfinished = unfinished.fetch_all(&mut *connection).await?;
        let (mut waiting, mut running) = (None, None);
        for row in &unfinished {
            let (operation, is_ending) = (read(row)?, Columns(row).number("cancel")? != 0);
            match operation.state {
                OperationState::Queued => waiting = Some(operation),
                // What was asked to end is nobody's answer, and nothing to wait for but its end.
                _ => running = Some((operation, is_ending)),
            }
        }
        // Operations keep the name of when they were asked for; people know the workspace by that of now.
        let name = row.slug.clone();
        let busy = |other: &Operation| {
            Err(StoreError::Busy(Box::new(Operation { slug: Some(name.clone()), ..other.clone() })))
        };
        let ended = running.as_ref().is_some_and(|(_, is_ending)| *is_ending);
        let last = waiting.as_ref().or(running.as_ref().filter(|_| !ended).map(|(operation, _)| operation));
        match (last, &waiting) {
            (Some(same), _) if asks_the_same(same, new) => {
                let same = same.clone();
                self.remember(connection, new.key().as_ref(), same.id.as_str()).await?;
                return Ok(Wanted { operation: same, cancelled: None });
            }
            (_, Some(waiting)) if !ends_others(new.kind) => {
                return busy(waiting);
            }
            (Some(delete), _) if ends_others(delete.kind) && !goes_further(delete.kind, new.kind) => {
                return busy(delete);
            }
            // What is being cleared away cannot be brought back.
            (Some(other), _) if new.kind == OperationKind::Restore => {
                return busy(other);
            }
            // Its delete has failed for now, and a part of it may be gone.
            _ if row.desired == Desired::Deleted && row.home_until.is_none() && !ends_others(new.kind) => {
                return Err(StoreError::Deleted(row.slug));
            }
            _ => {}
        }
        let desired = desired.unwrap_or(row.desired);
        let mut cancelled = None;
        if ends_others(new.kind) {
            if let Some(waiting) = &waiting {
                self.never_began(connection, waiting, "what was asked for since").await?;
            }
            if let Some((running, _)) = &running {
                self.ask_to_end(connection, &running.id).await?;
                cancelled = Some(running.id.clone());
            }
        }
        if new.kind == OperationKind::Restore {
            row.slug = new.slug.clone().unwrap_or(row.slug);
            self.revive(connection, &row).await?;
        }
        sqlx::query("UPDATE workspaces SET desired = $1, operation = $2 WHERE id = $3")
            .bind(to_json(&desired)?)
            .bind(new.id.as_str())
            .bind(row.id.as_str())
            .execute(&mut *connection)
            .await?;
        let operation = self.insert(connection, &row, new, row.desired).await?;
        // A person who was told that the home is gone, and asks for a start all the same.
        let is_start = matches!(new.kind, OperationKind::Start | OperationKind::Restart);
        if is_start && row.home_is_gone() && new.principal != RECONCILER {
            let anew =
                sqlx::query("UPDATE operations SET anew = 1 WHERE id = $1").bind(operation.id.as_str());
            anew.execute(connection).await?;
        }
        Ok(Wanted { operation, cancelled })
    }

    /// Whether a home that is gone is begun anew, empty, by this operation.
    pub async fn begins_anew(&self, id: &OperationId) -> Result<bool> {
        let anew = sqlx::query("SELECT anew FROM operations WHERE id = $1").bind(id.as_str());
        let row = anew.fetch_optional(self.database.pool()).await?;
        Ok(row.map(|row| Columns(&row).number("anew")).transpose()?.is_some_and(|anew| anew != 0))
    }

    /// What waits behind a delete that came to its end has nothing to work on, but for what clears the rest away.
    pub(super) async fn end_waiting(
        &self,
        connection: &mut AnyConnection,
        runtime: &RuntimeId,
    ) -> Result<()> {
        let waiting = sqlx::query("SELECT * FROM operations WHERE runtime_id = $1 AND state = 'queued'");
        for row in waiting.bind(runtime.as_str()).fetch_all(&mut *connection).await? {
            let Ok(operation) = read(&row) else { continue };
            if !matches!(operation.kind, OperationKind::Purge | OperationKind::Forget) {
                self.never_began(connection, &operation, "the delete before it").await?;
            }
        }
        Ok(())
    }

    /// Another name for a workspace that is not to be deleted.
    pub async fn rename(
        &self,
        row: &WorkspaceRow,
        slug: &Slug,
        (principal, request_id): (&str, &str),
        if_match: Option<&str>,
        key: Option<&Key>,
    ) -> Result<()> {
        let key = key.cloned();
        let (store, row, slug) = (self.clone(), row.clone(), slug.clone());
        let (principal, request_id, runtime) =
            (principal.to_owned(), request_id.to_owned(), row.runtime_id.clone());
        let if_match = if_match.map(str::to_owned);
        let renamed = self.write(move |connection| {
            Box::pin(async move {
                store.lock(connection, row.id.as_str()).await?;
                let now = store.workspace_in(connection, &row.id).await?.ok_or(StoreError::Gone)?;
                if if_match.is_some_and(|wanted| wanted != now.tag()) {
                    return Err(StoreError::Changed);
                }
                let renamed = sqlx::query(
                    "UPDATE workspaces SET slug = $1 WHERE id = $2 AND deleted_at IS NULL AND desired <> $3",
                );
                let renamed =
                    renamed.bind(slug.as_str()).bind(row.id.as_str()).bind(to_json(&Desired::Deleted)?);
                if renamed.execute(&mut *connection).await?.rows_affected() == 0 {
                    return Err(StoreError::Gone);
                }
                store.remember(connection, key.as_ref(), row.id.as_str()).await?;
                let renamed = (row.id.as_str(), slug.as_str());
                store.note(connection, renamed, "rename", "", (&principal, &request_id)).await?;
                store.database.tell(connection, Topic::Routes, row.runtime_id.as_str()).await
            })
        });
        renamed.await?;
        self.wakes.route(runtime.as_str());
        Ok(())
    }

    /// Asks an operation to end. It gives back what was desired before, unless something else was asked for since. One that waits has ended
    /// with this; of one that runs, whoever runs it is told. One that has ended stays as it is.
    pub async fn cancel(&self, id: &OperationId) -> Result<Option<Operation>> {
        let (store, id) = (self.clone(), id.clone());
        let operation = self.write(move |connection| {
            Box::pin(async move {
                let of = sqlx::query_scalar::<_, String>("SELECT workspace_id FROM operations WHERE id = $1");
                let Some(workspace) = of.bind(id.as_str()).fetch_optional(&mut *connection).await? else {
                    return Ok(None);
                };
                store.lock(connection, &workspace).await?;
                let select = format!("SELECT * FROM operations WHERE id = $1{}", store.database.locking());
                let row = sqlx::query(AssertSqlSafe(select)).bind(id.as_str());
                let Some(row) = row.fetch_optional(&mut *connection).await? else { return Ok(None) };
                let operation = read(&row)?;
                match operation.state {
                    OperationState::Queued => store.never_began(connection, &operation, "request").await?,
                    OperationState::Running => store.ask_to_end(connection, &id).await?,
                    _ => return Ok(Some(operation)),
                }
                sqlx::query(
                    "UPDATE workspaces SET desired = (SELECT desired_before FROM operations WHERE id = $1)
                     WHERE id = (SELECT workspace_id FROM operations WHERE id = $1 AND desired_before IS NOT NULL)
                     AND NOT EXISTS (SELECT 1 FROM operations n, operations o WHERE o.id = $1
                       AND n.workspace_id = workspaces.id AND (n.accepted_at > o.accepted_at
                         OR (n.accepted_at = o.accepted_at AND n.id > o.id))
                       AND n.state <> 'canceled')",
                )
                .bind(id.as_str())
                .execute(&mut *connection)
                .await?;
                let row = sqlx::query("SELECT * FROM operations WHERE id = $1").bind(id.as_str());
                Ok(Some(read(&row.fetch_one(connection).await?)?))
            })
        });
        let operation = operation.await?;
        self.wakes.work();
        Ok(operation)
    }

    /// What is decided of one workspace is decided one after the other. Always the first lock that a job takes.
    pub(super) async fn lock(&self, connection: &mut AnyConnection, workspace: &str) -> Result<()> {
        let lock = format!("SELECT id FROM workspaces WHERE id = $1{}", self.database.locking());
        sqlx::query(AssertSqlSafe(lock)).bind(workspace).fetch_optional(connection).await?;
        Ok(())
    }

    async fn ask_to_end(&self, connection: &mut AnyConnection, id: &OperationId) -> Result<()> {
        sqlx::query("UPDATE operations SET cancel = 1 WHERE id = $1")
            .bind(id.as_str())
            .execute(&mut *connection)
            .await?;
        self.database.tell(connection, Topic::Work, id.as_str()).await
    }

    async fn never_began(
        &self,
        connection: &mut AnyConnection,
        operation: &Operation,
        by: &str,
    ) -> Result<()> {
        let mut phases = operation.phases.clone();
        phases.finished = Some(Timestamp::now());
        let problem = Problem::new(ErrorCode::Canceled, format!("Canceled by {by}, before it began."))
            .with_request_id(&operation.request_id);
        let now = self.now(connection).await?;
        sqlx::query(
            "UPDATE operations SET state = 'canceled', phases = $1, error = $2, finished_at = $3 WHERE id = $4",
        )
        .bind(to_json(&phases)?)
        .bind(to_json(&problem)?)
        .bind(now)
        .bind(operation.id.as_str())
        .execute(&mut *connection)
        .await?;
        self.database.tell(connection, Topic::Events, operation.id.as_str()).await
    }

    async fn insert(
        &self,
        connection: &mut AnyConnection,
        row: &WorkspaceRow,
        new: &NewOperation,
        before: Desired,
    ) -> Result<Operation> {
        let operation = Operation {
            workspace_id: Some(row.id.clone()),
            slug: Some(row.slug.clone()),
            update: new.update.clone(),
            snapshot: new.snapshot.clone(),
            ..new.queued(&row.runtime_id, &row.provider)
        };
        self.enqueue(connection, &operation, &row.owner, Some(before), new).await?;
        Ok(operation)
    }
}
