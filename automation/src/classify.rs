//! From the end of a CLI process, or of a run in the host, to a typed error: exit code first, then the engine's
//! events. The only place in the crate that matches the CLI's words, and those count only before the engine has
//! begun: what is printed after that may be a provider's or the program's, and decides nothing.

use crate::error::{Diagnostic, Error, FailedOperation};
use crate::event::{EngineEvent, EventKind, plain_text};
use crate::wire::STACK_TYPE;

/// How the process ended and what it said.
#[derive(Debug, Default)]
pub(crate) struct Ended<'a> {
    pub stack: &'a str,
    pub command: &'a str,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: &'a str,
    pub stderr: &'a str,
    /// The caller asked for the end.
    pub canceled: bool,
    pub program_error: Option<String>,
}

/// The errors that the events of one operation carry.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    pub diagnostics: Vec<Diagnostic>,
    pub failed_operations: Vec<FailedOperation>,
    /// What mandatory policies said.
    violations: Vec<String>,
    /// The engine works: from now on others speak, too.
    began: bool,
    /// The engine came to its own end.
    summed_up: bool,
    canceled: bool,
    engine_error: Option<String>,
}

impl Failures {
    pub fn observe(&mut self, event: &EngineEvent) {
        self.began |= match &event.kind {
            EventKind::Cancel | EventKind::Error(_) | EventKind::Progress(_) | EventKind::Other { .. } => {
                false
            }
            // Of no resource: the engine's own.
            EventKind::Diagnostic(diagnostic) => !diagnostic.urn.is_empty(),
            _ => true,
        };
        match &event.kind {
            EventKind::Diagnostic(diagnostic) if diagnostic.severity == "error" => {
                let message = plain_text(&diagnostic.message).trim().to_owned();
                self.diagnostics.push(Diagnostic { urn: diagnostic.urn.clone(), message });
            }
            EventKind::ResourceFailed(failure) => self.failed_operations.push(FailedOperation {
                op: failure.metadata.op.clone(),
                urn: failure.metadata.urn.clone(),
                outcome_unknown: failure.status == 2,
            }),
            EventKind::Policy(policy) if policy.enforcement_level == "mandatory" => {
                let message = plain_text(&policy.message);
                self.violations.push(format!("{}: {}", policy.policy_name, message.trim()));
            }
            EventKind::Summary(summary) => {
                self.summed_up = true;
                self.canceled |= summary.result.as_deref() == Some("canceled");
            }
            EventKind::Error(message) => self.engine_error = Some(message.clone()),
            _ => {}
        }
    }
}

pub(crate) fn classify(ended: Ended<'_>, failures: Failures) -> Error {
    let message = || message(ended.stderr, ended.stdout);
    if ended.canceled || ended.code == Some(8) || failures.canceled {
        return Error::Canceled;
    }
    if let Some(signal) = ended.signal {
        return Error::Interrupted { signal };
    }
    if let Some(message) = panicked(&ended) {
        return Error::EngineBug { message };
    }
    match ended.code {
        Some(2) => return Error::Invalid { command: ended.command.to_owned(), message: message() },
        Some(3) => return Error::Auth { message: message() },
        Some(6) => return Error::StackNotFound { stack: ended.stack.to_owned() },
        Some(7) => return Error::NoChangesExpected,
        _ => {}
    }
    let broke_down = !failures.summed_up && failures.failed_operations.is_empty();
    if broke_down && ended.stderr.contains("The Pulumi CLI encountered a fatal error") {
        let panic = ended.stderr.lines().find_map(|line| line.strip_prefix("Panic:"));
        return Error::EngineBug { message: panic.map_or_else(message, |line| line.trim().to_owned()) };
    }
    let worded = if failures.began { None } else { by_words(&ended) };
    if let Some(error) = worded {
        return error;
    }
    if failures.failed_operations.is_empty() && !failures.violations.is_empty() {
        return Error::Policy { violations: failures.violations };
    }
    // Before the program's own words: the engine cuts the program off when a step fails, and whatever it
    // then says is a consequence.
    if !failures.failed_operations.is_empty() {
        return update_failed(ended.command, failures);
    }
    if let Some(message) = ended.program_error {
        return Error::Program { message };
    }
    if let Some(message) = compilation(&ended, &failures) {
        return Error::Compilation { message };
    }
    if let Some(message) = failures.engine_error {
        return Error::EngineBug { message };
    }
    if !failures.diagnostics.is_empty() {
        return update_failed(ended.command, failures);
    }
    Error::Command { command: ended.command.to_owned(), code: ended.code.unwrap_or(-1), message: message() }
}

/// A process of Go that breaks down ends with a code that the CLI uses for other things, and says why in Go's own way.
fn panicked(ended: &Ended<'_>) -> Option<String> {
    let (_, said) = ended.stderr.rsplit_once("panic: ").filter(|(_, said)| said.contains("\ngoroutine "))?;
    let reason = said.lines().next().unwrap_or_default();
    (ended.code == Some(2)).then(|| reason.trim_end_matches(" [recovered]").to_owned())
}

/// What the CLI says before the engine begins, or where there is none. Its codes do not tell these apart.
fn by_words(ended: &Ended<'_>) -> Option<Error> {
    let text = format!("{}\n{}", ended.stderr, ended.stdout);
    let stack = || ended.stack.to_owned();
    let invalid =
        || Error::Invalid { command: ended.command.to_owned(), message: message(ended.stderr, ended.stdout) };
    // What a service answers where the CLI gives no words of its own.
    if text.contains("[409] Conflict") && text.contains("already exists") {
        return Some(Error::StackExists { stack: stack() });
    }
    if text.contains("the stack is currently locked by") || text.contains("[409] Conflict") {
        return Some(Error::ConcurrentUpdate {
            stack: stack(),
            owner: lock_owner(&text),
            unproven: !text.contains("[409] Conflict"),
        });
    }
    if text.contains("no stack named") && text.contains("found") {
        return Some(Error::StackNotFound { stack: stack() });
    }
    if text.contains("already exists") && ["stack '", "a stack named "].iter().any(|at| text.contains(at)) {
        return Some(Error::StackExists { stack: stack() });
    }
    let passphrase =
        ["incorrect passphrase", "passphrase must be set", "unable to read PULUMI_CONFIG_PASSPHRASE_FILE"];
    if passphrase.iter().any(|words| text.contains(words)) {
        return Some(Error::Secrets { message: message(ended.stderr, ended.stdout) });
    }
    if text.contains("no space left on device") {
        return Some(Error::StorageFull { message: message(ended.stderr, ended.stdout) });
    }
    let unreadable =
        ["failed to load checkpoint", "could not deserialize deployment", "unmarshalling checkpoint"];
    if unreadable.iter().any(|words| text.contains(words)) {
        // What was to be imported is not in the state yet.
        return Some(match ended.command {
            "stack import" => invalid(),
            _ => Error::StateCorrupt { stack: stack(), message: message(ended.stderr, ended.stdout) },
        });
    }
    // Not code 2 yet, as of 3.255.
    let refused = ["unknown flag: ", "unknown shorthand flag: ", "unknown command ", "invalid argument "];
    let refused = refused.iter().any(|words| ended.stderr.starts_with(&format!("error: {words}")));
    let counted = ended.stderr.contains("error: accepts ") && ended.stderr.contains("arg(s)");
    (refused || counted).then(invalid)
}

/// What the compilers of .NET, Go and TypeScript say when there is no program to run. They say it in the
/// engine's diagnostics, as the program's own or of no resource; before the engine begins, in what is printed.
fn compilation(ended: &Ended<'_>, failures: &Failures) -> Option<String> {
    let marks = ["Build FAILED.", ": syntax error:", ": undefined:", "Unable to compile TypeScript"];
    let about_it = |text: &str| marks.iter().any(|mark| text.contains(mark));
    let of_program = |urn: &str| urn.is_empty() || urn.split("::").nth(2) == Some(STACK_TYPE);
    let told = failures.diagnostics.iter().find(|told| of_program(&told.urn) && about_it(&told.message));
    let printed = || {
        let mut lines = ended.stderr.lines().chain(ended.stdout.lines()).filter(|_| !failures.began);
        lines.find(|line| about_it(line)).map(|line| plain_text(line).trim().to_owned())
    };
    told.map(|diagnostic| diagnostic.message.clone()).or_else(printed)
}

/// True for the failure of `config get` and `stack tag get` when there is no such key.
pub(crate) fn is_absent_key(error: &Error) -> bool {
    let (Error::Command { message, .. } | Error::Invalid { message, .. }) = error else { return false };
    (message.contains("configuration key") || message.contains("stack tag")) && message.contains("not found")
}

/// What `ssh` says of a host whose key it does not take. The only end of `git` that is not told as it is, since it
/// takes a person to judge the key.
pub(crate) fn host_key(url: &str, stderr: &str) -> Option<Error> {
    let changed = stderr.contains("REMOTE HOST IDENTIFICATION HAS CHANGED");
    stderr.contains("Host key verification failed").then(|| Error::HostKey { host: host_of(url), changed })
}

/// As in `known_hosts`: `host`, or `[host]:port`.
fn host_of(url: &str) -> String {
    let (rest, is_url) = match url.split_once("://") {
        Some((_, rest)) => (rest, true),
        None => (url, false),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.rsplit_once(':') {
        Some((host, port)) if is_url && port != "22" => format!("[{}]:{port}", host.trim_matches(['[', ']'])),
        Some((host, _)) => host.to_owned(),
        None => host.to_owned(),
    }
}

fn update_failed(command: &str, failures: Failures) -> Error {
    Error::UpdateFailed {
        operation: command.to_owned(),
        diagnostics: failures.diagnostics,
        failed_operations: failures.failed_operations,
    }
}

/// The CLI's own reason: its `error:` lines with those that are indented below them, else the end of what it wrote.
fn message(stderr: &str, stdout: &str) -> String {
    let source = if stderr.trim().is_empty() { stdout } else { stderr };
    let plain = plain_text(source);
    let lines: Vec<&str> = plain.lines().filter(|line| !line.trim().is_empty()).collect();
    let (mut errors, mut within) = (Vec::new(), false);
    for line in &lines {
        let begins = line.trim().strip_prefix("error:");
        within = begins.is_some() || (within && line.starts_with([' ', '\t']));
        if within {
            errors.push(begins.unwrap_or(line).trim());
        }
    }
    if errors.is_empty() {
        errors = lines[lines.len().saturating_sub(5)..].iter().map(|line| line.trim()).collect();
    }
    errors.join("; ")
}

/// The CLI lists lock files as `<url>: created by user@host (pid N) at TIME`.
fn lock_owner(text: &str) -> String {
    text.lines()
        .find_map(|line| line.split_once("created by ").map(|(_, owner)| owner.trim().to_owned()))
        .unwrap_or_else(|| "another update".to_owned())
}

#[cfg(test)]
mod tests;
