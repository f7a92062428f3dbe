//! Rows of rollouts and of their members.

use contracts::rollout::{Counts, Member, MemberState, Rollout, RolloutState, SkipReason};
use contracts::workspace::Image;
use contracts::{OperationId, Problem, RolloutId};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::database::Topic;
use super::keys::Key;
use super::rows::Columns;
use super::{Result, Store, StoreError, to_json};

/// With how many of its members are how far.
const COUNTED: &str = "SELECT r.*,
     (SELECT COUNT(*) FROM rollout_members m WHERE m.rollout_id = r.id AND m.state = 'waiting') AS waiting,
     (SELECT COUNT(*) FROM rollout_members m WHERE m.rollout_id = r.id AND m.state = 'running') AS running,
     (SELECT COUNT(*) FROM rollout_members m WHERE m.rollout_id = r.id AND m.state = 'updated') AS updated,
     (SELECT COUNT(*) FROM rollout_members m WHERE m.rollout_id = r.id AND m.state = 'failed') AS failed,
     (SELECT COUNT(*) FROM rollout_members m WHERE m.rollout_id = r.id AND m.state = 'skipped') AS skipped
     FROM rollouts r";

/// One that is under way.
#[derive(Debug, Clone)]
pub struct RunningRollout {
    pub rollout: Rollout,
    pub request_id: String,
    /// Somebody has asked for its end.
    pub cancel: bool,
}

impl Store {
    /// With its members. `RolloutRuns` while another of the provider has not ended.
    pub async fn insert_rollout(
        &self,
        rollout: &Rollout,
        (principal, request_id): (&str, &str),
        key: Option<&Key>,
    ) -> Result<()> {
        let (store, rollout, key) = (self.clone(), rollout.clone(), key.cloned());
        let (principal, request_id) = (principal.to_owned(), request_id.to_owned());
        let inserted = self.write(move |connection| {
            Box::pin(async move {
                let now = store.now(connection).await?;
                sqlx::query(
                    "INSERT INTO rollouts (id, provider, state, image, rolls_back, at_once, principal, request_id, created_at)
                     VALUES ($1, $2, 'running', $3, $4, $5, $6, $7, $8)",
                )
                .bind(rollout.id.as_str())
                .bind(rollout.provider.as_str())
                .bind(rollout.image.as_ref().map(to_json).transpose()?)
                .bind(rollout.rolls_back.as_ref().map(RolloutId::as_str))
                .bind(i64::from(rollout.at_once))
                .bind(principal)
                .bind(request_id)
                .bind(now)
                .execute(&mut *connection)
                .await?;
                store.remember(connection, key.as_ref(), rollout.id.as_str()).await?;
                for (block, members) in rollout.members.chunks(BLOCK).enumerate() {
                    insert_members(connection, &rollout.id, block * BLOCK, members).await?;
                }
                store.database.tell(connection, Topic::Work, "").await
            })
        });
        inserted.await?;
        self.wakes.work();
        Ok(())
    }

    /// The newest first, without members.
    pub async fn rollouts(&self, most: u32) -> Result<Vec<Rollout>> {
        let statement = format!("{COUNTED} ORDER BY r.id DESC LIMIT $1");
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(i64::from(most));
        rows.fetch_all(self.database.pool()).await?.iter().map(read).collect()
    }

    /// With its members.
    pub async fn rollout(&self, id: &RolloutId) -> Result<Option<Rollout>> {
        let statement = format!("{COUNTED} WHERE r.id = $1");
        let row = sqlx::query(AssertSqlSafe(statement)).bind(id.as_str());
        let Some(row) = row.fetch_optional(self.database.pool()).await? else { return Ok(None) };
        let mut rollout = read(&row)?;
        let members = sqlx::query("SELECT * FROM rollout_members WHERE rollout_id = $1 ORDER BY position");
        let members = members.bind(id.as_str()).fetch_all(self.database.pool()).await?;
        rollout.members = members.iter().map(member).collect::<Result<_>>()?;
        Ok(Some(rollout))
    }

    /// Those that have not ended, without members.
    pub async fn running_rollouts(&self) -> Result<Vec<RunningRollout>> {
        let statement = format!("{COUNTED} WHERE r.state = 'running' ORDER BY r.id");
        let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(self.database.pool()).await?;
        let running = |row| {
            let columns = Columns(row);
            let (request_id, cancel) = (columns.text("request_id")?, columns.number("cancel")? != 0);
            Ok(RunningRollout { rollout: read(row)?, request_id, cancel })
        };
        let told = |error: &StoreError| tracing::error!(%error, "the record of a rollout cannot be read");
        Ok(rows.iter().filter_map(|row| running(row).inspect_err(told).ok()).collect())
    }

    /// The first members in this state, with their positions.
    pub async fn rollout_members(
        &self,
        id: &RolloutId,
        state: MemberState,
        most: u32,
    ) -> Result<Vec<(i64, Member)>> {
        let rows = sqlx::query(
            "SELECT * FROM rollout_members WHERE rollout_id = $1 AND state = $2 ORDER BY position LIMIT $3",
        );
        let rows = rows.bind(id.as_str()).bind(state.as_str()).bind(i64::from(most));
        let rows = rows.fetch_all(self.database.pool()).await?;
        rows.iter().map(|row| Ok((Columns(row).number("position")?, member(row)?))).collect()
    }

    /// With what was begun: its operation, and what the workspace was made from at that moment.
    pub async fn mark_member(
        &self,
        id: &RolloutId,
        position: i64,
        state: MemberState,
        begun: Option<&(OperationId, Option<Image>)>,
    ) -> Result<()> {
        let (id, operation) = (id.clone(), begun.map(|(id, _)| id.as_str().to_owned()));
        let before = begun.and_then(|(_, before)| before.as_ref()).map(to_json).transpose()?;
        self.write(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE rollout_members SET state = $1, operation_id = COALESCE($2, operation_id),
                     image_before = COALESCE($3, image_before) WHERE rollout_id = $4 AND position = $5",
                )
                .bind(state.as_str())
                .bind(operation)
                .bind(before)
                .bind(id.as_str())
                .bind(position)
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// One that is left as it is: made from what is found now, and nothing where it is gone. Of one whose update had begun it stays
    /// known what it had before, to go back to.
    pub async fn skip_member(
        &self,
        id: &RolloutId,
        position: i64,
        reason: SkipReason,
        found: Option<&Image>,
    ) -> Result<()> {
        let (id, found) = (id.clone(), found.map(to_json).transpose()?);
        self.write(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE rollout_members SET state = $1, reason = $2,
                     image_before = CASE WHEN operation_id IS NULL THEN $3 ELSE COALESCE(image_before, $3) END
                     WHERE rollout_id = $4 AND position = $5",
                )
                .bind(MemberState::Skipped.as_str())
                .bind(reason.as_str())
                .bind(found)
                .bind(id.as_str())
                .bind(position)
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Asks it to begin no more; false where there is none.
    pub async fn cancel_rollout(&self, id: &RolloutId) -> Result<bool> {
        let (store, id) = (self.clone(), id.clone());
        let found = self.write(move |connection| {
            Box::pin(async move {
                let asked = sqlx::query("UPDATE rollouts SET cancel = 1 WHERE id = $1").bind(id.as_str());
                let found = asked.execute(&mut *connection).await?.rows_affected() > 0;
                store.database.tell(connection, Topic::Work, "").await.map(|()| found)
            })
        });
        let found = found.await?;
        self.wakes.work();
        Ok(found)
    }

    pub async fn finish_rollout(
        &self,
        id: &RolloutId,
        state: RolloutState,
        error: Option<&Problem>,
    ) -> Result<()> {
        let (store, id, error) = (self.clone(), id.clone(), error.map(to_json).transpose()?);
        self.write(move |connection| {
            Box::pin(async move {
                let now = store.now(connection).await?;
                sqlx::query(
                    "UPDATE rollouts SET state = $1, error = $2, finished_at = $3 WHERE id = $4 AND state = 'running'",
                )
                .bind(state.as_str())
                .bind(error)
                .bind(now)
                .bind(id.as_str())
                .execute(&mut *connection)
                .await?;
                // Their turn does not come any more.
                sqlx::query(
                    "UPDATE rollout_members SET state = $1, reason = $2 WHERE rollout_id = $3 AND state = $4",
                )
                .bind(MemberState::Skipped.as_str())
                .bind(SkipReason::Ended.as_str())
                .bind(id.as_str())
                .bind(MemberState::Waiting.as_str())
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
    }
}

/// So many in one statement: a rollout of ten thousand is a hundred of them.
const BLOCK: usize = 100;

async fn insert_members(
    connection: &mut AnyConnection,
    rollout: &RolloutId,
    first: usize,
    members: &[Member],
) -> Result<()> {
    const COLUMNS: usize = 7;
    let row = |index: usize| {
        let columns: Vec<_> = (1..=COLUMNS).map(|column| format!("${}", index * COLUMNS + column)).collect();
        format!("({})", columns.join(", "))
    };
    let rows: Vec<_> = (0..members.len()).map(row).collect();
    let statement = format!(
        "INSERT INTO rollout_members (rollout_id, position, workspace_id, slug, state, image_before, target) VALUES {}",
        rows.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for (index, member) in members.iter().enumerate() {
        query = query
            .bind(rollout.as_str())
            .bind((first + index) as i64)
            .bind(member.workspace_id.as_str())
            .bind(member.slug.as_str())
            .bind(member.state.as_str())
            .bind(member.before.as_ref().map(to_json).transpose()?)
            .bind(to_json(&member.target)?);
    }
    query.execute(connection).await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Rollout> {
    let row = Columns(row);
    let count = |column| Ok::<_, StoreError>(u32::try_from(row.number(column)?).unwrap_or(u32::MAX));
    let at = |column, millis| {
        Timestamp::from_millisecond(millis)
            .map_err(|error| StoreError::Damaged(format!("the column {column}: {error}")))
    };
    let rolls_back = row.maybe("rolls_back")?.map(|id| id.parse()).transpose();
    Ok(Rollout {
        id: row.parsed("id")?,
        provider: row.parsed("provider")?,
        state: word("state", row.text("state")?)?,
        image: row.maybe_json("image")?,
        rolls_back: rolls_back
            .map_err(|error| StoreError::Damaged(format!("the column rolls_back: {error}")))?,
        at_once: count("at_once")?,
        counts: Counts {
            waiting: count("waiting")?,
            running: count("running")?,
            updated: count("updated")?,
            failed: count("failed")?,
            skipped: count("skipped")?,
        },
        error: row.maybe_json("error")?,
        created_at: at("created_at", row.number("created_at")?)?,
        finished_at: row.maybe_number("finished_at")?.map(|millis| at("finished_at", millis)).transpose()?,
        members: Vec::new(),
    })
}

fn member(row: &AnyRow) -> Result<Member> {
    let row = Columns(row);
    let operation = row.maybe("operation_id")?.map(|id| id.parse()).transpose();
    Ok(Member {
        workspace_id: row.parsed("workspace_id")?,
        slug: row.parsed("slug")?,
        state: word("state", row.text("state")?)?,
        reason: row.maybe("reason")?.map(|text| word("reason", text)).transpose()?,
        before: row.maybe_json("image_before")?,
        target: row.json("target")?,
        operation: operation
            .map_err(|error| StoreError::Damaged(format!("the column operation_id: {error}")))?,
    })
}

/// A word of JSON, which is kept without quotes.
fn word<T: serde::de::DeserializeOwned>(column: &str, text: String) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(text))
        .map_err(|error| StoreError::Damaged(format!("the column {column}: {error}")))
}
