//! What is outside and of a runtime that nobody knows: since when, so that it can be removed when it was so for long enough.

use std::collections::HashSet;

use contracts::ProviderName;
use jiff::Timestamp;
use provider_api::{Home, OwnedObject};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::rows::Columns;
use super::{Result, Store, StoreError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    pub provider: ProviderName,
    pub object: OwnedObject,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
}

impl Store {
    /// Of what a provider has listed, keeps what is of no runtime that is known, and forgets what is not listed any more. Gives
    /// what was not kept before. What is known is asked for here, after the list: a runtime has its row before it has anything
    /// outside.
    pub async fn keep_strays(
        &self,
        provider: &ProviderName,
        listed: Vec<OwnedObject>,
    ) -> Result<Vec<OwnedObject>> {
        let (store, provider) = (self.clone(), provider.clone());
        self.write(move |connection| {
            Box::pin(async move {
                let now = store.now(connection).await?;
                let known = known(connection).await?;
                let strays = listed.into_iter().filter(|object| !known.contains(object.runtime_id.as_str()));
                let before = "SELECT * FROM strays WHERE provider = $1";
                let before = sqlx::query(before).bind(provider.as_str()).fetch_all(&mut *connection).await?;
                let mut before: HashSet<Key> = before.iter().map(key).collect::<Result<_>>()?;
                let mut found = Vec::new();
                for object in strays {
                    if !before.remove(&key_of(&object)) {
                        found.push(object.clone());
                    }
                    see(connection, &provider, &object, now).await?;
                }
                for (runtime, kind, id) in before {
                    sqlx::query(
                        "DELETE FROM strays WHERE provider = $1 AND runtime_id = $2 AND kind = $3 AND id = $4",
                    )
                    .bind(provider.as_str())
                    .bind(runtime)
                    .bind(kind)
                    .bind(id)
                    .execute(&mut *connection)
                    .await?;
                }
                Ok(found)
            })
        })
        .await
    }

    /// Those of one runtime stand together, and those that were seen first come first.
    pub async fn strays(&self) -> Result<Vec<Stray>> {
        let rows = sqlx::query("SELECT * FROM strays ORDER BY provider, runtime_id, first_seen, kind, id");
        rows.fetch_all(self.database.pool()).await?.iter().map(read).collect()
    }

    /// Ids of runtimes that have a row, or work.
    pub async fn known(&self) -> Result<HashSet<String>> {
        known(&mut *self.database.pool().acquire().await?).await
    }

    /// By the clock that seen times are of.
    pub async fn clock(&self) -> Result<Timestamp> {
        let mut connection = self.database.pool().acquire().await?;
        time(self.now(&mut connection).await?)
    }
}

type Key = (String, String, String);

fn key(row: &AnyRow) -> Result<Key> {
    let row = Columns(row);
    Ok((row.text("runtime_id")?, row.text("kind")?, row.text("id")?))
}

fn key_of(object: &OwnedObject) -> Key {
    (object.runtime_id.to_string(), object.kind.clone(), object.id.clone())
}

async fn known(connection: &mut AnyConnection) -> Result<HashSet<String>> {
    let known = "SELECT id FROM runtimes
                 UNION SELECT runtime_id FROM operations WHERE state IN ('queued', 'running')";
    Ok(sqlx::query_scalar(known).fetch_all(connection).await?.into_iter().collect())
}

async fn see(
    connection: &mut AnyConnection,
    provider: &ProviderName,
    object: &OwnedObject,
    now: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO strays (provider, runtime_id, kind, id, home, first_seen, last_seen)
         VALUES ($1, $2, $3, $4, $5, $6, $6)
         ON CONFLICT (provider, runtime_id, kind, id) DO UPDATE SET last_seen = excluded.last_seen, home = excluded.home",
    )
    .bind(provider.as_str())
    .bind(object.runtime_id.as_str())
    .bind(&object.kind)
    .bind(&object.id)
    .bind(number_of(object.home))
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Those of an older Pilot have 1 for a home as well: until they are seen again.
fn number_of(home: Home) -> i64 {
    match home {
        Home::No => 0,
        Home::With => 1,
        Home::Is => 2,
    }
}

fn home_of(number: i64) -> Home {
    match number {
        0 => Home::No,
        2 => Home::Is,
        _ => Home::With,
    }
}

fn read(row: &AnyRow) -> Result<Stray> {
    let row = Columns(row);
    let object = OwnedObject {
        runtime_id: row.parsed("runtime_id")?,
        kind: row.text("kind")?,
        id: row.text("id")?,
        home: home_of(row.number("home")?),
    };
    Ok(Stray {
        provider: row.parsed("provider")?,
        object,
        first_seen: time(row.number("first_seen")?)?,
        last_seen: time(row.number("last_seen")?)?,
    })
}

fn time(milliseconds: i64) -> Result<Timestamp> {
    Timestamp::from_millisecond(milliseconds).map_err(|error| StoreError::Damaged(format!("a time: {error}")))
}
