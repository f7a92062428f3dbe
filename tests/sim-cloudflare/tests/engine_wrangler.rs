//! Cloudflare's own client, unmodified, against the simulator; and what it deployed really runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

#[path = "support/world.rs"]
mod world;

use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::json;
use world::{World, eventually};

const WORKER: &str = r#"
import { DurableObject } from "cloudflare:workers";

export class Box extends DurableObject {
  async fetch(request) {
    const { container, storage } = this.ctx;
    const path = new URL(request.url).pathname;
    if (path === "/start") {
      if (!container.running) container.start({ env: { WORD: "hello" }, enableInternet: false });
      container.monitor().catch(() => {});
      for (let tries = 0; tries < 100; tries++) {
        try {
          const signal = AbortSignal.timeout(800);
          return await container.getTcpPort(8080).fetch("http://box/", { signal });
        } catch { await new Promise((resolve) => setTimeout(resolve, 50)); }
      }
    }
    if (path === "/stop") { const end = container.monitor().catch(() => {}); await container.destroy(); await end; }
    const count = ((await storage.get("count")) ?? 0) + 1;
    await storage.put("count", count);
    return new Response(`${count} ${container.running}`);
  }
}

export default {
  fetch(request, env) {
    if (new URL(request.url).pathname === "/") return new Response(`${env.GREETING} ${typeof env.SECRET}`);
    return env.BOXES.get(env.BOXES.idFromName("one")).fetch(request);
  },
};
"#;

/// The smallest image that answers HTTP, made without a registry.
const DOCKERFILE: &str = r#"
EXPOSE 8080
ENTRYPOINT ["perl", "-MIO::Socket::INET", "-e", "$SIG{TERM} = sub { exit 0 }; my $s = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die; while (my $c = $s->accept) { while (<$c>) { last if /^\\r\\n$/ } print $c \"HTTP/1.1 200 OK\\r\\ncontent-length: 5\\r\\nconnection: close\\r\\n\\r\\n$ENV{WORD}\"; close $c }"]
"#;

const IMAGE: &str = "sim-cloudflare-test:1";

fn build_image() {
    let folder = tempfile::tempdir().unwrap();
    let base = format!("FROM debian:bookworm-slim{DOCKERFILE}");
    std::fs::write(folder.path().join("Dockerfile"), base).unwrap();
    let mut docker = Command::new("docker");
    docker.args(["build", "--quiet", "--tag", IMAGE]).arg(folder.path()).env("DOCKER_BUILDKIT", "0");
    let built = docker.output().expect("docker is installed");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new(world: &World) -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(project.folder.path().join("index.js"), WORKER).unwrap();
        project.configure(world, "hi", "lite", 2);
        project
    }

    fn configure(&self, world: &World, greeting: &str, size: &str, most: u32) {
        let account = &world.sim.urls.account;
        let config = json!({
            "name": "boxes",
            "main": "index.js",
            "compatibility_date": "2025-10-01",
            "workers_dev": true,
            "vars": {"GREETING": greeting},
            "durable_objects": {"bindings": [{"name": "BOXES", "class_name": "Box"}]},
            "migrations": [{"tag": "v1", "new_sqlite_classes": ["Box"]}],
            "containers": [{
                "class_name": "Box",
                "name": "boxes-box",
                "image": format!("registry.cloudflare.com/{account}/{IMAGE}"),
                "instance_type": size,
                "max_instances": most,
            }],
        });
        std::fs::write(self.folder.path().join("wrangler.json"), config.to_string()).unwrap();
    }

    /// Runs wrangler on another thread, because the simulator lives in this process.
    async fn wrangler(&self, world: &World, arguments: &[&str]) -> String {
        let program = sim_cloudflare::options::tools().join("node_modules/wrangler/bin/wrangler.js");
        assert!(program.exists(), "{} is missing: run `cargo xtask tools --tests`", program.display());
        let mut command = Command::new("node");
        command
            .arg(&program)
            .args(arguments)
            .current_dir(self.folder.path())
            .env("CLOUDFLARE_API_BASE_URL", &world.sim.urls.api)
            .env("CLOUDFLARE_API_TOKEN", "sim-token")
            .env("CLOUDFLARE_ACCOUNT_ID", &world.sim.urls.account)
            .env("WRANGLER_SEND_METRICS", "false")
            .env("WRANGLER_HIDE_BANNER", "true")
            .env("CI", "true")
            .env("HOME", self.folder.path())
            .stdin(std::process::Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "wrangler {arguments:?}:\n{said}");
        said.into_owned()
    }
}

fn containers(folder: &Path) -> Vec<String> {
    let filter = format!("label=sim-cloudflare.folder={}", folder.display());
    let output = Command::new("docker").args(["ps", "-aq", "--filter", &filter]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// A test that fails stops no simulator; its containers end with this.
struct Containers(PathBuf);

impl Drop for Containers {
    fn drop(&mut self) {
        let left = containers(&self.0);
        if !left.is_empty() {
            let _ = Command::new("docker").args(["rm", "-f", "-v"]).args(left).output();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrangler_deploys_unmodified_and_what_it_deployed_runs() {
    build_image();
    let world = World::start().await;
    let _containers = Containers(world.folder.path().to_path_buf());
    let project = Project::new(&world);
    let said = project.wrangler(&world, &["deploy"]).await;
    assert!(said.contains("Created application"), "{said}");
    assert!(said.contains("boxes.sim.workers.dev"), "{said}");
    assert_eq!(world.text("boxes", "/").await, "hi undefined");

    // A container answers; Durable Objects remember.
    assert_eq!(world.text("boxes", "/start").await, "hello");
    assert_eq!(world.text("boxes", "/count").await, "1 true");
    assert_eq!(containers(world.folder.path()).len(), 1);
    let apps = world.account("/containers/applications");
    let app = world.result(Method::GET, &apps, None).await[0]["id"].as_str().unwrap().to_owned();
    let instances = world.account(&format!("/containers/dash/applications/{app}/instances"));
    let listed = world.result(Method::GET, &instances, None).await;
    assert_eq!(listed["durable_objects"].as_array().unwrap().len(), 1);

    // A change of the configuration is for new containers, and is merged into what there is; what runs stays.
    let running = containers(world.folder.path());
    let of = format!("{apps}/{app}");
    let larger = json!({"configuration": {"instance_type": "standard-1"}});
    let changed = world.result(Method::PATCH, &of, Some(larger)).await;
    assert_eq!(changed["configuration"]["instance_type"], "standard-1");
    assert!(changed["configuration"]["image"].as_str().unwrap().ends_with(IMAGE), "{changed:#}");
    assert_eq!(world.result(Method::GET, &of, None).await["configuration"], changed["configuration"]);
    assert_eq!(containers(world.folder.path()), running);
    // What is not simulated is not left out without a word.
    let near = json!({"affinities": {"colocation": "datacenter"}});
    assert_eq!(world.refused(Method::PATCH, &of, Some(near)).await, (400, 1000));

    // Another deploy changes the script, and the application by a rollout that renews what runs.
    project.configure(&world, "hey", "basic", 3);
    project.wrangler(&world, &["deploy"]).await;
    assert_eq!(world.text("boxes", "/").await, "hey undefined");
    let changed = world.result(Method::GET, &format!("{apps}/{app}"), None).await;
    assert_eq!(
        (&changed["configuration"]["instance_type"], &changed["max_instances"]),
        (&json!("basic"), &json!(3))
    );
    let folder: PathBuf = world.folder.path().to_path_buf();
    eventually("the old container ends", async || containers(&folder).is_empty()).await;
    assert_eq!(world.text("boxes", "/start").await, "hello");
    assert_eq!(world.text("boxes", "/count").await, "2 true");
    assert_eq!(world.text("boxes", "/stop").await, "3 false");
    assert_eq!(containers(&folder), Vec::<String>::new());

    let said = project.wrangler(&world, &["secret", "list"]).await;
    assert!(said.contains("[]"), "{said}");
    assert_eq!(world.text("boxes", "/start").await, "hello");
    project.wrangler(&world, &["delete", "--force"]).await;
    assert_eq!(
        world.refused(Method::GET, &world.account("/workers/services/boxes"), None).await,
        (404, 10090)
    );
    eventually("its container is gone with it", async || containers(&folder).is_empty()).await;
    world.sim.stop().await;
}
