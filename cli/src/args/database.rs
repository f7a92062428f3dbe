//! A PostgreSQL's address, as it is typed. It may hold a password, so what is wrong with it is told without it.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command};
use url::{ParseError, Url};

/// What of a password looks like another part of an address.
const PERCENT: &str = "characters such as @ : / ? # % in its password are written as %40 %3A %2F %3F %23 %25";

/// Takes a PostgreSQL's address.
#[derive(Clone)]
pub struct Address;

impl TypedValueParser for Address {
    type Value = String;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        let read = value.to_str().ok_or("it is not a text").and_then(read);
        read.map_err(|why| {
            let message = format!("the address of the database is none: {why}");
            command.clone().error(ErrorKind::ValueValidation, message)
        })
    }
}

fn read(text: &str) -> Result<String, &'static str> {
    let behind = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let behind = behind.ok_or("it must begin with postgres://")?;
    let (server, rest) = behind.split_at(behind.find(['/', '?', '#']).unwrap_or(behind.len()));
    if server.matches('@').count() > 1 || rest.contains(['@', '#']) || !is_encoded(behind) {
        return Err(PERCENT);
    }
    let url = Url::parse(text).map_err(|error| match error {
        ParseError::InvalidPort => PERCENT,
        ParseError::EmptyHost => "it names no server: postgres://USER@HOST/NAME",
        _ => "it has another form than postgres://USER@HOST/NAME",
    })?;
    // Pulumi's keys begin with its name.
    if url.path().trim_matches('/').is_empty() {
        return Err("it names no database: postgres://USER@HOST/NAME");
    }
    let is_secret = url.password().is_some() || url.query_pairs().any(|(name, _)| name.contains("password"));
    // Other people of the machine see the arguments of programs.
    if is_secret && std::env::args().any(|argument| argument.contains(text)) {
        return Err("set PILOT_DATABASE instead: everybody sees a password among a program's arguments");
    }
    Ok(format!("postgres://{behind}"))
}

/// Each % is followed by two digits.
fn is_encoded(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;

    #[test]
    fn a_password_that_is_not_encoded_is_called_so_and_never_shown() {
        for secret in ["se#cret", "se/cret", "se?cret", "p@ss", "p@ss/w#rd?%&:x", "50%", "a:b/c", "12?x"] {
            for line in [
                vec!["pilot", "serve", "--database"],
                vec!["pilot", "backup", "create", "a", "--key-file", "k", "--database"],
                vec!["pilot", "store", "migrate", "--to"],
            ] {
                let address = format!("postgres://pilot:{secret}@db/pilot");
                let line = line.into_iter().chain([address.as_str()]);
                let error = Args::try_parse_from(line).unwrap_err().to_string();
                assert!(error.contains("%40") && !error.contains(secret), "{error}");
            }
        }
    }

    #[test]
    fn what_is_an_address_is_taken_as_it_is() {
        for (given, taken) in [
            ("postgres://me@db/pilot", "postgres://me@db/pilot"),
            ("postgresql://me:p%40ss@[::1]:5432/pilot", "postgres://me:p%40ss@[::1]:5432/pilot"),
            ("postgres://db/pilot?user=me&sslmode=disable", "postgres://db/pilot?user=me&sslmode=disable"),
            ("postgres:///pilot?host=%2Frun%2Fpostgresql", "postgres:///pilot?host=%2Frun%2Fpostgresql"),
        ] {
            assert_eq!(read(given).as_deref(), Ok(taken));
        }
        for none in ["mysql://a/b", "postgres://me@db", "postgres://me@db/", "pilot", ""] {
            assert!(read(none).is_err(), "{none}");
        }
    }
}
