//! `pilot doctor`: is everything there that a workspace needs? Changes nothing.

use std::net::{SocketAddr, TcpListener};

use contracts::network::network;
use contracts::{ErrorCode, Problem};
use orchestrator::data::Layout;
use orchestrator::doctor::{Check, DoctorConfig};
use serde_json::json;

use crate::Outcome;
use crate::args::{Doctor, Folders};
use crate::connection::connect;
use crate::serve::provider_settings;
use crate::ui::Ui;

pub async fn run(doctor: Doctor, folders: Folders, ui: &mut Ui) -> Result<Outcome, Problem> {
    let server = server(&doctor, &folders).await;
    let config = DoctorConfig {
        layout: Layout { root: folders.data },
        tools: Default::default(),
        settings: provider_settings(&doctor.providing),
    };
    let mut checks = orchestrator::doctor::run(&config).await;
    checks.push(server);
    let healthy = is_healthy(&checks);
    if ui.json {
        ui.document(&json!({ "ok": healthy, "checks": checks }));
    } else {
        show(&checks, healthy, ui);
    }
    Ok(if healthy { Outcome::Done } else { Outcome::Negative })
}

/// Providers are alternatives: one that works is enough. Everything else must be right.
fn is_healthy(checks: &[Check]) -> bool {
    let (providers, rest): (Vec<&Check>, Vec<&Check>) =
        checks.iter().partition(|check| check.name.starts_with("provider "));
    rest.iter().all(|check| check.ok) && (providers.is_empty() || providers.iter().any(|check| check.ok))
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

/// Whether a server answers; when none does, whether its ports are free.
async fn server(doctor: &Doctor, folders: &Folders) -> Check {
    let asked = async {
        let client = connect(&doctor.connection, folders).await?;
        let list = client.workspaces(&[]).await?;
        Ok::<_, Problem>(format!("{} runs, with {} workspaces", client.server(), list.workspaces.len()))
    };
    match asked.await {
        Ok(detail) => good(detail),
        Err(problem) if problem.code == ErrorCode::OrchestratorUnreachable => match taken_port() {
            None => good("does not run; its ports are free".to_owned()),
            Some(port) => Check {
                name: "server".to_owned(),
                ok: false,
                detail: format!("does not run, and another program uses its port {port}"),
                action: Some("End that program, or use other ports: `pilot serve --help`.".to_owned()),
            },
        },
        Err(problem) => {
            Check { name: "server".to_owned(), ok: false, detail: problem.detail, action: problem.action }
        }
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
    }
}
