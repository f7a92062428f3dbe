//! What an engine finds in its environment: built here from nothing, or from what the workspace inherits.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::engine::{Passphrase, Place};
use crate::options::Options;

/// Keeps the engine from installing plugins when they are needed.
const NO_DOWNLOADS: &str = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION";

/// Where programs are looked for where nothing is inherited.
pub(crate) const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What every engine gets. `tools` is the folder of the CLI: language hosts are beside it.
pub(crate) fn of_engine(place: &Place, tools: Option<&Path>) -> Vec<(OsString, OsString)> {
    let inherited = place.inherited.iter().filter(|(key, _)| !is_said(place, key));
    let mut env: Vec<(OsString, OsString)> =
        inherited.map(|(key, value)| (key.clone(), value.clone())).collect();
    let of_user = |key: &str| place.inherited.get(OsStr::new(key)).cloned();
    let mut set = |key: &str, value: OsString| env.push((key.into(), value));
    let mut path = tools.map(|tools| tools.as_os_str().to_owned()).unwrap_or_default();
    if tools.is_some() {
        path.push(":");
    }
    path.push(of_user("PATH").unwrap_or_else(|| PATH.into()));
    set("PATH", path);
    set("HOME", of_user("HOME").unwrap_or_else(|| place.home.clone().into()));
    set("PULUMI_HOME", place.home.clone().into());
    set("PULUMI_AUTOMATION_API", "true".into());
    set("PULUMI_DEBUG_COMMANDS", "true".into());
    set("PULUMI_SKIP_UPDATE_CHECK", "true".into());
    // The engine host takes silence for a yes.
    set(NO_DOWNLOADS, of_user(NO_DOWNLOADS).unwrap_or_else(|| "false".into()));
    set("PULUMI_DISABLE_REGISTRY_RESOLVE", "true".into());
    set("PULUMI_DIY_BACKEND_NO_LEGACY_WARNING", "true".into());
    // A lost settings file must not silently get a new salt.
    set("PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER", "true".into());
    set("NO_COLOR", "1".into());
    env
}

/// True when the workspace has its own word for it, perhaps in another variable.
fn is_said(place: &Place, key: &OsStr) -> bool {
    let passphrases = ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"];
    place.passphrase != Passphrase::Absent && passphrases.iter().any(|said| key == *said)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::recorder::Recorder;

    fn text(env: Vec<(OsString, OsString)>) -> BTreeMap<String, String> {
        let text = |part: OsString| part.into_string().unwrap();
        env.into_iter().map(|(key, value)| (text(key), text(value))).collect()
    }

    #[test]
    fn what_is_inherited_counts_where_the_workspace_says_nothing() {
        let plain = Recorder::default().workspace();
        let none = text(of_engine(plain.place(), Some(Path::new("/tools"))));
        assert_eq!(none["PATH"], "/tools:/usr/local/bin:/usr/bin:/bin");
        assert!(!none.contains_key("CARGO_MANIFEST_DIR"));
        let all = text(of_engine(plain.clone().inherit_env().place(), Some(Path::new("/tools"))));
        assert_eq!(all["PATH"], format!("/tools:{}", std::env::var("PATH").unwrap()));
        assert_eq!(all["CARGO_MANIFEST_DIR"], std::env::var("CARGO_MANIFEST_DIR").unwrap());
        assert_eq!(all["PULUMI_HOME"], none["PULUMI_HOME"]);

        let mut place = plain.place().clone();
        let said = [("PULUMI_CONFIG_PASSPHRASE", "x"), ("HOME", "/me"), ("PULUMI_HOME", "/me/.pulumi")];
        place.inherited = said.map(|(key, value)| (key.into(), value.into())).into();
        let env = text(of_engine(&place, None));
        assert_eq!((env["HOME"].as_str(), env["PULUMI_CONFIG_PASSPHRASE"].as_str()), ("/me", "x"));
        assert_eq!(env["PULUMI_HOME"], none["PULUMI_HOME"]);
        place.passphrase = Passphrase::File("/phrase".into());
        assert!(!text(of_engine(&place, None)).contains_key("PULUMI_CONFIG_PASSPHRASE"), "the file counts");
    }
}
