//! Words of a store about itself: that it is somewhere else now, or that not all of it is here yet. They are no part of an
//! installation and are never copied.

use contracts::{ErrorCode, Problem};

use sqlx::AnyConnection;

use super::copy::{Copier, Result};
use super::{Store, StoreError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Where the installation is now.
    Moved,
    /// What is being done that fills it: `move` or `restore`, and of what.
    Filling,
    /// Since when it is served from its data folder again. Whoever runs on it notices at the next write.
    Left,
}

impl Mark {
    fn name(self) -> &'static str {
        match self {
            Mark::Moved => "moved",
            Mark::Filling => "filling",
            Mark::Left => "left",
        }
    }

    /// Why a store with this word is not to be used.
    pub fn problem(self, said: &str) -> Problem {
        match self {
            Mark::Moved => Problem::new(
                ErrorCode::StoreMoved,
                format!("This installation was moved to {said}; what is in the data folder is of before."),
            )
            .with_action(
                "Use it there: set PILOT_DATABASE to that address, with its password. `pilot store migrate --undo` goes \
                 back to what is here; what was done there since is not.",
            ),
            Mark::Filling => Problem::new(
                ErrorCode::StoreIncomplete,
                format!("Not all of the installation is here: a {said} has begun and has not ended."),
            )
            .with_action(format!("{} To give it up, empty the folder or the database.", goes_on(said))),
            Mark::Left => Problem::new(
                ErrorCode::StoreMoved,
                format!(
                    "This installation was taken back to its data folder at {said}; what is in the database is of before."
                ),
            )
            .with_action(
                "Use it there: start the server with that data folder and without PILOT_DATABASE. \
                 `pilot store migrate` moves it into an empty database again.",
            ),
        }
    }
}

/// Which command ends what has begun.
fn goes_on(said: &str) -> String {
    let (command, how) = match said.strip_prefix("restore of ") {
        Some(file) => (format!("pilot backup restore {file}"), "begins anew"),
        None => ("pilot store migrate".to_owned(), "goes on"),
    };
    format!("`{command}`, with the same folder and the same database as then, {how} and ends it.")
}

/// Behind a SELECT or DELETE from `installation`: what is no mark.
pub(super) const NO_MARKS: &str = " WHERE name NOT IN ('moved', 'filling', 'left')";

impl Store {
    /// An error where the store is not to be served.
    pub async fn must_be_whole(&self) -> std::result::Result<(), Problem> {
        for mark in [Mark::Moved, Mark::Filling, Mark::Left] {
            let said = sqlx::query_scalar::<_, String>(SAID).bind(mark.name());
            let said = said.fetch_optional(self.database.pool()).await.map_err(StoreError::from)?;
            said.map_or(Ok(()), |said| Err(mark.problem(&said)))?;
        }
        Ok(())
    }
}

/// An error where the installation was taken back to its data folder meanwhile: nobody works on its database any more.
pub(super) async fn must_be_here(connection: &mut AnyConnection) -> super::Result<()> {
    let said = sqlx::query_scalar::<_, String>(SAID).bind(Mark::Left.name());
    said.fetch_optional(connection).await?.map_or(Ok(()), |since| Err(StoreError::Left(since)))
}

const SAID: &str = "SELECT value FROM installation WHERE name = $1";

impl Copier {
    /// What is said, if it is.
    pub async fn mark(&mut self, mark: Mark) -> Result<Option<String>> {
        let said = sqlx::query_scalar(SAID).bind(mark.name());
        Ok(said.fetch_optional(&mut self.connection).await?)
    }

    pub async fn set_mark(&mut self, mark: Mark, text: Option<&str>) -> Result<()> {
        let delete = sqlx::query("DELETE FROM installation WHERE name = $1").bind(mark.name());
        delete.execute(&mut self.connection).await?;
        if let Some(text) = text {
            let insert = sqlx::query("INSERT INTO installation (name, value) VALUES ($1, $2)");
            insert.bind(mark.name()).bind(text).execute(&mut self.connection).await?;
        }
        Ok(())
    }
}
