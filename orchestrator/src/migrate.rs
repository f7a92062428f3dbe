//! Moves an installation from its data folder to a PostgreSQL: the store's rows and the stacks' states. The secrets stay.
//!
//! Whoever ends it, at whatever moment, loses nothing: until all is there and compared, the database says that it is being
//! filled and is not served, and the folder is as it was. At no moment both can be served.

use std::collections::BTreeMap;
use std::io::Read as _;

use contracts::{ErrorCode, Problem};
use futures_util::TryStreamExt as _;
use serde::Serialize;

use crate::backup::{RAISE, Tell, exists};
use crate::data::{DataFolder, Layout};
use crate::engine::without_password;
use crate::server::cannot_join;
use crate::states::{States, Which, check, stack};
use crate::store::copy::{Copier, Place, Table, newest};
use crate::store::{Mark, Store, StoreError};

/// So many rows go in one statement.
const ROWS: usize = 200;

/// An installation that was moved.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// Where it is, without a password.
    pub to: String,
    pub states: u64,
    pub rows: BTreeMap<String, u64>,
}

/// Moves it, or goes on where an earlier call was ended. No server may run on the folder meanwhile: its lock is taken.
pub async fn migrate(layout: &Layout, to: &str, tell: Tell<'_>) -> Result<Moved, Problem> {
    let data = open(layout)?;
    // With the tables of this version, as the other side has them.
    Store::open(&layout.database()).await?.close().await;
    let shown = without_password(to);
    let mut source = Copier::open(&Place::File(layout.database())).await?;
    let moved = source.mark(Mark::Moved).await?;
    if let Some(other) = moved.as_ref().filter(|other| **other != shown) {
        return Err(Mark::Moved.problem(other));
    }
    let mut states = States::Folder(layout.state());
    let keys = states.keys(Which::AndHistory).await?;
    for key in &keys {
        let Some(state) = states.open(key).await? else { continue };
        check(key, state.content).map_err(|why| unreadable(key, &why))?;
    }
    let place = Place::Server(to.to_owned());
    let mut target = Copier::make(&place, newest()).await.map_err(|error| cannot_join(to, error.0))?;
    let mark = format!("move of {}", data.installation());
    if begin(&mut target, &mark, moved.is_some(), &shown).await? {
        let tables = source.tables().await?;
        copy(&mut source, &mut target, &tables, tell).await?;
        copy_states(&mut states, &mut target, &keys, tell).await?;
        compare(&mut source, &mut target, &tables).await?;
        compare_states(&mut states, &mut target, &keys, tell).await?;
        source.set_mark(Mark::Moved, Some(&shown)).await?;
        target.set_mark(Mark::Filling, None).await?;
    }
    let tables = source.tables().await?;
    let rows = source.sums(&tables).await?.into_iter().map(|(name, sum)| (name, sum.rows)).collect();
    source.close().await?;
    target.close().await?;
    let states = keys.iter().filter(|key| stack(key).is_some()).count() as u64;
    Ok(Moved { to: shown, states, rows })
}

/// What becomes of the database that is gone back from.
#[derive(Debug, Clone, Copy)]
pub enum Behind<'a> {
    /// It says from then on that it is not served any more, to whoever runs on it or starts there.
    Marked(&'a str),
    /// It cannot be reached, and stays as it is: whoever has its address can serve it still.
    AsItIs,
    /// Nobody has said.
    Unsaid,
}

/// Goes back to what the data folder holds. Where it had been moved to; `None` where it had not. As after a restore: what
/// worked on the database may have raised fences and generations. The database is marked first: at no moment both are served.
pub async fn undo(layout: &Layout, behind: Behind<'_>) -> Result<Option<String>, Problem> {
    let _data = open(layout)?;
    let mut source = Copier::open(&Place::File(layout.database())).await?;
    let moved = source.mark(Mark::Moved).await?;
    if let Some(moved) = &moved {
        match behind {
            Behind::Marked(url) => leave(url, source.secrets().await?).await?,
            Behind::AsItIs => {}
            Behind::Unsaid => return Err(unmarked(format!("The installation is in {moved}."))),
        }
        source.begin_writing().await?;
        source.set_mark(Mark::Moved, None).await?;
        source.run(&RAISE).await?;
        source.commit().await?;
    }
    source.close().await?;
    Ok(moved)
}

/// Marks the database of an installation as not to be served any more.
async fn leave(url: &str, secrets: Option<String>) -> Result<(), Problem> {
    let away = |error: StoreError| {
        let problem = cannot_join(url, error);
        unmarked(problem.detail)
    };
    let mut target = Copier::open(&Place::Server(url.to_owned())).await.map_err(|error| away(error.0))?;
    target.begin_writing().await?;
    if target.secrets().await.map_err(|error| away(error.0))? != secrets {
        let shown = without_password(url);
        let detail = format!("The database {shown} does not hold the installation of this data folder.");
        return Err(Problem::new(ErrorCode::StoreMoved, detail).with_action(
            "Name the one that it was moved to: `pilot serve` on this data folder says which.",
        ));
    }
    if target.mark(Mark::Left).await?.is_none() {
        target.set_mark(Mark::Left, Some(&jiff::Timestamp::now().to_string())).await?;
    }
    target.commit().await?;
    Ok(target.close().await?)
}

/// Both could be served.
fn unmarked(why: String) -> Problem {
    let detail = format!("{why} It is to be told that it is not served any more.");
    Problem::new(ErrorCode::StoreMoved, detail).with_action(
        "Set PILOT_DATABASE to its address, with its password. Where it cannot be reached, end every orchestrator that has \
         PILOT_DATABASE, see that none starts again, and add --leave-database: the database can still be served then.",
    )
}

fn open(layout: &Layout) -> Result<DataFolder, Problem> {
    if !layout.database().exists() {
        let detail = format!("The data folder {} has no store.", layout.root.display());
        return Err(Problem::new(ErrorCode::DataFolderUnusable, detail)
            .with_action("Name the one that the installation is in with --data."));
    }
    DataFolder::open(&layout.root)
}

/// Whether there is anything to do. The database is empty, or an earlier call has begun to fill it.
async fn begin(target: &mut Copier, mark: &str, is_moved: bool, shown: &str) -> Result<bool, Problem> {
    target.begin_writing().await?;
    match target.mark(Mark::Filling).await? {
        Some(said) if said == mark => {}
        Some(said) => return Err(Mark::Filling.problem(&said)),
        // The last call has ended it, and of one back that was not ended nothing is left.
        None if is_moved => {
            target.set_mark(Mark::Left, None).await?;
            return target.commit().await.map(|()| false).map_err(Problem::from);
        }
        None => {
            let mut states = States::Table(&mut target.connection);
            let has_states = !states.keys(Which::AndHistory).await?.is_empty();
            if let Some(since) = target.mark(Mark::Left).await? {
                let detail =
                    format!("The database {shown} holds what an installation left there at {since}.");
                return Err(exists(detail).with_action(
                    "Name an empty one. If what was done there is not needed any more, empty this one: \
                     DROP SCHEMA public CASCADE; CREATE SCHEMA public;",
                ));
            }
            if has_states || !target.is_empty().await? {
                return Err(exists(format!("The database {shown} holds an installation.")));
            }
            target.set_mark(Mark::Filling, Some(mark)).await?;
        }
    }
    States::Table(&mut target.connection).make().await?;
    target.commit().await?;
    Ok(true)
}

/// All rows in one transaction, and none where they are there already.
async fn copy(
    source: &mut Copier,
    target: &mut Copier,
    tables: &[Table],
    tell: Tell<'_>,
) -> Result<(), Problem> {
    if source.sums(tables).await? == target.sums(tables).await? {
        return Ok(());
    }
    target.begin_writing().await?;
    let theirs = target.tables().await?;
    target.clear(&theirs).await?;
    for table in tables {
        tell(&format!("rows: {}", table.name));
        let there = theirs.iter().find(|there| there.name == table.name);
        let there =
            there.ok_or_else(|| differs(&format!("the tables, of which {} is missing,", table.name)))?;
        let mut rows = source.rows(table).try_chunks(ROWS);
        while let Some(batch) = rows.try_next().await.map_err(|error| error.1)? {
            target.insert(there, &batch).await?;
        }
    }
    target.settle(&theirs).await?;
    Ok(target.commit().await?)
}

async fn copy_states(
    from: &mut States<'_>,
    target: &mut Copier,
    keys: &[String],
    tell: Tell<'_>,
) -> Result<(), Problem> {
    let mut to = States::Table(&mut target.connection);
    let mut gone = to.keys(Which::AndHistory).await?;
    gone.retain(|key| keys.binary_search(key).is_err());
    to.remove(&gone).await?;
    for (number, key) in keys.iter().enumerate() {
        tell(&format!("states: {number} of {}", keys.len()));
        let ours = bytes(from, key).await?;
        if ours != bytes(&mut to, key).await? {
            to.put(key, &mut ours.unwrap_or_default().as_slice()).await?;
        }
    }
    Ok(())
}

async fn compare(source: &mut Copier, target: &mut Copier, tables: &[Table]) -> Result<(), Problem> {
    let (ours, theirs) = (source.sums(tables).await?, target.sums(tables).await?);
    match ours.iter().find(|(name, sum)| theirs.get(*name) != Some(sum)) {
        Some((name, _)) => Err(differs(&format!("the rows of {name}"))),
        None => Ok(()),
    }
}

async fn compare_states(
    from: &mut States<'_>,
    target: &mut Copier,
    keys: &[String],
    tell: Tell<'_>,
) -> Result<(), Problem> {
    let mut to = States::Table(&mut target.connection);
    if to.keys(Which::AndHistory).await? != keys {
        return Err(differs("the list of states"));
    }
    for (number, key) in keys.iter().enumerate() {
        tell(&format!("comparing states: {number} of {}", keys.len()));
        if bytes(from, key).await? != bytes(&mut to, key).await? {
            return Err(differs(key));
        }
    }
    Ok(())
}

async fn bytes(states: &mut States<'_>, key: &str) -> Result<Option<Vec<u8>>, Problem> {
    let Some(mut state) = states.open(key).await? else { return Ok(None) };
    let mut bytes = Vec::new();
    state.content.read_to_end(&mut bytes).map_err(|error| unreadable(key, &error.to_string()))?;
    Ok(Some(bytes))
}

fn differs(what: &str) -> Problem {
    let why = format!("{what} in the database are not what the data folder has");
    let problem = Problem::from(StoreError::Damaged(why));
    problem.with_action(
        "Nothing was marked as moved. Let nobody else write to this database, and run the command again.",
    )
}

fn unreadable(key: &str, why: &str) -> Problem {
    let detail = format!("The state {key} cannot be read, so it cannot be moved: {why}.");
    Problem::new(ErrorCode::StateCorrupt, detail).with_action(
        "Start the server, put a good copy in its place with `pilot stack repair NAME`, stop the server and move again.",
    )
}
