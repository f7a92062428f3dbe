//! What an engine finds in its environment: built here from nothing, never inherited.

use std::ffi::OsString;
use std::path::Path;

use crate::engine::Place;
use crate::options::Options;

/// Keeps the engine from installing plugins when they are needed.
const NO_DOWNLOADS: &str = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION";

/// What every engine gets. `tools` is the folder of the CLI: language hosts are beside it.
pub(crate) fn of_engine(place: &Place, tools: Option<&Path>) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |key: &str, value: OsString| env.push((key.into(), value));
    let mut path = tools.map(|tools| tools.as_os_str().to_owned()).unwrap_or_default();
    if tools.is_some() {
        path.push(":");
    }
    path.push("/usr/local/bin:/usr/bin:/bin");
    set("PATH", path);
    set("HOME", place.home.clone().into());
    set("PULUMI_HOME", place.home.clone().into());
    set("PULUMI_AUTOMATION_API", "true".into());
    set("PULUMI_DEBUG_COMMANDS", "true".into());
    set("PULUMI_SKIP_UPDATE_CHECK", "true".into());
    set("PULUMI_DISABLE_REGISTRY_RESOLVE", "true".into());
    set("PULUMI_DIY_BACKEND_NO_LEGACY_WARNING", "true".into());
    // A lost settings file must not silently get a new salt.
    set("PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER", "true".into());
    set("NO_COLOR", "1".into());
    env
}

/// What the workspace adds; it comes after everything of the driver.
pub(crate) fn of_place(place: &Place) -> impl Iterator<Item = (OsString, OsString)> {
    place.env.iter().map(|(key, value)| (key.into(), value.into()))
}

/// What one operation adds; it comes last.
pub(crate) fn of_run(options: &Options) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = Vec::new();
    if !options.install_plugins {
        env.push((NO_DOWNLOADS.into(), "true".into()));
    }
    env.extend(options.debug.env.iter().map(|(key, value)| (key.into(), value.into())));
    if options.remote.is_some() {
        env.push(("PULUMI_EXPERIMENTAL".into(), "true".into()));
    }
    env
}
