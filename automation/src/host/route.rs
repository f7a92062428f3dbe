//! What the host does itself, and why the CLI does the rest.

use crate::argv;
use crate::engine::{Backend, Command, Operation, OperationKind, Passphrase, Place};

/// Commands of the host by their first word.
const COMMANDS: [&str; 3] = ["cancel", "config", "whoami"];

/// Those that begin with `stack`. What is added to Pulumi later goes to the CLI until it is named here.
const OF_STACK: [&str; 13] = [
    "change-secrets-provider",
    "export",
    "history",
    "import",
    "init",
    "ls",
    "output",
    "rename",
    "repair",
    "rm",
    "select",
    "tag",
    "unselect",
];

/// Options that the host understands, as [`argv`] names them. What is added later goes to the CLI until it is
/// named here. Left out is what the engine keeps for a process and not for a run.
const OPTIONS: [&str; 41] = [
    "color",
    "parallel",
    "message",
    "refresh",
    "run_program",
    "expect_no_changes",
    "continue_on_error",
    "remove",
    "config_file",
    "config",
    "skip_config_validation",
    "config_path",
    "targets",
    "target_dependents",
    "excludes",
    "exclude_dependents",
    "replace",
    "target_replace",
    "exclude_protected",
    "plan.save",
    "plan.apply",
    "policy.packs",
    "policy.configs",
    "pending.clear",
    "pending.skip",
    "pending.import",
    "display.diff",
    "display.suppress_outputs",
    "display.progress",
    "display.suppress_permalink",
    "display.show_sames",
    "display.show_replacement_steps",
    "display.show_reads",
    "display.show_full_output",
    "display.show_policy_remediations",
    "display.show_config",
    "display.show_secrets",
    "display.show_urns",
    "display.json",
    "debug.debug",
    "debug.user_agent",
];

/// Backends that are storage.
const STORAGE: [&str; 5] = ["file://", "s3://", "gs://", "azblob://", "postgres://"];

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

/// The token that the workspace has: for its service, and for plugins that speak to one wherever the state is.
pub(super) fn token(place: &Place) -> Option<&str> {
    let inherited = || place.inherited.get(std::ffi::OsStr::new(TOKEN)).and_then(|token| token.to_str());
    place.env.get(TOKEN).map(String::as_str).or_else(inherited)
}

/// True for the variables that no process of the host gets, because they travel.
pub(super) fn travels(place: &Place, variable: &std::ffi::OsStr) -> bool {
    variable == TOKEN && token(place).is_some()
}

/// True for stacks of which the host keeps a journal while it changes them.
pub(super) fn keeps_journals(place: &Place) -> bool {
    matches!(place.backend, Backend::Folder(_)) || is_one_of(place, &STORAGE)
}

/// True for an inherited variable that no process of the host gets, because the request says it.
pub(super) fn is_of_request(variable: &std::ffi::OsStr) -> bool {
    TRAVELLING.iter().any(|key| variable == *key)
}

/// True when the request does not say what this inherited variable does.
fn is_unsaid(place: &Place, variable: &str) -> bool {
    match variable {
        "PULUMI_CONFIG_PASSPHRASE" | "PULUMI_CONFIG_PASSPHRASE_FILE" => {
            place.passphrase == Passphrase::Absent
        }
        "PULUMI_DEBUG_PROVIDERS" => place.attached.is_empty(),
        _ => false,
    }
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
    if matches!(operation.kind, OperationKind::Import | OperationKind::PreviewImport) {
        return Some("the CLI imports resources");
    }
    if argv::given(options).any(|option| !OPTIONS.contains(&option)) {
        return Some(
            "files of imports are the CLI's, and logs, traces, debuggers and the checks of the state those of a process",
        );
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
    let mut inherited = place.inherited.keys().filter_map(|key| key.to_str());
    if inherited.any(|key| is_unsaid(place, key)) {
        return Some("the inherited environment says what the workspace does not");
    }
    let mut keys = place.env.keys().map(String::as_str).filter(|key| *key != TOKEN);
    let replaced = keys.any(|key| TRAVELLING.contains(&key));
    replaced.then_some("the workspace's environment replaces what the workspace says")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;
    use crate::options::{DebugOptions, Options};
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
            ("file:///srv", false, false),
            ("s3://bucket?region=x", false, false),
            ("postgres://me@db/state", false, false),
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
        for (variable, unsaid) in
            [("PULUMI_CONFIG_PASSPHRASE", true), ("PULUMI_BACKEND_URL", false), (TOKEN, false)]
        {
            place.inherited = [(variable.into(), "x".into())].into();
            assert_eq!(to_cli(&place, &["stack", "ls"]), unsaid, "{variable}");
        }
        place.passphrase = Passphrase::Empty;
        place.inherited = [("PULUMI_CONFIG_PASSPHRASE".into(), "x".into())].into();
        assert!(!to_cli(&place, &["stack", "ls"]), "the request says another");
        place.env.insert("PULUMI_CONFIG_PASSPHRASE".to_owned(), "x".to_owned());
        assert!(to_cli(&place, &["stack", "ls"]));
    }

    #[test]
    fn an_option_that_the_host_does_not_understand_goes_to_the_cli() {
        let place = Recorder::default().workspace().place().clone();
        let goes_to_cli = |debug: DebugOptions| {
            let options = &Options { debug, ..Options::default() };
            let (kind, program) = (OperationKind::Up, Source::Project);
            operation(&place, &Operation { kind, stack: "s", program, args: Vec::new(), options }).is_some()
        };
        assert!(!goes_to_cli(DebugOptions::default()));
        for debug in [
            DebugOptions { log_to_stderr: true, ..DebugOptions::default() },
            DebugOptions { verbosity: Some(0), ..DebugOptions::default() },
            DebugOptions { log_flow: true, ..DebugOptions::default() },
            DebugOptions { tracing: Some("file:x".to_owned()), ..DebugOptions::default() },
            DebugOptions { disable_integrity_checking: true, ..DebugOptions::default() },
            DebugOptions { attach_debugger: vec!["all".to_owned()], ..DebugOptions::default() },
        ] {
            assert!(goes_to_cli(debug.clone()), "{debug:?}");
        }
    }

    #[test]
    fn each_option_is_the_hosts_or_the_clis() {
        let all = argv::everything();
        let all: Vec<_> = argv::given(&all).collect();
        let unknown: Vec<_> = OPTIONS.iter().filter(|option| !all.contains(option)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        let to_cli: Vec<_> = all.into_iter().filter(|option| !OPTIONS.contains(option)).collect();
        let to_the_cli = [
            "plan.import_file",
            "debug.log_to_stderr",
            "debug.verbosity",
            "debug.log_flow",
            "debug.tracing",
            "debug.disable_integrity_checking",
            "debug.attach_debugger",
        ];
        assert_eq!(to_cli, to_the_cli);
    }
}
