//! What the host does itself, and why the CLI does the rest.

use crate::engine::{Backend, Command, Operation, Place};

/// Commands of the host by their first word.
const COMMANDS: [&str; 3] = ["cancel", "config", "whoami"];

/// Those that begin with `stack`. What is added to Pulumi later goes to the CLI until it is named here.
const OF_STACK: [&str; 12] = [
    "change-secrets-provider",
    "export",
    "history",
    "import",
    "init",
    "ls",
    "output",
    "rename",
    "rm",
    "select",
    "tag",
    "unselect",
];

/// Backends that are storage.
const STORAGE: [&str; 4] = ["file://", "s3://", "gs://", "azblob://"];

/// Backends that are services of Pulumi's API.
const SERVICES: [&str; 2] = ["https://", "http://"];

/// What opens a service. It travels with each request, so that runs with different ones share a process.
const TOKEN: &str = "PULUMI_ACCESS_TOKEN";

/// What travels with each request. A workspace that sets one of these by itself means a whole process.
const TRAVELLING: [&str; 5] = [
    "PULUMI_BACKEND_URL",
    "PULUMI_CONFIG_PASSPHRASE",
    "PULUMI_CONFIG_PASSPHRASE_FILE",
    "PULUMI_DEBUG_PROVIDERS",
    TOKEN,
];

/// The token that the workspace has for its service; none where the backend is storage.
pub(super) fn token(place: &Place) -> Option<&str> {
    is_one_of(place, &SERVICES).then(|| place.env.get(TOKEN).map(String::as_str)).flatten()
}

/// True for the variables that no process of the host gets, because they travel.
pub(super) fn travels(place: &Place, variable: &std::ffi::OsStr) -> bool {
    variable == TOKEN && token(place).is_some()
}

fn is_one_of(place: &Place, schemes: &[&str]) -> bool {
    match &place.backend {
        Backend::Folder(_) => false,
        Backend::Url(url) => schemes.iter().any(|scheme| url.starts_with(scheme)),
    }
}

/// Why the host does not do this command; none when it does.
pub(super) fn command(place: &Place, command: &Command) -> Option<&'static str> {
    let mut words = command.args.iter().map(String::as_str);
    let is_ours = match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
        ("config", "env") => false,
        ("stack", word) => OF_STACK.contains(&word),
        (word, _) => COMMANDS.contains(&word),
    };
    if is_ours { of_place(place) } else { Some("it is not a command of stacks") }
}

/// Why the host does not do this operation; none when it does.
pub(super) fn operation(place: &Place, operation: &Operation<'_>) -> Option<&'static str> {
    let (options, debug) = (operation.options, &operation.options.debug);
    if options.remote.is_some() {
        return Some("it runs on Pulumi Deployments");
    }
    // The engine keeps its logs and traces as one process, not as a run.
    let logs = debug.log_to_stderr || debug.log_flow || debug.verbosity.is_some();
    if logs || debug.tracing.is_some() || !debug.attach_debugger.is_empty() {
        return Some("logs, traces and debuggers are those of a whole process");
    }
    if debug.env.keys().any(|key| TRAVELLING.contains(&key.as_str())) {
        return Some("the operation's environment replaces what the workspace says");
    }
    of_place(place)
}

fn of_place(place: &Place) -> Option<&'static str> {
    let is_service = is_one_of(place, &SERVICES);
    if matches!(place.backend, Backend::Url(_)) && !is_service && !is_one_of(place, &STORAGE) {
        return Some("the backend is of an unknown kind");
    }
    if is_service && token(place).is_none() {
        return Some("the CLI is logged in to the service, and the workspace has no access token of its own");
    }
    let mut keys = place.env.keys().map(String::as_str).filter(|key| !(is_service && *key == TOKEN));
    let replaced = keys.any(|key| TRAVELLING.contains(&key));
    replaced.then_some("the workspace's environment replaces what the workspace says")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[test]
    fn commands_of_stacks_are_the_hosts_and_others_the_clis() {
        let mut place = Recorder::default().workspace().place().clone();
        let to_cli = |place: &Place, words: &[&str]| {
            let args = words.iter().map(|word| (*word).to_owned()).collect();
            command(place, &Command { args, ..Command::default() }).is_some()
        };
        for words in [&["stack", "init", "s"][..], &["config", "set"], &["whoami"], &["cancel", "--yes"]] {
            assert!(!to_cli(&place, words), "{words:?}");
        }
        for first in ["plugin", "policy", "org", "env", "install", "new", "state", "stack", ""] {
            assert!(to_cli(&place, &[first]), "{first}");
        }
        for words in [&["config", "env", "ls"][..], &["stack", "graph"], &["stack", "--show-urns"], &[]] {
            assert!(to_cli(&place, words), "{words:?}");
        }
        for (url, without, with_token) in [
            ("file:///srv", false, true),
            ("s3://bucket?region=x", false, true),
            ("https://api.pulumi.com", true, false),
            ("http://127.0.0.1:8080", true, false),
            ("novel://x", true, true),
        ] {
            place.backend = Backend::Url(url.to_owned());
            assert_eq!(to_cli(&place, &["stack", "ls"]), without, "{url}");
            place.env.insert(TOKEN.to_owned(), "x".to_owned());
            assert_eq!(to_cli(&place, &["stack", "ls"]), with_token, "{url}");
            place.env.clear();
        }
        place.backend = Backend::Folder("/srv".into());
        place.env.insert("PULUMI_CONFIG_PASSPHRASE".to_owned(), "x".to_owned());
        assert!(to_cli(&place, &["stack", "ls"]));
    }
}
