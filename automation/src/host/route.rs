//! What the host cannot do because of where or how it is asked. Which commands and options it knows, it says itself.

use crate::engine::{Backend, Command, Operation, OperationKind, Passphrase, Place};

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

/// Options of the CLI as variables: it would do something else, or leave something out.
const OPTION: &str = "PULUMI_OPTION_";
const BY_VARIABLE: &str = "a variable PULUMI_OPTION_* is an option that only the CLI reads";

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

/// Operations have events, programs and options of their own: as mere commands they are the CLI's, which asks first.
const OPERATIONS: [&str; 4] = ["up", "preview", "refresh", "destroy"];

/// Why the host does not do this command; none when it may, which it says itself.
pub(super) fn command(place: &Place, command: &Command) -> Option<&'static str> {
    if OPERATIONS.iter().any(|operation| command.words == [*operation]) {
        return Some("it is an operation, and was asked for as a command");
    }
    of_place(place)
}

/// Why the host does not do this operation; none when it does.
pub(super) fn operation(place: &Place, operation: &Operation<'_>) -> Option<&'static str> {
    let options = operation.options;
    if options.remote.is_some() {
        return Some("it runs on Pulumi Deployments");
    }
    if matches!(operation.kind, OperationKind::Import | OperationKind::PreviewImport) {
        return Some("the CLI imports resources");
    }
    if options.debug.env.keys().any(|key| TRAVELLING.contains(&key.as_str())) {
        return Some("the operation's environment replaces what the workspace says");
    }
    if options.debug.env.keys().any(|key| key.starts_with(OPTION)) {
        return Some(BY_VARIABLE);
    }
    of_place(place)
}

/// Why the host does nothing for this workspace; none when it does.
fn of_place(place: &Place) -> Option<&'static str> {
    let is_service = is_one_of(place, &SERVICES);
    if matches!(place.backend, Backend::Url(_)) && !is_service && !is_one_of(place, &STORAGE) {
        return Some("the backend is of an unknown kind");
    }
    if is_service && token(place).is_none() {
        return Some("the CLI is logged in to the service, and the workspace has no access token of its own");
    }
    let mut options =
        place.inherited.keys().filter_map(|key| key.to_str()).chain(place.env.keys().map(String::as_str));
    if options.any(|key| key.starts_with(OPTION)) {
        return Some(BY_VARIABLE);
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
    use crate::recorder::Recorder;

    #[test]
    fn what_a_request_cannot_say_goes_to_the_cli() {
        let mut place = Recorder::default().workspace().place().clone();
        let to_cli = |place: &Place| of_place(place).is_some();
        for (url, without, with_token) in [
            ("file:///srv", false, false),
            ("s3://bucket?region=x", false, false),
            ("postgres://me@db/state", false, false),
            ("https://api.pulumi.com", true, false),
            ("http://127.0.0.1:8080", true, false),
            ("novel://x", true, true),
        ] {
            place.backend = Backend::Url(url.to_owned());
            assert_eq!(to_cli(&place), without, "{url}");
            place.env.insert(TOKEN.to_owned(), "x".to_owned());
            assert_eq!(to_cli(&place), with_token, "{url}");
            place.env.clear();
        }
        place.backend = Backend::Folder("/srv".into());
        for (variable, unsaid) in
            [("PULUMI_CONFIG_PASSPHRASE", true), ("PULUMI_BACKEND_URL", false), (TOKEN, false)]
        {
            place.inherited = [(variable.into(), "x".into())].into();
            assert_eq!(to_cli(&place), unsaid, "{variable}");
        }
        place.passphrase = Passphrase::Empty;
        place.inherited = [("PULUMI_CONFIG_PASSPHRASE".into(), "x".into())].into();
        assert!(!to_cli(&place), "the request says another");
        place.env.insert("PULUMI_CONFIG_PASSPHRASE".to_owned(), "x".to_owned());
        assert!(to_cli(&place));

        place.env = [("PULUMI_OPTION_TARGET".to_owned(), "x".to_owned())].into();
        assert!(to_cli(&place));
        place.env.clear();
        assert!(!to_cli(&place));
        place.inherited.insert("PULUMI_OPTION_PREVIEW_ONLY".into(), "true".into());
        assert!(to_cli(&place));
    }
}
