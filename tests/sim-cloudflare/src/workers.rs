//! Scripts that run: one `workerd` for each, with its Durable Objects on the disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, RwLock};

use crate::capnp::{Binding, Class, Module, Plan, Value};
use crate::objects::{Namespace, Script, Version};
use crate::options::Options;

const START_LIMIT: Duration = Duration::from_secs(20);
const END_LIMIT: Duration = Duration::from_secs(5);

/// Runs before the script: with Cloudflare's clocks, and with all that containers have there.
const FIRST_MAIN: &str = "main-of-the-simulator.js";
/// What Cloudflare's containers have and `workerd`'s have not.
const PLATFORM: &str = include_str!("workers/platform.js");

pub struct Workers {
    workerd: PathBuf,
    folder: PathBuf,
    container_socket: PathBuf,
    /// Where `platform.js` asks.
    platform: String,
    /// Held for writing while a new version starts, so that requests wait for it.
    running: Mutex<HashMap<String, Arc<RwLock<Option<Process>>>>>,
}

struct Process {
    child: Child,
    port: u16,
    config: PathBuf,
}

impl Workers {
    pub fn new(options: &Options, container_socket: PathBuf, platform: String) -> Self {
        Self {
            workerd: options.workerd.clone(),
            folder: options.folder.join("workers"),
            container_socket,
            platform,
            running: Mutex::default(),
        }
    }

    /// Where a module of a version lies.
    pub fn module(&self, script: &str, version: &str, number: usize) -> PathBuf {
        self.folder.join(script).join(version).join(format!("module-{number}"))
    }

    /// The secrets of a script, by name. They are in no journal.
    pub fn secrets(&self, script: &str) -> HashMap<String, String> {
        let text = std::fs::read(self.folder.join(script).join("secrets.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    pub fn keep_secrets(&self, script: &str, secrets: &HashMap<String, String>) -> std::io::Result<()> {
        std::fs::create_dir_all(self.folder.join(script))?;
        std::fs::write(self.folder.join(script).join("secrets.json"), serde_json::to_vec(secrets)?)
    }

    /// Starts the current version in place of what ran. When it does not start, what ran before is
    /// started again, and the error holds workerd's words.
    pub async fn deploy(&self, script: &Script, namespaces: &[Namespace], skew: i64) -> anyhow::Result<()> {
        let Some(version) = script.current() else { return Ok(()) };
        let config = self.configure(script, version, namespaces, skew)?;
        let slot = self.slot(&script.name).await;
        let mut running = slot.write().await;
        let before = match running.take() {
            Some(process) => Some(process.end().await),
            None => None,
        };
        match self.spawn(&config).await {
            Ok(process) => *running = Some(process),
            Err(error) => {
                if let Some(before) = before {
                    *running = self.spawn(&before).await.ok();
                }
                return Err(error);
            }
        }
        Ok(())
    }

    pub async fn remove(&self, script: &str) {
        let slot = self.running.lock().await.remove(script);
        if let Some(slot) = slot
            && let Some(process) = slot.write().await.take()
        {
            process.end().await;
        }
        // Durable Objects go with their script; a folder that stays harms nobody.
        let _ = std::fs::remove_dir_all(self.folder.join(script));
    }

    /// The loopback port of a script; one that died is started again.
    pub async fn port(&self, script: &str) -> Option<u16> {
        let slot = self.running.lock().await.get(script).cloned()?;
        if let Some(process) = slot.read().await.as_ref()
            && process.is_alive()
        {
            return Some(process.port);
        }
        let mut running = slot.write().await;
        let config = running.as_ref()?.config.clone();
        *running = Some(self.spawn(&config).await.ok()?);
        running.as_ref().map(|process| process.port)
    }

    pub async fn end(&self) {
        for (_, slot) in self.running.lock().await.drain() {
            if let Some(process) = slot.write().await.take() {
                process.end().await;
            }
        }
    }

    async fn slot(&self, script: &str) -> Arc<RwLock<Option<Process>>> {
        self.running.lock().await.entry(script.to_owned()).or_default().clone()
    }

    fn configure(
        &self,
        script: &Script,
        version: &Version,
        namespaces: &[Namespace],
        skew: i64,
    ) -> anyhow::Result<PathBuf> {
        let (home, secrets) = (self.folder.join(&script.name), self.secrets(&script.name));
        let storage = home.join("objects");
        let folder = home.join(&version.id);
        std::fs::create_dir_all(&storage)?;
        std::fs::create_dir_all(&folder)?;
        let mut modules: Vec<Module> = version
            .modules
            .iter()
            .enumerate()
            .map(|(number, kind_and_name)| {
                let (kind, name) = kind_and_name.split_once(' ').unwrap_or(("esModule", kind_and_name));
                Module { name, kind, file: format!("module-{number}") }
            })
            .collect();
        modules.sort_by_key(|module| module.name != version.main_module);
        if skew != 0 || !version.containers.is_empty() {
            let ours = [
                ("clock-of-the-simulator.js", "clock", clock(skew)),
                ("platform-of-the-simulator.js", "platform", PLATFORM.to_owned()),
                (FIRST_MAIN, "main", self.wrapper(version)),
            ];
            for (name, file, text) in ours {
                std::fs::write(folder.join(file), text)?;
                let module = Module { name, kind: "esModule", file: file.to_owned() };
                modules.insert(if name == FIRST_MAIN { 0 } else { modules.len() }, module);
            }
        }
        let mut bindings: Vec<Binding> = version.bindings.iter().filter_map(binding).collect();
        let secret = |(name, text)| Binding { name, value: Value::Text(text) };
        bindings.extend(secrets.iter().map(|(name, text)| (name.as_str(), text.as_str())).map(secret));
        let plan = Plan {
            compatibility_date: &version.compatibility_date,
            compatibility_flags: &version.compatibility_flags,
            modules,
            bindings,
            namespaces: namespaces
                .iter()
                .map(|namespace| Class {
                    name: &namespace.class,
                    key: &namespace.id,
                    sql: namespace.use_sqlite,
                    container: version.containers.contains(&namespace.class),
                })
                .collect(),
            storage: &storage.display().to_string(),
            container_socket: &self.container_socket.display().to_string(),
        };
        let config = folder.join("config.capnp");
        std::fs::write(&config, plan.text())?;
        Ok(config)
    }

    /// The clock first: modules are evaluated in the order of their imports.
    fn wrapper(&self, version: &Version) -> String {
        let quoted = |text: &str| Json::from(text).to_string();
        let (main, at) = (quoted(&format!("./{}", version.main_module)), quoted(&self.platform));
        let equipped = |class: &String| {
            format!(
                "export class {class} extends main.{class} {{\n  constructor(ctx, env) {{\n    equip(ctx, {at});\n    \
                 super(ctx, env);\n  }}\n}}\n"
            )
        };
        let classes: String = version.containers.iter().map(equipped).collect();
        format!(
            "import \"./clock-of-the-simulator.js\";\nimport {{ equip }} from \"./platform-of-the-simulator.js\";\n\
             import * as main from {main};\nexport * from {main};\nexport {{ default }} from {main};\n{classes}"
        )
    }

    async fn spawn(&self, config: &Path) -> anyhow::Result<Process> {
        let folder = config.parent().context("the configuration is in a folder")?;
        let log = folder.join("workerd.log");
        let mut child = Command::new(&self.workerd)
            .args(["serve", "--experimental", "--control-fd=1"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::options().create(true).append(true).open(&log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!("{} cannot be started; run `cargo xtask tools`", self.workerd.display())
            })?;
        let mut lines = BufReader::new(child.stdout.take().context("workerd has an output")?).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                let event: Json = serde_json::from_str(&line).unwrap_or_default();
                if event["event"] == "listen"
                    && let Some(port) = event["port"].as_u64()
                {
                    return Ok(u16::try_from(port)?);
                }
            }
            bail!("workerd ended: {}", last_words(&log))
        };
        let port =
            tokio::time::timeout(START_LIMIT, listening).await.context("workerd does not listen")??;
        Ok(Process { child, port, config: config.to_path_buf() })
    }
}

impl Process {
    fn is_alive(&self) -> bool {
        let Some(pid) = self.pid() else { return false };
        rustix::process::test_kill_process(pid).is_ok()
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }

    /// Ends it and gives back what it ran.
    async fn end(mut self) -> PathBuf {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(END_LIMIT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
        self.config
    }
}

/// None for a secret, whose text is elsewhere.
fn binding(sent: &Json) -> Option<Binding<'_>> {
    let name = sent["name"].as_str()?;
    let value = match sent["type"].as_str()? {
        "plain_text" => Value::Text(sent["text"].as_str()?),
        "json" => Value::Json(sent["json"].to_string()),
        "durable_object_namespace" => Value::Namespace(sent["class_name"].as_str()?),
        _ => return None,
    };
    Some(Binding { name, value })
}

fn clock(skew: i64) -> String {
    let ms = skew * 1000;
    format!("const now = Date.now.bind(Date);\nDate.now = () => now() + ({ms});\n")
}

fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
