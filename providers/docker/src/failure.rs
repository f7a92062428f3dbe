//! What an answer of the engine means: gone, in conflict, refused, or not known at all.

use contracts::ErrorCode;
use provider_api::ProviderError;
use provider_kit::errors;
use provider_kit::image::NO_IMAGE;

use crate::lasting;

pub(crate) type Answer<T> = Result<T, Failure>;

/// Callers branch on the first two; the rest is for people.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The engine answered that there is no such object.
    Absent(String),
    /// The name is taken, or the object is in use or already in that state.
    Conflict(String),
    Other(ProviderError),
}

impl Failure {
    /// What may pass by itself: the object is in use, or on its way to another state.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Failure::Conflict(_))
    }

    /// Turns "there is none" into `None`.
    pub fn optional<T>(answer: Answer<T>) -> Result<Option<T>, ProviderError> {
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(Failure::Absent(_)) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }
}

impl From<Failure> for ProviderError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Absent(message) | Failure::Conflict(message) => refused(&message),
            Failure::Other(error) => error,
        }
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Failure::Other(error)
    }
}

/// `doing` completes "cannot ...".
pub(crate) fn classify(doing: &str, error: &bollard::errors::Error) -> Failure {
    use bollard::errors::Error;
    match error {
        Error::DockerResponseServerError { status_code, message } => answered(doing, *status_code, message),
        // Of what is pulled: the stream has begun, so there is no status.
        Error::DockerStreamError { error } => {
            Failure::Other(refused(&format!("cannot {doing}: Docker says: {}", error.trim())))
        }
        Error::RequestTimeoutError => Failure::Other(timed_out(doing)),
        Error::SocketNotFoundError(path) => {
            Failure::Other(unreachable(&format!("there is no socket {path}")))
        }
        Error::UnsupportedURISchemeError { uri } => Failure::Other(unreachable(&format!(
            "{uri} is not an address of the form unix:///path/to/docker.sock"
        ))),
        Error::HyperLegacyError { err } if err.is_connect() => Failure::Other(unreachable(&chain(err))),
        other => {
            // The connection broke after the request went out, so it may have been carried out.
            let message =
                format!("cannot {doing}: the connection to the Docker engine broke: {}", chain(other));
            Failure::Other(
                ProviderError::unknown(ErrorCode::DockerUnavailable, message).with_action(CHECK_ENGINE),
            )
        }
    }
}

const CHECK_ENGINE: &str = "See whether the engine runs: `docker info`, `systemctl status docker`.";

pub(crate) fn timed_out(doing: &str) -> ProviderError {
    let message =
        format!("cannot {doing}: the Docker engine did not answer in time, so the result is not known");
    ProviderError::unknown(ErrorCode::ProviderTimeout, message).with_action(CHECK_ENGINE)
}

fn unreachable(reason: &str) -> ProviderError {
    let has = |words: &str| reason.contains(words);
    // As `ssh.rs` names it, and in the words of OpenSSH.
    let by_ssh = has("ssh ssh://");
    let action = if by_ssh && has("Host key verification failed") {
        "Put the host's key into ~/.ssh/known_hosts of the account that runs Pilot: `ssh-keyscan HOST`, and compare the fingerprint."
    } else if by_ssh {
        "`ssh HOST docker version`, by the account that runs Pilot, has to answer without a question."
    } else if has("denied") {
        "Let this account use Docker (`sudo usermod -aG docker $USER`, then log in again)."
    } else {
        "Start Docker (`sudo systemctl start docker`) or install it (Debian: `sudo apt-get install docker.io`)."
    };
    ProviderError::new(ErrorCode::DockerUnavailable, format!("no Docker engine answers: {reason}"))
        .with_action(action)
}

fn answered(doing: &str, status: u16, message: &str) -> Failure {
    let text = format!("cannot {doing}: Docker says: {}", message.trim());
    match status {
        404 if message.contains("No such image") => Failure::Other(image_missing(&text)),
        404 => Failure::Absent(text),
        409 => Failure::Conflict(text),
        _ => Failure::Other(refused(&text)),
    }
}

/// For a container that could not be made although it was tried again.
pub(crate) fn contended(container: &str) -> ProviderError {
    errors::keeps_changing(("container", container))
        .with_action("Look for another program that works on this container: `docker events`.")
}

pub(crate) fn image_missing(message: &str) -> ProviderError {
    ProviderError::new(ErrorCode::ImageMissing, message)
        .with_action("Name an image that is on this Docker host, or one with its registry, as in `docker.io/NAME`: that is pulled. Pilot's own is built by `cargo xtask image`.")
}

/// For another architecture than the host's.
pub(crate) fn image_unusable(image: &str, theirs: &str, ours: &str) -> ProviderError {
    let message = format!("the image {image} is for {theirs}, and the Docker host is {ours}");
    ProviderError::new(ErrorCode::ImageUnusable, message).with_action(format!(
        "Build it for {ours} (`docker build --platform linux/{ours}`), or name one that is."
    ))
}

/// A registry that lets the engine wait.
pub(crate) fn silent(image: &str, registry: &str) -> ProviderError {
    let message = format!("the image {image} cannot be looked at: its registry does not answer");
    ProviderError::new(ErrorCode::ProviderUnreachable, message).with_action(format!(
        "See whether {registry} answers on the Docker host (`docker pull {image}`), or try it again."
    ))
}

/// Which image was pulled, and whether with a login.
#[derive(Clone, Copy)]
pub(crate) struct Pulled<'a> {
    pub image: &'a str,
    pub has_login: bool,
}

/// What a registry's answer means, as the engine tells it. Nothing was made in any case.
pub(crate) fn pull_failed(pulled: Pulled, error: ProviderError) -> ProviderError {
    // What the engine itself did not answer is no word of the registry.
    if !matches!(error.code, ErrorCode::ProviderFailed | ErrorCode::ImageMissing) {
        return error;
    }
    let Pulled { image, has_login } = pulled;
    let said = error.message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let failed = |code, why: &str, action: &str| {
        ProviderError::new(code, format!("the image {image} cannot be pulled: {why} ({})", error.message))
            .with_action(action)
    };
    if has(&["no matching manifest", "does not match the specified platform", "image operating system"]) {
        return failed(
            ErrorCode::ImageUnusable,
            "it is for another system or other processors than the Docker host has",
            "Build it for the system and the processors of the host, or name one that is.",
        );
    }
    if has(&["encountered remote", "unsupported media type", "invalid mediatype", "unknown media type"]) {
        let (why, action) = NO_IMAGE;
        return failed(ErrorCode::ImageUnusable, why, action);
    }
    if has(&["toomanyrequests", "too many requests"]) {
        return failed(
            ErrorCode::ProviderRateLimited,
            "its registry asks for fewer calls",
            "Try it again later, or give a login for the registry (PILOT_REGISTRY_AUTH_FILE): it may have a higher limit.",
        );
    }
    if has(&[
        "unauthorized",
        "denied",
        "403 forbidden",
        "no basic auth credentials",
        "authentication required",
    ]) {
        return match has_login {
            true => failed(
                ErrorCode::CredentialsRejected,
                "its registry refuses the login",
                "Correct the login in the file that PILOT_REGISTRY_AUTH_FILE names; it has to be one that may pull this image.",
            ),
            false => failed(
                ErrorCode::ImageMissing,
                "its registry has none for those without a login",
                "If it is a private one, let PILOT_REGISTRY_AUTH_FILE name a file with the login; else correct the name.",
            ),
        };
    }
    if has(&["manifest unknown", "not found", "name unknown", "repository does not exist", "no such image"]) {
        return failed(
            ErrorCode::ImageMissing,
            "its registry has none of this name",
            "Correct the name, or push the image.",
        );
    }
    if has(&[
        "internal server error",
        "bad gateway",
        "service unavailable",
        "gateway timeout",
        "unexpected status",
        "unexpected http status",
    ]) {
        return failed(
            ErrorCode::ProviderUnreachable,
            "its registry answers with an error",
            "Try it again later: the registry has to get well.",
        );
    }
    if has(&[
        "dial tcp",
        "no such host",
        "timeout",
        "deadline exceeded",
        "connection refused",
        "connection reset",
        "eof",
        "x509",
        "tls",
        "https client",
    ]) {
        return failed(
            ErrorCode::ProviderUnreachable,
            "the Docker host cannot reach its registry",
            "Try `docker pull` on the host: its network, its proxy and its list of insecure registries decide.",
        );
    }
    error
}

/// The engine has no codes of its own, so its words decide. Unknown words stay a plain refusal.
fn refused(message: &str) -> ProviderError {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&["port is already allocated", "address already in use"]) {
        return ProviderError::new(ErrorCode::PortInUse, message)
            .with_action("End the program that uses the port, or give instances more ports: the option --instance-ports of `pilot serve`.");
    }
    if has(&["address pool"]) {
        return ProviderError::new(ErrorCode::ProviderCapacity, message).with_action(
            "Docker has no subnet left: delete workspaces or unused networks (`docker network prune`), or set \
             default-address-pools with a size of 24 to 28 in /etc/docker/daemon.json.",
        );
    }
    if has(&["no quota support"]) {
        return lasting::no_quota(message);
    }
    if has(&["storage-opt"]) {
        return ProviderError::new(ErrorCode::ProviderFailed, message).with_action(
            "The host's file system cannot limit what instances write: unset PILOT_DOCKER_DISK_MIB, or keep Docker's data on xfs \
             mounted with `pquota`.",
        );
    }
    if has(&["no space left", "cannot allocate memory", "Range of CPUs", "all predefined"]) {
        return ProviderError::new(ErrorCode::ProviderCapacity, message)
            .with_action("The Docker host has no room for this size: free some or choose a smaller size.");
    }
    ProviderError::new(ErrorCode::ProviderFailed, message)
        .with_action("The engine's log says more: `journalctl -u docker`.")
}

/// An error with its causes, because client errors hide the interesting part below.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use bollard::errors::Error;
    use provider_api::Outcome;

    use super::*;

    fn server(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    #[test]
    fn gone_and_unknown_are_never_confused() {
        assert!(matches!(classify("x", &server(404, "No such container: a")), Failure::Absent(_)));
        let Failure::Other(timeout) = classify("x", &Error::RequestTimeoutError) else { unreachable!() };
        assert_eq!((timeout.code, timeout.outcome), (ErrorCode::ProviderTimeout, Outcome::Unknown));
        let Failure::Other(absent) = classify("x", &Error::SocketNotFoundError("/x".to_owned())) else {
            unreachable!()
        };
        assert_eq!((absent.code, absent.outcome), (ErrorCode::DockerUnavailable, Outcome::NothingHappened));
    }

    #[test]
    fn the_engines_words_become_codes_with_an_action() {
        for (status, message, code) in [
            (404, "No such image: pilot-instance:1", ErrorCode::ImageMissing),
            (
                500,
                "driver failed: Bind for 127.0.0.1:14300 failed: port is already allocated",
                ErrorCode::PortInUse,
            ),
            (
                400,
                "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
                ErrorCode::ProviderCapacity,
            ),
            (
                500,
                "could not find an available, non-overlapping IPv4 address pool",
                ErrorCode::ProviderCapacity,
            ),
            (500, "something new", ErrorCode::ProviderFailed),
        ] {
            let error = ProviderError::from(classify("start it", &server(status, message)));
            assert_eq!(error.code, code, "{message}");
            assert!(error.action.is_some() && error.message.contains(message));
        }
    }

    #[test]
    fn a_registry_that_answers_with_an_error_is_no_registry_out_of_reach() {
        for (said, code, why) in [
            ("toomanyrequests: slow down", ErrorCode::ProviderRateLimited, "fewer calls"),
            (
                "unexpected status code [manifests 1]: 429 Too Many Requests",
                ErrorCode::ProviderRateLimited,
                "fewer calls",
            ),
            (
                "received unexpected HTTP status: 500 Internal Server Error",
                ErrorCode::ProviderUnreachable,
                "answers with an error",
            ),
            (
                "received unexpected HTTP status: 504 Gateway Timeout",
                ErrorCode::ProviderUnreachable,
                "answers with an error",
            ),
            (
                "unexpected status from HEAD request: 403 Forbidden",
                ErrorCode::ImageMissing,
                "without a login",
            ),
            ("image operating system \"windows\" cannot", ErrorCode::ImageUnusable, "another system"),
            (
                "unsupported media type application/vnd.cncf.helm.config.v1+json",
                ErrorCode::ImageUnusable,
                "no image",
            ),
            ("Get \"https://a/v2/\": dial tcp: i/o timeout", ErrorCode::ProviderUnreachable, "cannot reach"),
        ] {
            let error = ProviderError::from(classify("pull the image", &server(500, said)));
            let error = pull_failed(Pulled { image: "a/b:1", has_login: false }, error);
            assert_eq!(error.code, code, "{error}");
            assert!(error.message.contains(why) && error.message.contains(said), "{error}");
        }
    }

    #[test]
    fn what_a_host_cannot_do_names_the_setting_that_asks_for_it_and_a_way_that_is_closed_its_key() {
        let refused =
            server(500, "--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
        let error = ProviderError::from(classify("create it", &refused));
        assert!(error.action.unwrap().contains("PILOT_DOCKER_DISK_MIB"));
        let refused = server(400, "create pilot-rt-1-home: quota size requested but no quota support");
        let error = ProviderError::from(classify("create the volume", &refused));
        assert_eq!(error.code, ErrorCode::ProviderFailed);
        assert!(error.action.unwrap().contains("PILOT_DOCKER_HOME_MIB"));
        for (reason, words) in [
            ("ssh ssh://root@far: Host key verification failed.", "known_hosts"),
            ("ssh ssh://root@far: root@far: Permission denied (publickey).", "ssh HOST docker version"),
            ("permission denied while trying to connect", "usermod"),
            ("there is no socket /run/docker.sock", "apt-get install docker.io"),
        ] {
            let action = unreachable(reason).action.unwrap();
            assert!(action.contains(words), "{reason}: {action}");
        }
    }
}
