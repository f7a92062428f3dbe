//! `docs/scale/compose.yaml`: two orchestrators on one PostgreSQL behind a load balancer, and a gateway, as the file starts them.
//! The images that it takes from a registry are made here from the distribution's packages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

const IMAGE: &str = "pilot-scale-test:1";

/// An installation of a test's own: a project of compose with ports of its own.
struct Installation {
    project: String,
    ports: Vec<(&'static str, u16)>,
    file: PathBuf,
    compose: Vec<&'static str>,
}

impl Installation {
    fn up() -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let build = ["build", "--quiet", "--tag", IMAGE, "--file", "scale.Dockerfile", "."];
        said(Command::new("docker").args(build).current_dir(tests.join("images")));
        let names = [
            "PILOT_PORT",
            "PILOT_GATEWAY_PORT",
            "PILOT_POSTGRES_PORT",
            "PILOT_ORCHESTRATOR_1_PORT",
            "PILOT_ORCHESTRATOR_2_PORT",
            "PILOT_ADMIN_1_PORT",
            "PILOT_ADMIN_2_PORT",
            "PILOT_ADMIN_GATEWAY_PORT",
        ];
        // Held until all are chosen, so that no two are the same.
        let free = names.map(|name| (name, TcpListener::bind("127.0.0.1:0").unwrap()));
        let ports: Vec<_> =
            free.iter().map(|(name, listener)| (*name, listener.local_addr().unwrap().port())).collect();
        drop(free);
        let is_there = Command::new("docker").args(["compose", "version"]).output().unwrap().status.success();
        let compose = if is_there { vec!["docker", "compose"] } else { vec!["docker-compose"] };
        let project = format!("pilotscale{}", ports[0].1);
        let file = tests.parent().unwrap().join("docs/scale/compose.yaml");
        let installation = Self { project, ports, file, compose };
        installation.compose(&["up", "--detach"]);
        installation
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.compose[0]);
        command
            .args(&self.compose[1..])
            .args(["--project-name", &self.project])
            .arg("--file")
            .arg(&self.file);
        command.args(arguments).env("PILOT_DATABASE_PASSWORD", "of-this-test");
        command.env("POSTGRES_IMAGE", IMAGE).env("HAPROXY_IMAGE", IMAGE);
        command.envs(self.ports.iter().map(|(name, port)| (*name, port.to_string())));
        command
    }

    fn compose(&self, arguments: &[&str]) -> String {
        said(&mut self.command(arguments))
    }

    fn pilot(&self, service: &str, words: &[&str]) -> String {
        self.compose(&[&["exec", "-T", service, "pilot"], words].concat())
    }

    fn secret(&self, name: &str) -> String {
        self.compose(&["exec", "-T", "orchestrator-2", "cat", &format!("/var/lib/pilot/secrets/{name}")])
    }

    fn url(&self, port: &str, path: &str) -> String {
        let (_, port) = self.ports.iter().find(|(name, _)| *name == port).unwrap();
        format!("http://127.0.0.1:{port}{path}")
    }

    /// Containers of its workspaces.
    fn instances(&self) -> String {
        let label = format!("label=pilot.installation={}", self.secret("installation").trim());
        said(Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &label]))
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.command(&["logs", "--tail", "60"]).output().unwrap();
            let _ = std::io::Write::write_all(&mut std::io::stderr(), &logs.stdout);
            // What has failed may keep this from working, too.
            let secret = ["exec", "-T", "orchestrator-2", "cat", "/var/lib/pilot/secrets/installation"];
            let secret = self.command(&secret).output().unwrap().stdout;
            let label = format!("label=pilot.installation={}", String::from_utf8_lossy(&secret).trim());
            let list = Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &label]).output();
            let list = String::from_utf8_lossy(&list.unwrap().stdout).into_owned();
            let _ = Command::new("docker").args(["rm", "--force"]).args(list.split_whitespace()).output();
            tests::keeper::remove_keepers(String::from_utf8_lossy(&secret).trim());
        }
        let _ = self.command(&["down", "--volumes", "--timeout", "5"]).output();
    }
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn what_an_orchestrator_behind_the_load_balancer_had_accepted_when_it_was_killed_is_done_by_the_other()
{
    let here = Installation::up();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let token = here.secret("admin-token");
    let get = async |port: &str, path: &str| {
        let request = client.get(here.url(port, path)).bearer_auth(token.trim());
        let answer = request.timeout(Duration::from_secs(10)).send().await;
        answer.map_or(0, |answer| answer.status().as_u16())
    };
    let accepted = here.pilot("orchestrator-1", &["ws", "create", "demo", "--no-wait", "--json"]);
    here.compose(&["kill", "orchestrator-1"]);
    let accepted: Value = serde_json::from_str(accepted.lines().next().unwrap()).unwrap();
    let operation = accepted["operation"]["id"].as_str().unwrap();
    let url = here.url("PILOT_GATEWAY_PORT", "/").replace("127.0.0.1", "demo.localhost");
    assert_eq!(accepted["workspace"]["url"], url.as_str());
    here.pilot("orchestrator-2", &["op", "watch", operation]);

    // Through the load balancer and the gateway, as users come, from the first request on.
    assert_eq!(get("PILOT_PORT", "/v1/workspaces/demo").await, 200);
    let deadline = Instant::now() + Duration::from_secs(30);
    while get("PILOT_GATEWAY_PORT", "/api/chamber/workspaces/demo/config").await != 200 {
        assert!(Instant::now() < deadline, "the gateway does not find the workspace");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The one that was killed comes back, and the other can go.
    here.compose(&["up", "--detach", "orchestrator-1"]);
    here.compose(&["kill", "orchestrator-2"]);
    here.pilot("orchestrator-1", &["ws", "stop", "demo"]);
    here.compose(&["up", "--detach", "orchestrator-2"]);
    here.pilot("orchestrator-2", &["ws", "rm", "--purge", "--yes", "demo"]);
    assert_eq!(here.instances(), "");
}
