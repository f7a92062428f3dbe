//! `pilot ws ssh` and `pilot ws ssh-config`: OpenSSH's own client, with this command as what carries its connection.
//!
//! `ssh` starts `pilot ws ssh --stdio NAME` as its ProxyCommand. That opens a WebSocket through the gateway, writes down the
//! key by which the server knows the instance, and only then passes on what the instance says: what ssh compares is never
//! older than the connection.

mod entries;
mod keys;
mod options;
mod stdio;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use contracts::{ErrorCode, Problem, Slug, WorkspaceRef};

pub use entries::config;

use super::parse;
use crate::Outcome;
use crate::args::{Connection, Folders, Ssh};
use crate::client::Client;
use crate::connection::connect;
use crate::endpoints::Endpoints;
use crate::exit;
use crate::ui::Ui;
use keys::Keys;

/// What is behind a workspace's name where nobody says.
const SUFFIX: &str = "pilot";

pub async fn run(
    connection: &Connection,
    folders: &Folders,
    wanted: Ssh,
    ui: &mut Ui,
) -> Result<Outcome, Problem> {
    if !wanted.stdio {
        // Pilot's other exit codes could be the command's own.
        return client(connection, folders, wanted, ui).await.or_else(|problem| {
            ui.problem(&problem);
            Ok(Outcome::Told(exit::NO_CONNECTION))
        });
    }
    let ended = carry(connection, folders, &wanted, ui).await;
    let code = match &ended {
        Ok(()) => exit::DONE,
        Err(problem) => {
            // Whatever was asked for with `--json`: stdout is the connection.
            ui.json = false;
            ui.problem(problem);
            exit::of(&Err(problem.clone()))
        }
    };
    // A read of stdin that nobody ends would keep this process.
    std::process::exit(code.into())
}

async fn slug_of(client: &Client, name: &str) -> Result<Slug, Problem> {
    match parse(name)? {
        WorkspaceRef::Slug(slug) => Ok(slug),
        name => Ok(client.workspace(&name).await?.slug),
    }
}

/// Becomes `ssh`.
async fn client(
    connection: &Connection,
    folders: &Folders,
    wanted: Ssh,
    ui: &mut Ui,
) -> Result<Outcome, Problem> {
    let client = connect(connection, folders).await?;
    let slug = slug_of(&client, &wanted.slug).await?;
    let keys = Keys::below(&folders.config)?;
    keys.public()?;
    let info = client.ssh_info(&slug).await?;
    let way = Way::of(&client, connection, folders)?;
    let known_hosts = keys.known_hosts(&way.id, slug.as_str())?;
    learn(&known_hosts, &info.host_key, &slug, ui)?;
    let (key, proxy) = (keys.private(), way.proxy(&slug, &known_hosts));
    let host = options::Host { user: &info.user, key: &key, known_hosts: &known_hosts, proxy: &proxy };
    let mut ssh = Command::new("ssh");
    for (name, value) in options::options(&host)? {
        ssh.arg("-o").arg(format!("{name}={value}"));
    }
    ssh.arg(format!("{slug}.{SUFFIX}")).args(&wanted.rest);
    let error = ssh.exec();
    Err(match error.kind() {
        std::io::ErrorKind::NotFound => keys::no_openssh("ssh"),
        _ => Problem::new(ErrorCode::Internal, format!("ssh cannot be started: {error}.")),
    })
}

async fn carry(connection: &Connection, folders: &Folders, wanted: &Ssh, ui: &mut Ui) -> Result<(), Problem> {
    let client = connect(connection, folders).await?;
    let slug = slug_of(&client, &wanted.slug).await?;
    let key = Keys::below(&folders.config)?.public()?;
    let tunnel = client.tunnel(&slug, &key).await?;
    if let Some(file) = &wanted.known_hosts {
        learn(file, &tunnel.host_key, &slug, ui)?;
    }
    stdio::carry(tunnel.socket, tokio::io::stdin(), tokio::io::stdout()).await
}

fn learn(file: &Path, key: &contracts::ssh::PublicKey, slug: &Slug, ui: &mut Ui) -> Result<(), Problem> {
    if keys::learn(file, key)? {
        ui.note(format!(
            "pilot: the instance of {slug} has another SSH key than before: its home is another one."
        ));
    }
    Ok(())
}

/// How a later process reaches the same server as this one, whatever is current then.
struct Way {
    /// For names of files, one for each server.
    id: String,
    words: Vec<OsString>,
}

impl Way {
    fn of(client: &Client, connection: &Connection, folders: &Folders) -> Result<Self, Problem> {
        let program = std::env::current_exe().map_err(|error| {
            Problem::new(ErrorCode::Internal, format!("The path of this program is not known: {error}."))
        })?;
        let mut words: Vec<OsString> = vec![program.into()];
        let mut say = |name: &str, value: OsString| words.extend([name.into(), value]);
        let data = || absolute(&folders.data);
        let (kind, what) = match (&connection.server, client.context()) {
            (Some(server), _) => ("at", server.to_string()),
            (None, Some(context)) => ("context", context.to_owned()),
            (None, None) if folders.data_is_named || Endpoints::read(&folders.data).is_running() => {
                ("data", data().display().to_string())
            }
            (None, None) => ("at", client.at().to_string()),
        };
        say("--config", absolute(&folders.config).into());
        if folders.data_is_named || kind == "data" {
            say("--data", data().into());
        }
        words.push("ws".into());
        let mut say = |name: &str, value: OsString| words.extend([name.into(), value]);
        match kind {
            "at" => say("--server", what.clone().into()),
            "context" => say("--context", what.clone().into()),
            _ => {}
        }
        if let Some(gateway) = &connection.gateway {
            say("--gateway", gateway.to_string().into());
        }
        if let Some(file) = &connection.token_file {
            say("--token-file", absolute(file).into());
        }
        if let Some(file) = &connection.ca {
            say("--ca", absolute(file).into());
        }
        Ok(Self { id: name_of(kind, &what), words })
    }

    /// What ssh starts.
    fn proxy(&self, slug: &Slug, known_hosts: &Path) -> Vec<OsString> {
        let more: [OsString; 5] = [
            "ssh".into(),
            "--stdio".into(),
            "--known-hosts".into(),
            known_hosts.into(),
            slug.as_str().into(),
        ];
        self.words.iter().cloned().chain(more).collect()
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A file name that can be read, and that no other server has.
fn name_of(kind: &str, what: &str) -> String {
    let plain = what.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte) } else { '-' });
    let plain: String = plain.collect();
    let end = plain.len().saturating_sub(40);
    let hash = contracts::hash::stable(what);
    format!("{kind}-{}-{hash:016x}", plain[end..].trim_matches('-'))
}

#[cfg(test)]
mod tests;
