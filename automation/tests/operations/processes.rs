//! Which processes the driver starts, when, and with what around them.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pulumi_auto::stack::HistoryOptions;
use pulumi_auto::{Cli, Command, ConfigOptions, Error, Options, Program, Source, Stack, Workspace, program};

use crate::support::world::{PROJECT, World};
use crate::things::{nothing, thing};

/// The CLI of a world behind a script that tells of every run.
struct Watched {
    workspace: Workspace,
    folder: PathBuf,
}

impl Watched {
    /// `$REAL` in the script is the real CLI, `$LOG` a file.
    async fn new(world: &World, script: &str, change: impl FnOnce(Cli) -> Cli) -> Self {
        let folder = world.folder().join("watched");
        std::fs::create_dir(&folder).unwrap();
        let (real, log) = (world.cli.path(), folder.join("log"));
        // Language hosts are found beside the CLI.
        let host = "pulumi-language-yaml";
        symlink(real.with_file_name(host), folder.join(host)).unwrap();
        let script = script.replace("$REAL", &real.display().to_string());
        let script = script.replace("$LOG", &log.display().to_string());
        let cli = open(&folder.join("pulumi"), &script).await;
        std::fs::write(log, "").unwrap();
        let place = world.workspace.place().clone();
        let workspace =
            Workspace::inline(change(cli), PROJECT, place.directory, place.home, place.backend).unwrap();
        let workspace = workspace
            .with_passphrase_file(world.folder().join("passphrase"))
            .with_attached_provider("cloud", world.cloud.port());
        Self { workspace, folder }
    }

    /// What was told since the last time.
    fn told(&self) -> Vec<String> {
        let log = self.folder.join("log");
        let told = std::fs::read_to_string(&log).unwrap();
        std::fs::write(log, "").unwrap();
        told.lines().map(str::to_owned).collect()
    }

    /// The arguments of the only run since the last time.
    fn run(&self, what: &str) -> String {
        let told = self.told();
        assert_eq!(told.len(), 1, "{what}: {told:?}");
        assert!(told[0].starts_with(what), "{what}: {told:?}");
        told[0].clone()
    }
}

async fn open(path: &Path, script: &str) -> Cli {
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Cli::open(path).await.unwrap()
}

fn one() -> Arc<dyn Program> {
    program(|context| async move {
        context.register(thing("a", [("label", "red".into())])).await?;
        Ok(nothing())
    })
}

const ARGUMENTS: &str = "#!/bin/sh\nprintf '%s\\n' \"$*\" >> $LOG\nexec $REAL \"$@\"\n";

#[tokio::test]
async fn every_operation_and_every_command_is_one_process() {
    let world = World::new().await;
    let watched = Watched::new(&world, ARGUMENTS, |cli| cli).await;
    let (options, plain) = (Options::default(), ConfigOptions::default());
    let stack = watched.workspace.create_stack("one").await.unwrap();
    watched.run("stack init");
    stack.preview(one()).with(&options).await.unwrap();
    watched.run("preview");
    stack.up(one()).with(&options).await.unwrap();
    watched.run("up");
    stack.preview_refresh(one()).with(&options).await.unwrap();
    watched.run("refresh");
    stack.refresh(one()).with(&options).await.unwrap();
    watched.run("refresh");
    stack.outputs().await.unwrap();
    watched.run("stack export");
    let state = stack.export().await.unwrap();
    watched.run("stack export");
    stack.import(&state).await.unwrap();
    watched.run("stack import");
    stack.history(&HistoryOptions::default()).await.unwrap();
    watched.run("stack history");
    stack.last_update().await.unwrap();
    watched.run("stack history");
    stack.set_config("colour", "red", &plain).await.unwrap();
    watched.run("config set");
    stack.get_config("colour", &plain).await.unwrap();
    watched.run("config get");
    stack.get_all_config(&plain).await.unwrap();
    watched.run("config");
    stack.set_tag("team", "red").await.unwrap();
    watched.run("stack tag set");
    watched.workspace.stacks(false).await.unwrap();
    watched.run("stack ls");
    watched.workspace.whoami().await.unwrap();
    watched.run("whoami");
    watched.workspace.select_stack("one").await.unwrap();
    watched.run("stack select");
    let stack = stack.rename("two").await.unwrap();
    watched.run("stack rename");
    stack.preview_destroy(one()).with(&options).await.unwrap();
    watched.run("destroy");
    stack.destroy(one()).with(&options).await.unwrap();
    watched.run("destroy");
    stack.remove().await.unwrap();
    watched.run("stack rm");
    assert_eq!(world.cloud.changes(), ["create a", "delete a-1"]);
}

fn environment(told: Vec<String>) -> BTreeMap<String, String> {
    let pairs = told.into_iter().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    });
    pairs.collect()
}

#[tokio::test]
async fn the_environment_is_what_the_driver_the_workspace_and_the_run_say_and_nothing_else() {
    let world = World::new().await;
    // Of the process as it began: a shell adds to its own.
    let script = "#!/bin/sh\ntr '\\0' '\\n' < /proc/$$/environ >> $LOG\nexec $REAL \"$@\"\n";
    let mut watched = Watched::new(&world, script, |cli| cli).await;
    watched.workspace = watched.workspace.clone().with_env("SHOP_REGION", "east").with_env("SHOP_GONE", "x");
    let workspace = watched.workspace.clone().without_env("SHOP_GONE");
    let stack = workspace.create_stack("environment").await.unwrap();
    let of_command = environment(watched.told());
    stack.up(one()).env("SHOP_RUN", "7").await.unwrap();
    let of_run = environment(watched.told());
    stack.export().await.unwrap();
    let after = environment(watched.told());

    let home = world.workspace.place().home.display().to_string();
    for env in [&of_command, &of_run, &after] {
        let (pulumi, others): (Vec<&str>, Vec<&str>) =
            env.keys().map(String::as_str).partition(|key| key.starts_with("PULUMI_"));
        let run: &[&str] = if std::ptr::eq(env, &of_run) { &["SHOP_RUN"] } else { &[] };
        let expected = [&["HOME", "NO_COLOR", "PATH", "SHOP_REGION"], run].concat();
        assert_eq!(others, expected);
        assert!(pulumi.contains(&"PULUMI_BACKEND_URL"), "{pulumi:?}");
        assert_eq!((&env["HOME"], &env["PULUMI_HOME"]), (&home, &home));
        assert_eq!(env["SHOP_REGION"], "east");
        let tools = watched.folder.display().to_string();
        assert_eq!(env["PATH"].split(':').next(), Some(tools.as_str()));
    }
    assert_eq!(of_run["SHOP_RUN"], "7");
    // What this process has, and what therefore could have been inherited.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert_ne!(std::env::var("HOME").unwrap(), home);
}

#[tokio::test]
async fn as_many_processes_run_at_once_as_are_allowed() {
    let world = World::new().await;
    let script = "#!/bin/sh\necho begin >> $LOG\n$REAL \"$@\"\ncode=$?\necho end >> $LOG\nexit $code\n";
    let watched = Watched::new(&world, script, |cli| cli.with_processes(1)).await;
    let names = ["left", "right", "middle"];
    let made = names.map(|name| watched.workspace.create_stack(name));
    let stacks: Vec<Stack> = futures_util::future::try_join_all(made).await.unwrap();
    let ups = stacks.iter().map(|stack| stack.up(one()).into_future());
    futures_util::future::try_join_all(ups).await.unwrap();
    let told = watched.told();
    assert_eq!(told, ["begin", "end"].repeat(2 * names.len()));
}

#[tokio::test]
async fn a_command_takes_no_longer_than_its_limit_and_waits_for_a_lock_as_long_as_it_may() {
    let world = World::new().await;
    let folder = world.folder().join("slow");
    std::fs::create_dir(&folder).unwrap();
    // What was ignored when a shell began stays ignored, as in jobs that run in the background.
    let script = "#!/bin/sh\ntest \"$1\" = version && echo v3.276.0 && exit\n\
                  exec env --default-signal=INT sleep 3600\n";
    let cli = open(&folder.join("pulumi"), script).await;
    let place = world.workspace.place().clone();
    let workspace = Workspace::inline(cli, PROJECT, place.directory, place.home, place.backend).unwrap();
    let (limit, began) = (Duration::from_millis(200), Instant::now());
    let workspace = workspace.with_timeout(limit).with_lock_timeout(limit);
    let error = workspace.command(&Command::new(["whoami"])).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { timeout: told } if told == limit), "{error:?}");
    let stack = workspace.stack("slow");
    let options = Options::default().timeout(limit);
    let error = stack.up(Source::Project).with(&options).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { timeout: told } if told == limit), "{error:?}");

    let locks = world.folder().join("state/.pulumi/locks/organization").join(PROJECT).join("slow");
    std::fs::create_dir_all(&locks).unwrap();
    std::fs::write(locks.join("x.json"), r#"{"pid": 1, "username": "me", "hostname": "elsewhere"}"#).unwrap();
    let waited = Instant::now();
    let error = stack.remove().await.unwrap_err();
    assert!(matches!(error, Error::ConcurrentUpdate { .. }), "{error:?}");
    assert!(waited.elapsed() >= limit);
    assert!(began.elapsed() < Duration::from_secs(60), "nothing waited for the whole hour");
}
