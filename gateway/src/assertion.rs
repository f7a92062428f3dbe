//! What the gateway says to an instance with each request, signed once a minute and not per request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::assertion::{Claims, LIFETIME_SECONDS, Surface};
use contracts::{ErrorCode, InstallationId, Problem, RuntimeId};
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};

/// A statement with less time left is replaced, so that it never expires on its way.
const RENEW_BELOW_SECONDS: u64 = 60;

/// Instances a gateway may have in mind at once; beyond that it starts afresh.
const LIMIT: usize = 4096;

struct Signed {
    value: HeaderValue,
    expires: u64,
}

pub struct Signer {
    installation: InstallationId,
    key: EncodingKey,
    signed: Mutex<HashMap<(RuntimeId, Surface), Signed>>,
}

impl Signer {
    pub fn new(installation: InstallationId, key_pem: &str) -> Result<Self, Problem> {
        let key = key_in(key_pem).ok_or_else(|| {
            let detail = "The assertion key is not an Ed25519 key in PEM.";
            Problem::new(ErrorCode::DataFolderUnusable, detail)
                .with_action("Restore secrets/assertion-key.pem of the data folder from a backup.")
        })?;
        Ok(Self { installation, key, signed: Mutex::default() })
    }

    /// The header value for requests to this instance and surface.
    pub fn header(
        &self,
        runtime: &RuntimeId,
        surface: Surface,
        subject: &str,
        now: u64,
    ) -> Result<HeaderValue, Problem> {
        let name = (runtime.clone(), surface);
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = signed.get(&name).filter(|known| known.expires >= now + RENEW_BELOW_SECONDS) {
            return Ok(known.value.clone());
        }
        let fresh = self.sign(runtime, surface, subject, now)?;
        let value = fresh.value.clone();
        if signed.len() >= LIMIT {
            signed.clear();
        }
        signed.insert(name, fresh);
        Ok(value)
    }

    fn sign(
        &self,
        runtime: &RuntimeId,
        surface: Surface,
        subject: &str,
        now: u64,
    ) -> Result<Signed, Problem> {
        let claims = Claims {
            iss: self.installation.to_string(),
            aud: runtime.to_string(),
            sub: subject.to_owned(),
            iat: now,
            exp: now + LIFETIME_SECONDS,
            surface,
        };
        let text =
            encode(&Header::new(Algorithm::EdDSA), &claims, &self.key).map_err(|error| internal(&error))?;
        let mut value = HeaderValue::from_str(&text).map_err(|error| internal(&error))?;
        value.set_sensitive(true);
        Ok(Signed { value, expires: claims.exp })
    }
}

/// The key of a PEM file, if it can sign. Read here, because the feature of `jsonwebtoken` that does brings crates for
/// every other kind of key.
fn key_in(pem: &str) -> Option<EncodingKey> {
    let body =
        pem.trim().strip_prefix("-----BEGIN PRIVATE KEY-----")?.strip_suffix("-----END PRIVATE KEY-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    let key = EncodingKey::from_ed_der(&STANDARD.decode(body).ok()?);
    encode(&Header::new(Algorithm::EdDSA), &(), &key).is_ok().then_some(key)
}

fn internal(error: &dyn std::error::Error) -> Problem {
    Problem::new(ErrorCode::Internal, format!("The request to the instance could not be signed: {error}."))
        .with_action("Try again; if it stays, restart `pilot serve`.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::keys;

    fn claims(value: &HeaderValue) -> Claims {
        keys::verified(value.to_str().unwrap())
    }

    #[test]
    fn a_statement_names_the_instance_the_surface_and_a_short_time() {
        let signer = Signer::new("in-1".parse().unwrap(), &keys::private_pem()).unwrap();
        let runtime = "rt-1".parse().unwrap();
        let now = crate::session::now();
        let claims = claims(&signer.header(&runtime, Surface::Api, "admin", now).unwrap());
        assert_eq!(
            (claims.iss.as_str(), claims.aud.as_str(), claims.sub.as_str()),
            ("in-1", "rt-1", "admin")
        );
        assert_eq!((claims.surface, claims.exp - claims.iat), (Surface::Api, LIFETIME_SECONDS));
    }

    #[test]
    fn a_file_that_holds_no_key_or_another_kind_of_key_is_refused() {
        let good = keys::private_pem();
        let of =
            |pem: &str| Signer::new("in-1".parse().unwrap(), pem).map(|_| ()).map_err(|problem| problem.code);
        assert_eq!(of(&good.replace('\n', "\r\n")), Ok(()));
        let public = good.replace("PRIVATE", "PUBLIC");
        // The object identifier of X25519 in place of Ed25519's.
        let other = good.replace("BQYDK2VwBCIE", "BQYDK2VuBCIE");
        for bad in ["", "no key", &good[..good.len() / 2], &public, &other] {
            assert_eq!(of(bad), Err(ErrorCode::DataFolderUnusable.into()), "{bad}");
        }
    }

    #[test]
    fn it_is_signed_again_only_when_less_than_a_minute_is_left() {
        let signer = Signer::new("in-1".parse().unwrap(), &keys::private_pem()).unwrap();
        let (one, two) = ("rt-1".parse().unwrap(), "rt-2".parse().unwrap());
        let now = crate::session::now();
        let at = |runtime, surface, seconds| signer.header(runtime, surface, "admin", now + seconds).unwrap();
        let first = at(&one, Surface::Api, 0);
        assert_eq!(at(&one, Surface::Api, LIFETIME_SECONDS - RENEW_BELOW_SECONDS), first);
        assert_ne!(at(&one, Surface::Api, LIFETIME_SECONDS - RENEW_BELOW_SECONDS + 1), first);
        assert_ne!(at(&one, Surface::Ui, 0), first);
        assert_ne!(at(&two, Surface::Api, 0), first);
    }

    #[test]
    fn a_key_that_is_none_is_reported_at_start() {
        let problem = Signer::new("in-1".parse().unwrap(), "nonsense").err().unwrap();
        assert_eq!(problem.code, ErrorCode::DataFolderUnusable);
    }
}
