//! What a request without a good answer is called.

use contracts::{ErrorCode, Problem};
use url::Url;

use super::Target;

/// The URL, and who has chosen it.
fn place(at: &Url, target: &Target) -> String {
    format!("{} ({})", at.as_str().trim_end_matches('/'), target.why)
}

pub fn unreachable(at: &Url, target: &Target, error: &reqwest::Error) -> Problem {
    if let Some(reason) = refused_certificate(error) {
        return untrusted(at, target, &reason);
    }
    let to = place(at, target);
    let detail = if error.is_connect() {
        format!("Nothing answers at {to}: {}.", innermost(error))
    } else if error.is_timeout() {
        format!("{to} took the request and did not answer in time.")
    } else {
        format!("The connection to {to} broke: {}.", innermost(error))
    };
    Problem::new(ErrorCode::OrchestratorUnreachable, detail).with_action(
        "Start Pilot with `pilot serve` (from a clone: `cargo xtask up`), or name a running one with \
         --data, --server, --context or their variables.",
    )
}

fn untrusted(at: &Url, target: &Target, reason: &str) -> Problem {
    let detail =
        format!("Nothing was sent to {}: its certificate is not trusted ({reason}).", place(at, target));
    Problem::new(ErrorCode::CertificateUntrusted, detail).with_action(
        "If it is a private authority's, get that authority's certificate from whoever runs the server, and name it \
         with --ca FILE or SSL_CERT_FILE. If not, go no further: somebody else may answer there.",
    )
}

pub fn not_pilot(at: &Url, target: &Target, why: &str) -> Problem {
    let detail = format!("{} is not a Pilot of this version: {why}.", place(at, target));
    Problem::new(ErrorCode::OrchestratorUnreachable, detail)
        .with_action("Check --server and --gateway, and that both sides have the same version.")
}

/// A server's refusal of the token. What the server says to do is for its own machine.
pub fn refused_token(problem: Problem, target: &Target) -> Problem {
    match &target.context {
        Some(name) if problem.code == ErrorCode::Unauthorized => {
            let server = &target.server;
            problem.with_action(format!("`pilot login {server} --name {name}` stores another token."))
        }
        _ => problem,
    }
}

/// Why TLS refused the other side, if that is what happened.
fn refused_certificate(error: &reqwest::Error) -> Option<String> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| inner(*error)).find_map(|error| {
        match error.downcast_ref::<rustls::Error>()? {
            rustls::Error::InvalidCertificate(reason) => Some(reason.to_string()),
            _ => None,
        }
    })
}

pub fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| inner(*error));
    chain.last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// The cause. What an I/O error was made from is not among its sources by itself.
fn inner<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    let io = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
    match io {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}
