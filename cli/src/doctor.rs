//! `pilot doctor`: is everything there that a workspace needs? Changes nothing.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};

use contracts::network::network;
use contracts::stray::Stray;
use contracts::{ErrorCode, Problem, RuntimeId};
use orchestrator::data::Layout;
use orchestrator::doctor::{Check, DoctorConfig};
use serde_json::json;

use crate::Outcome;
use crate::args::{Doctor, Folders};
use crate::connection::{connect, is_loopback};
use crate::endpoints::Endpoints;
use crate::serve::provider_settings;
use crate::ui::Ui;

pub async fn run(doctor: Doctor, folders: Folders, ui: &mut Ui) -> Result<Outcome, Problem> {
    let config = DoctorConfig {
        layout: Layout { root: folders.data.clone() },
        tools: Default::default(),
        settings: provider_settings(&doctor.providing),
    };
    let mut checks = orchestrator::doctor::run(&config).await;
    let owned = orchestrator::doctor::owned(&config).await;
    let (server, known) = server(&doctor, &folders).await;
    checks.push(server);
    if let Some(Known { runtimes, strays, elsewhere }) = known {
        checks.extend(elsewhere);
        checks.extend(orchestrator::doctor::left(&owned, &runtimes, &strays));
    }
    let healthy = is_healthy(&checks);
    if ui.json {
        ui.document(&json!({ "ok": healthy, "checks": checks }));
    } else {
        show(&checks, healthy, ui);
    }
    Ok(if healthy { Outcome::Done } else { Outcome::Negative })
}

/// It works everywhere, and its workspaces are in memory: that is for trying Pilot.
const FOR_TRYING: &str = "provider fake";

/// Providers are alternatives: one that works is enough. Everything else must be right.
fn is_healthy(checks: &[Check]) -> bool {
    let (providers, rest): (Vec<&Check>, Vec<&Check>) =
        checks.iter().partition(|check| check.name.starts_with("provider "));
    rest.iter().all(|check| check.ok)
        && (providers.is_empty() || providers.iter().any(|check| check.ok && check.name != FOR_TRYING))
}

fn show(checks: &[Check], healthy: bool, ui: &mut Ui) {
    for check in checks {
        let mark = if check.ok { "ok  " } else { "MISS" };
        ui.say(format!("{mark}  {}: {}", check.name, check.detail));
        if let Some(action) = &check.action {
            ui.say(format!("      -> {action}"));
        }
    }
    ui.say(match healthy {
        true => "Pilot can make workspaces here.",
        false => "Pilot cannot make workspaces here yet.",
    });
}

/// What the data folder's own server knows.
struct Known {
    /// Of its workspaces.
    runtimes: HashSet<RuntimeId>,
    strays: Vec<Stray>,
    /// Which workspaces its providers do not reach any more.
    elsewhere: Vec<Check>,
}

/// Whether the server that commands would talk to answers; when it is this machine's and does not, whether its ports
/// are free. With what it knows, where it is the data folder's own.
async fn server(doctor: &Doctor, folders: &Folders) -> (Check, Option<Known>) {
    let client = match connect(&doctor.connection, folders).await {
        Ok(client) => client,
        Err(problem) => {
            let is_here = doctor.connection.server.as_ref().is_none_or(is_loopback);
            return (away(problem, is_here), None);
        }
    };
    match client.workspaces(&[]).await {
        Ok(list) => {
            let check = good(format!("{} runs, with {} workspaces", client.server(), list.workspaces.len()));
            let own = Endpoints::read(&folders.data).orchestrator;
            let is_own = own.is_some_and(|own| client.is_at(&own.url));
            let elsewhere = orchestrator::doctor::elsewhere(&list.workspaces);
            // The homes of those that were deleted are kept, and nothing that is left over.
            let kept = client.workspaces(&[("deleted", "true".to_owned())]).await.map(|list| list.workspaces);
            let all = list.workspaces.into_iter().chain(kept.unwrap_or_default());
            let runtimes = all.map(|one| one.runtime_id).collect();
            // One of an older version does not say.
            let strays = client.strays().await.map(|list| list.strays).unwrap_or_default();
            (check, is_own.then_some(Known { runtimes, strays, elsewhere }))
        }
        Err(problem) => (away(problem, client.is_here()), None),
    }
}

fn away(problem: Problem, is_here: bool) -> Check {
    let bad = |detail, action| Check { name: "server".to_owned(), ok: false, detail, action };
    if problem.code != ErrorCode::OrchestratorUnreachable || !is_here {
        return bad(problem.detail, problem.action);
    }
    match taken_port() {
        None => good("does not run; its ports are free".to_owned()),
        Some(port) => bad(
            format!("does not run, and another program uses its port {port}"),
            Some("End that program, or use other ports: `pilot serve --help`.".to_owned()),
        ),
    }
}

fn good(detail: String) -> Check {
    Check { name: "server".to_owned(), ok: true, detail, action: None }
}

fn taken_port() -> Option<u16> {
    let host = &network().host;
    let ports = [host.gateway.http, host.orchestrator, host.admin];
    ports.into_iter().find(|port| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], *port))).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, ok: bool) -> Check {
        Check { name: name.to_owned(), ok, detail: "detail".to_owned(), action: Some("act".to_owned()) }
    }

    #[test]
    fn one_usable_provider_is_enough_but_every_tool_is_needed() {
        let (local, docker) = ("provider local", "provider docker");
        assert!(is_healthy(&[check("pulumi", true), check(local, true), check(docker, false)]));
        assert!(!is_healthy(&[check("pulumi", true), check(local, false), check(docker, false)]));
        assert!(!is_healthy(&[check("pulumi", false), check(local, true)]));
        assert!(!is_healthy(&[check("pulumi", true), check(local, false), check(FOR_TRYING, true)]));
    }
}
