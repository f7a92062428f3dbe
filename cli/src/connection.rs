//! Finds the server and the token. Which server: what was named, a named context, the data folder's own server if it
//! runs or its folder was named, the current context, and then the address in NETWORK.yml.

use std::net::IpAddr;
use std::path::Path;

use contracts::network::network;
use contracts::{ErrorCode, Problem};
use url::{Host, Url};

use crate::args::{Connection, Folders};
use crate::client::{Client, Target};
use crate::contexts::{Context, Contexts};
use crate::endpoints::Endpoints;

/// A target, and the token that may go there without being named.
struct Chosen {
    target: Target,
    token: Stored,
}

enum Stored {
    Context(String),
    DataFolder,
    Nowhere,
}

/// A client for the server that is meant. When there is no token, it says first whether there is a server at all.
pub async fn connect(connection: &Connection, folders: &Folders) -> Result<Client, Problem> {
    let Chosen { mut target, token } = choose(connection, folders)?;
    target.ca = connection.ca.clone().or(target.ca);
    target.server = usable(target.server)?;
    target.gateway = connection.gateway.clone().or(target.gateway).map(usable).transpose()?;
    match read_token(connection, token, folders) {
        Ok(token) => Client::new(target, Some(token)),
        Err(problem) => {
            Client::new(target, None)?.health().await?;
            Err(problem)
        }
    }
}

fn choose(connection: &Connection, folders: &Folders) -> Result<Chosen, Problem> {
    let written = Endpoints::read(&folders.data);
    if let Some(server) = &connection.server {
        return Ok(named(server, &written, folders));
    }
    let name = connection.context.as_deref().filter(|name| !name.is_empty());
    if let Some(name) = name {
        let contexts = Contexts::read(&folders.config)?;
        return Ok(kept(contexts.get(name)?, name, format!("context {name}")));
    }
    if !folders.data_is_named && !written.is_running() {
        let contexts = Contexts::read(&folders.config)?;
        if let Some((name, context)) = contexts.current() {
            return Ok(kept(context, name, format!("the current context, {name}")));
        }
    }
    let ports = &network().host;
    let (server, gateway, why) = match written.orchestrator {
        // At the usual address of its gateway another Pilot's may be.
        Some(at) => {
            let why = format!("the server of {}", folders.data.display());
            (at.url, written.gateway.map(|at| at.url), why)
        }
        None if folders.data_is_named => return Err(not_running(folders)),
        None => {
            let gateway = written.gateway.map_or_else(|| loopback(ports.gateway.http), |at| Ok(at.url))?;
            (loopback(ports.orchestrator)?, Some(gateway), "the usual address".to_owned())
        }
    };
    let target = Target { server, gateway, ca: None, context: None, why };
    Ok(Chosen { target, token: Stored::DataFolder })
}

/// Whoever listens at the usual address is another's server.
fn not_running(folders: &Folders) -> Problem {
    let data = folders.data.display();
    Problem::new(ErrorCode::OrchestratorUnreachable, format!("No server of the data folder {data} runs."))
        .with_action(
            "Start it with `pilot serve` and this folder, or name another one with --data, --server or --context.",
        )
}

/// A server that was named by its URL. What is known of this machine is of use when the server is on it: another gateway
/// would make links to other workspaces, and the token would be told to a stranger.
fn named(server: &Url, written: &Endpoints, folders: &Folders) -> Chosen {
    let is_here = is_loopback(server);
    let here = || match &written.gateway {
        Some(at) => Some(at.url.clone()),
        None => loopback(network().host.gateway.http).ok(),
    };
    let gateway = is_here.then(here).flatten();
    let target = Target {
        server: server.clone(),
        gateway,
        ca: None,
        context: None,
        why: "named by --server or PILOT_SERVER".to_owned(),
    };
    let token = if is_here || folders.data_is_named { Stored::DataFolder } else { Stored::Nowhere };
    Chosen { target, token }
}

fn kept(context: &Context, name: &str, why: String) -> Chosen {
    let Context { server, gateway, ca, token } = context.clone();
    let target = Target { server, gateway, ca, context: Some(name.to_owned()), why };
    Chosen { target, token: Stored::Context(token) }
}

fn loopback(port: u16) -> Result<Url, Problem> {
    format!("http://127.0.0.1:{port}")
        .parse()
        .map_err(|error| Problem::new(ErrorCode::Internal, format!("No URL for port {port}: {error}.")))
}

pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => false,
    }
}

/// An address that requests can go to. One with a password in it would be shown, and stored, with it.
pub fn usable(url: Url) -> Result<Url, Problem> {
    let is_usable = ["http", "https"].contains(&url.scheme()) && url.has_host();
    if is_usable && url.username().is_empty() && url.password().is_none() {
        return Ok(url);
    }
    let detail =
        "A server's address is a URL that begins with https:// or http://, without a user or a password.";
    Err(Problem::new(ErrorCode::BadRequest, detail).with_action(format!(
        "Name it as in `--server http://127.0.0.1:{}` or `--server https://pilot.example.com`.",
        network().host.orchestrator
    )))
}

fn read_token(connection: &Connection, stored: Stored, folders: &Folders) -> Result<String, Problem> {
    if let Some(path) = &connection.token_file {
        return read_file(path).and_then(|text| checked(&text));
    }
    if let Some(token) = connection.token.as_deref().filter(|token| !token.trim().is_empty()) {
        return checked(token);
    }
    match stored {
        Stored::Context(token) => checked(&token),
        Stored::DataFolder => read_file(&folders.data.join("secrets").join("admin-token"))
            .map_err(|problem| {
                problem.with_action(
                    "Name the server's data folder with --data or PILOT_DATA, or set PILOT_TOKEN; for a server on \
                     another machine, `pilot login URL`.",
                )
            })
            .and_then(|text| checked(&text)),
        Stored::Nowhere => {
            let detail = "No token: the data folder's is only for servers on this machine, and none was named.";
            Err(Problem::new(ErrorCode::Unauthorized, detail)
                .with_action("Set PILOT_TOKEN, or name a file with --token-file, or `pilot login URL`."))
        }
    }
}

fn read_file(path: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(path).map_err(|error| {
        Problem::new(
            ErrorCode::Unauthorized,
            format!("No token: {} cannot be read ({error}).", path.display()),
        )
        .with_action("Name a file that you may read.")
    })
}

/// A token as a header can carry it, without the end of the line that files and pipes have.
pub fn checked(token: &str) -> Result<String, Problem> {
    let token = token.trim();
    if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(token.to_owned());
    }
    Err(Problem::new(ErrorCode::Unauthorized, "The token is empty, or has characters that no token has.")
        .with_action(
            "It is one line of printable characters, as in `secrets/admin-token` of the data folder.",
        ))
}

#[cfg(test)]
mod tests;
