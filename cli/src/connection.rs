//! Finds the server and the token: flags and environment first, then the data folder, then NETWORK.yml.

use std::path::Path;

use contracts::network::network;
use contracts::{ErrorCode, Problem};
use url::Url;

use crate::args::Connection;
use crate::client::Client;
use crate::endpoints::Endpoints;

/// A client for the server of this data folder. When there is no token, it says first whether there
/// is a server at all.
pub async fn connect(connection: &Connection, data: &Path) -> Result<Client, Problem> {
    let written = Endpoints::read(data);
    let ports = &network().host;
    let server = address(&connection.server, written.orchestrator.map(|at| at.url), ports.orchestrator)?;
    let gateway = address(&connection.gateway, written.gateway.map(|at| at.url), ports.gateway.http)?;
    match token(connection, data) {
        Ok(token) => Client::new(server, gateway, Some(token)),
        Err(problem) => {
            Client::new(server, gateway, None)?.health().await?;
            Err(problem)
        }
    }
}

fn address(named: &Option<Url>, written: Option<Url>, port: u16) -> Result<Url, Problem> {
    let fallback = || format!("http://127.0.0.1:{port}").parse().ok();
    let url = named.clone().or(written).or_else(fallback);
    let usable = url.filter(|url| url.scheme() == "http" && url.has_host());
    usable.ok_or_else(|| {
        Problem::new(ErrorCode::BadRequest, "The server's address is not a URL that begins with http://.")
            .with_action(format!(
                "Name it as in `--server http://127.0.0.1:{}`; for another machine use `ssh -L`.",
                network().host.orchestrator
            ))
    })
}

fn token(connection: &Connection, data: &Path) -> Result<String, Problem> {
    if let Some(token) = connection.token.as_deref().map(str::trim).filter(|token| !token.is_empty()) {
        return Ok(token.to_owned());
    }
    let path = data.join("secrets").join("admin-token");
    let read = std::fs::read_to_string(&path).map_err(|error| {
        let detail = format!(
            "No admin token: {} cannot be read ({error}) and PILOT_TOKEN is not set.",
            path.display()
        );
        Problem::new(ErrorCode::Unauthorized, detail)
            .with_action("Name the server's data folder with --data or PILOT_DATA, or set PILOT_TOKEN.")
    })?;
    Ok(read.trim().to_owned())
}
