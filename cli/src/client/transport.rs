//! What requests are sent with: which authorities are trusted, and how long a server may be silent.

use std::path::Path;
use std::time::Duration;

use contracts::{ErrorCode, Problem};
use reqwest::Certificate;

use super::Target;
use super::failure::innermost;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What sends requests to a server that may be silent for so long.
pub fn http(target: &Target, silence: Duration) -> Result<reqwest::Client, Problem> {
    let mut http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(silence);
    if let Some(path) = &target.ca {
        http = http.tls_certs_only(authorities(path)?);
    }
    http.build().map_err(|error| {
        Problem::new(ErrorCode::Internal, format!("No HTTP client could be made: {}.", innermost(&error)))
    })
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, Problem> {
    let refuse = |why: String| {
        Problem::new(ErrorCode::BadRequest, format!("{} is not used: {why}.", path.display()))
            .with_action("Name a file with certificates in PEM with --ca.")
    };
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let found = Certificate::from_pem_bundle(&bytes).map_err(|error| refuse(innermost(&error)))?;
    if found.is_empty() { Err(refuse("it has no certificate".to_owned())) } else { Ok(found) }
}
