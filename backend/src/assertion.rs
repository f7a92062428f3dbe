//! Who may speak to the instance: only the gateway, by an Ed25519-signed assertion for this runtime.
//!
//! Verified offline with the public key that the provider put into the instance. Without that key the
//! instance refuses everything: it never falls back to trusting the network.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::assertion::{Claims, LEEWAY_SECONDS};
use contracts::{ErrorCode, InstallationId, Problem, RuntimeId};
use http::HeaderMap;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};

/// The longest life that an assertion may claim, in seconds.
const LONGEST_LIFE_SECONDS: u64 = 300;

const KEY_BYTES: usize = 32;

/// Why a request is refused. All of them are answered with 401.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this instance has no gateway key, so it can check no request: {0}")]
    NoKey(String),
    #[error("the request carries no gateway assertion, so it did not come through the gateway")]
    Missing,
    #[error("the request carries more than one gateway assertion")]
    Repeated,
    #[error("the gateway assertion has expired or is from the future; the clocks may differ")]
    WrongTime,
    #[error("the gateway assertion is for another runtime")]
    OtherRuntime,
    #[error("the gateway assertion is from another installation")]
    OtherInstallation,
    #[error("the gateway assertion is not signed with this installation's key")]
    BadSignature,
    #[error("the gateway assertion cannot be read")]
    Unreadable,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let action = match refusal {
            Refusal::NoKey(_) => "stop and start the workspace, so that its boot files are delivered anew",
            Refusal::WrongTime => "set the clocks of the gateway and of this instance",
            _ => "send the request through the gateway",
        };
        Problem::new(ErrorCode::Unauthorized, refusal.to_string()).with_action(action)
    }
}

/// Checks assertions for one runtime.
pub struct Verifier {
    key: Result<DecodingKey, String>,
    validation: Validation,
}

impl Verifier {
    /// `key` is the content of the boot file: base64url of the 32 bytes of an Ed25519 public key. An
    /// unusable one makes a verifier that refuses everything and says why.
    pub fn new(key: &str, runtime: &RuntimeId, installation: Option<&InstallationId>) -> Self {
        let mut verifier = Self::without_key("", runtime, installation);
        verifier.key = match URL_SAFE_NO_PAD.decode(key.trim().trim_end_matches('=')) {
            Ok(bytes) if bytes.len() == KEY_BYTES => Ok(DecodingKey::from_ed_der(&bytes)),
            Ok(bytes) => Err(format!("the key file holds {} bytes, not {KEY_BYTES}", bytes.len())),
            Err(_) => Err("the key file is not base64url".to_owned()),
        };
        verifier
    }

    /// A verifier that refuses every request because of `reason`.
    pub fn without_key(reason: &str, runtime: &RuntimeId, installation: Option<&InstallationId>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY_SECONDS;
        validation.set_audience(&[runtime]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        if let Some(installation) = installation {
            validation.set_issuer(&[installation]);
        }
        Self { key: Err(reason.to_owned()), validation }
    }

    /// The claims of the request's one assertion.
    pub fn verify(&self, headers: &HeaderMap) -> Result<Claims, Refusal> {
        let key = self.key.as_ref().map_err(|reason| Refusal::NoKey(reason.clone()))?;
        let mut sent = headers.get_all(contracts::headers::ASSERTION).iter();
        let token = match (sent.next(), sent.next()) {
            (None, _) => return Err(Refusal::Missing),
            (Some(only), None) => only.as_bytes(),
            _ => return Err(Refusal::Repeated),
        };
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation)
            .map_err(|error| refusal(error.kind()))?
            .claims;
        let now = jsonwebtoken::get_current_timestamp();
        let life = claims.exp.saturating_sub(claims.iat);
        if claims.iat > now + LEEWAY_SECONDS || life > LONGEST_LIFE_SECONDS {
            return Err(Refusal::WrongTime);
        }
        Ok(claims)
    }
}

fn refusal(kind: &ErrorKind) -> Refusal {
    match kind {
        ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => Refusal::WrongTime,
        ErrorKind::InvalidAudience => Refusal::OtherRuntime,
        ErrorKind::InvalidIssuer => Refusal::OtherInstallation,
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => Refusal::BadSignature,
        _ => Refusal::Unreadable,
    }
}

#[cfg(test)]
mod tests;
