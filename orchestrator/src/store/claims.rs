//! Who runs what. A claim is for a time; every later word of a claimer carries the fence of its claim, and that of one whose
//! operation was taken over changes nothing.

use std::time::Duration;

use contracts::operation::{Operation, OperationState, Phases};
use contracts::workspace::{Endpoint, Observed};
use contracts::{OperationId, Problem, RuntimeId};
use jiff::Timestamp;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::database::Topic;
use super::homes::{keep_home, remove};
use super::operations::read;
use super::rows::Columns;
use super::{Result, Store, StoreError, to_json};
use crate::lifecycle::state::{Event, next};

/// What a claimer has in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub operation: OperationId,
    pub runtime: RuntimeId,
    pub fence: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub operation: Operation,
    pub provider: String,
    /// Of the request for it.
    pub traceparent: Option<String>,
    pub fence: u64,
    /// Another had it before and left it.
    pub inherited: bool,
    /// Somebody has asked for its end already.
    pub cancel: bool,
}

/// What happened to a runtime. `endpoint` is where traffic may go from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub event: Event,
    pub endpoint: Option<Endpoint>,
    pub error: Option<Problem>,
}

impl Change {
    pub fn of(event: Event) -> Self {
        Self { event, endpoint: None, error: None }
    }
}

/// What an operation has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    pub phases: Option<Phases>,
    pub change: Option<Change>,
}

/// How an operation ends, and what that makes of its runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub state: OperationState,
    pub phases: Phases,
    pub error: Option<Problem>,
    pub change: Option<Change>,
    pub left: Left,
}

/// What there is of a runtime after an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    All,
    /// Its home alone, which is kept for so long.
    Home(Duration),
    Nothing,
}

impl Store {
    /// The next operation for a claimer that has room at all providers but these. First what somebody has left; then, of what
    /// waits its turn, that of the owner for whom the fewest run.
    /// What it has in hand is not claimed again, whatever became of its leases.
    pub async fn claim(
        &self,
        claimer: &str,
        lease: Duration,
        full: &[String],
        held: &[OperationId],
    ) -> Result<Option<Claimed>> {
        let (full, held) =
            (list(full.iter().map(String::as_str)), list(held.iter().map(OperationId::as_str)));
        let (store, claimer) = (self.clone(), claimer.to_owned());
        self.write(move |connection| {
            Box::pin(async move {
                let now = store.now(connection).await?;
                let select = format!("{CLAIMABLE}{}", store.database.skipping());
                let id = sqlx::query_scalar::<_, String>(AssertSqlSafe(select));
                let id = id.bind(&full).bind(&held).bind(now).bind(KINDS).fetch_optional(&mut *connection);
                let Some(id) = id.await? else { return Ok(None) };
                let row = sqlx::query("SELECT * FROM operations WHERE id = $1").bind(&id);
                let row = row.fetch_one(&mut *connection).await?;
                let columns = Columns(&row);
                let (cancel, held) = (columns.number("cancel")? != 0, columns.number("fence")?);
                let (provider, traceparent) = (columns.text("provider")?, columns.maybe("traceparent")?);
                let mut operation = match read(&row) {
                    Ok(operation) => operation,
                    Err(error) => return store.give_up(connection, &id, &error).await.map(|()| None),
                };
                let inherited = operation.state == OperationState::Running;
                let fence = match operation.state {
                    OperationState::Running => raise(connection, &operation.runtime_id, held).await?,
                    _ => fence(connection, &operation.runtime_id).await?,
                };
                operation.state = OperationState::Running;
                sqlx::query(
                    "UPDATE operations SET state = 'running', claimer = $1, lease_until = $2, fence = $3,
                     attempt = attempt + 1 WHERE id = $4",
                )
                .bind(&claimer)
                .bind(now + lease.as_millis() as i64)
                .bind(fence)
                .bind(operation.id.as_str())
                .execute(connection)
                .await?;
                Ok(Some(Claimed { operation, provider, traceparent, fence: fence as u64, inherited, cancel }))
            })
        })
        .await
    }

    /// Which of those that it has in hand are still the claimer's, and for which of them an end was asked. They are its own for
    /// another while.
    pub async fn renew(
        &self,
        claimer: &str,
        lease: Duration,
        held: &[OperationId],
    ) -> Result<Vec<(OperationId, u64, bool)>> {
        let held = list(held.iter().map(OperationId::as_str));
        let (store, claimer) = (self.clone(), claimer.to_owned());
        self.write(move |connection| {
            Box::pin(async move {
                let now = store.now(connection).await?;
                let rows = sqlx::query(
                    "UPDATE operations SET lease_until = $1 WHERE claimer = $2 AND state = 'running'
                     AND $3 LIKE '%,' || id || ',%' RETURNING id, fence, cancel",
                );
                let until = now + lease.as_millis() as i64;
                let rows = rows.bind(until).bind(&claimer).bind(&held).fetch_all(connection).await?;
                let one = |row: &sqlx::any::AnyRow| {
                    let columns = Columns(row);
                    Ok((
                        columns.parsed("id")?,
                        columns.number("fence")? as u64,
                        columns.number("cancel")? != 0,
                    ))
                };
                rows.iter().map(one).collect()
            })
        })
        .await
    }

    /// Gives back what a claimer that ends has left, so that another need not wait.
    pub async fn release(&self, claimer: &str) -> Result<()> {
        let (store, claimer) = (self.clone(), claimer.to_owned());
        self.write(move |connection| {
            Box::pin(async move {
                let query = "UPDATE operations SET lease_until = 0 WHERE claimer = $1 AND state = 'running'";
                sqlx::query(query).bind(&claimer).execute(&mut *connection).await?;
                store.database.tell(connection, Topic::Work, "").await
            })
        })
        .await
    }

    /// Of a store that one process has alone: nobody else runs anything any more.
    pub async fn release_all(&self) -> Result<u64> {
        self.write(|connection| {
            Box::pin(async move {
                let query = "UPDATE operations SET lease_until = 0 WHERE state = 'running'";
                Ok(sqlx::query(query).execute(connection).await?.rows_affected())
            })
        })
        .await
    }

    /// Writes what an operation has done; what its runtime is then seen as.
    pub async fn advance(&self, hold: &Hold, step: Step) -> Result<Option<Observed>> {
        let (store, hold, runtime) = (self.clone(), hold.clone(), hold.runtime.clone());
        let observed = self.write(move |connection| {
            Box::pin(async move {
                store.must_hold(connection, &hold).await?;
                if let Some(phases) = &step.phases {
                    sqlx::query("UPDATE operations SET phases = $1 WHERE id = $2")
                        .bind(to_json(phases)?)
                        .bind(hold.operation.as_str())
                        .execute(&mut *connection)
                        .await?;
                }
                match &step.change {
                    Some(change) => store.change(connection, &hold.runtime, change).await.map(Some),
                    None => Ok(None),
                }
            })
        });
        let observed = observed.await?;
        if observed.is_some() {
            self.wakes.route(runtime.as_str());
        }
        Ok(observed)
    }

    /// The operation's last word. What its end makes of the runtime is written with it, where its state allows that.
    pub async fn finish(&self, hold: &Hold, end: End) -> Result<()> {
        let (store, hold, runtime) = (self.clone(), hold.clone(), hold.runtime.clone());
        let finished = self.write(move |connection| {
            Box::pin(async move {
                if end.left != Left::All {
                    let of = "SELECT workspace_id FROM operations WHERE id = $1";
                    let of = sqlx::query_scalar::<_, String>(of).bind(hold.operation.as_str());
                    if let Some(workspace) = of.fetch_optional(&mut *connection).await? {
                        store.lock(connection, &workspace).await?;
                    }
                }
                store.must_hold(connection, &hold).await?;
                let now = store.now(connection).await?;
                sqlx::query(
                    "UPDATE operations SET state = $1, phases = $2, error = $3, finished_at = $4, claimer = NULL
                     WHERE id = $5",
                )
                .bind(end.state.as_str())
                .bind(to_json(&end.phases)?)
                .bind(end.error.as_ref().map(to_json).transpose()?)
                .bind(now)
                .bind(hold.operation.as_str())
                .execute(&mut *connection)
                .await?;
                if let Some(change) = &end.change {
                    match store.change(connection, &hold.runtime, change).await {
                        Ok(_) | Err(StoreError::Illegal(_) | StoreError::Gone | StoreError::Damaged(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
                match end.left {
                    Left::All => {}
                    Left::Home(time) => keep_home(connection, &hold.runtime, now, time).await?,
                    Left::Nothing => remove(connection, &hold.runtime, now).await?,
                }
                if end.left != Left::All {
                    store.end_waiting(connection, &hold.runtime).await?;
                    store.database.tell(connection, Topic::Routes, hold.runtime.as_str()).await?;
                }
                store.database.tell(connection, Topic::Work, "").await
            })
        });
        finished.await?;
        self.wakes.route(runtime.as_str());
        // What waited behind it has its turn.
        self.wakes.work();
        Ok(())
    }

    /// What somebody saw who runs nothing for it; false when something has happened since.
    pub async fn observe(&self, runtime: &RuntimeId, revision: u64, change: &Change) -> Result<bool> {
        let (store, id, change) = (self.clone(), runtime.clone(), change.clone());
        let noted = self.write(move |connection| {
            let runtime = id;
            Box::pin(async move {
                let same = format!(
                    "SELECT id FROM runtimes WHERE id = $1 AND revision = $2 AND NOT EXISTS (SELECT 1 FROM operations
                     WHERE runtime_id = $1 AND state IN ('queued', 'running')){}",
                    store.database.locking()
                );
                let same = sqlx::query(AssertSqlSafe(same)).bind(runtime.as_str()).bind(revision as i64);
                if same.fetch_optional(&mut *connection).await?.is_none() {
                    return Ok(false);
                }
                store.change(connection, &runtime, &change).await.map(|_| true)
            })
        });
        let noted = noted.await?;
        if noted {
            self.wakes.route(runtime.as_str());
        }
        Ok(noted)
    }

    pub(super) async fn must_hold(&self, connection: &mut AnyConnection, hold: &Hold) -> Result<()> {
        let held = format!(
            "SELECT id FROM operations WHERE id = $1 AND fence = $2 AND state = 'running'{}",
            self.database.locking()
        );
        let held = sqlx::query(AssertSqlSafe(held)).bind(hold.operation.as_str()).bind(hold.fence as i64);
        match held.fetch_optional(connection).await? {
            Some(_) => Ok(()),
            None => Err(StoreError::Fenced),
        }
    }

    async fn change(
        &self,
        connection: &mut AnyConnection,
        runtime: &RuntimeId,
        change: &Change,
    ) -> Result<Observed> {
        let select = format!("SELECT observed FROM runtimes WHERE id = $1{}", self.database.locking());
        let row = sqlx::query(AssertSqlSafe(select)).bind(runtime.as_str());
        let row = row.fetch_optional(&mut *connection).await?.ok_or(StoreError::Gone)?;
        let before: Observed = Columns(&row).json("observed")?;
        let observed = next(before, change.event)?;
        sqlx::query(
            "UPDATE runtimes SET since = CASE WHEN observed = $1 THEN since ELSE $2 END, observed = $1,
             endpoint = CASE WHEN $6 = 1 THEN endpoint ELSE $3 END, error = $4, revision = revision + 1 WHERE id = $5",
        )
        .bind(to_json(&observed)?)
        .bind(Timestamp::now().to_string())
        .bind(change.endpoint.as_ref().map(to_json).transpose()?)
        .bind(change.error.as_ref().map(to_json).transpose()?)
        .bind(runtime.as_str())
        // Not seen is not gone: who has the way goes on using it while nobody knows better.
        .bind(i64::from(change.event == Event::ContactLost))
        .execute(&mut *connection)
        .await?;
        self.meter(connection, runtime, before, change.event).await?;
        self.database.tell(connection, Topic::Routes, runtime.as_str()).await?;
        Ok(observed)
    }

    /// What this version cannot read it cannot run: that is its end, and it keeps nothing else waiting.
    async fn give_up(&self, connection: &mut AnyConnection, id: &str, error: &StoreError) -> Result<()> {
        tracing::error!(operation = id, %error, "an operation's record cannot be read");
        let now = self.now(connection).await?;
        let problem = Problem::from(error.clone());
        sqlx::query("UPDATE operations SET state = 'failed', error = $1, finished_at = $2 WHERE id = $3")
            .bind(to_json(&problem)?)
            .bind(now)
            .bind(id)
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// Those that this version can run: one beside it may be newer.
const KINDS: &str = r#","create","start","stop","suspend","hibernate","resume","restart","apply","update","delete","purge","restore","forget","teardown","snapshot","rewind","discard","#;

/// `$1`: providers without room, `$2`: what the claimer has in hand, `$3`: now, `$4`: kinds.
const CLAIMABLE: &str = "WITH busy AS (SELECT owner, COUNT(*) AS n FROM operations WHERE state = 'running' GROUP BY owner)
     SELECT o.id FROM operations o LEFT JOIN busy b ON b.owner = o.owner
     WHERE o.state IN ('queued', 'running') AND $1 NOT LIKE '%,' || o.provider || ',%' AND $4 LIKE '%,' || o.kind || ',%'
     AND ((o.state = 'running' AND o.lease_until < $3 AND $2 NOT LIKE '%,' || o.id || ',%')
       OR (o.state = 'queued' AND NOT EXISTS
         (SELECT 1 FROM operations r WHERE r.runtime_id = o.runtime_id AND r.state = 'running')))
     ORDER BY CASE o.state WHEN 'running' THEN 0 ELSE 1 END, COALESCE(b.n, 0), o.id LIMIT 1";

/// As the statements look for one of them.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.fold(",".to_owned(), |list, name| list + name + ",")
}

async fn fence(connection: &mut AnyConnection, runtime: &RuntimeId) -> Result<i64> {
    let fence = sqlx::query_scalar::<_, i64>("SELECT fence FROM runtimes WHERE id = $1");
    Ok(fence.bind(runtime.as_str()).fetch_optional(connection).await?.unwrap_or(1))
}

async fn raise(connection: &mut AnyConnection, runtime: &RuntimeId, held: i64) -> Result<i64> {
    let raised = sqlx::query_scalar::<_, i64>(
        "UPDATE runtimes SET fence = CASE WHEN fence > $1 THEN fence ELSE $1 END + 1 WHERE id = $2 RETURNING fence",
    );
    let raised = raised.bind(held).bind(runtime.as_str()).fetch_optional(connection).await?;
    Ok(raised.unwrap_or(held + 1))
}
