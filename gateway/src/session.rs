//! Session cookies: a JWT signed with the installation's own key, valid for one scope.
//!
//! Browsers keep a cookie for each workspace's host name; the audience makes sure that one which
//! leaks from a workspace opens no other.

use std::time::{SystemTime, UNIX_EPOCH};

use contracts::{ErrorCode, Problem};
use http::HeaderValue;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::host::Scope;

pub const COOKIE: &str = "pilot_session";
const LIFETIME_SECONDS: u64 = 12 * 60 * 60;

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    exp: u64,
}

pub struct Sessions {
    installation: String,
    signing: EncodingKey,
    verifying: DecodingKey,
}

impl Sessions {
    pub fn new(installation: &str, key: &[u8; 32]) -> Self {
        Self {
            installation: installation.to_owned(),
            signing: EncodingKey::from_secret(key),
            verifying: DecodingKey::from_secret(key),
        }
    }

    /// A `Set-Cookie` value that logs a browser in to the scope.
    pub fn cookie(&self, scope: &Scope, subject: &str) -> Result<HeaderValue, Problem> {
        let token = self.token(scope, subject, now())?;
        let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={LIFETIME_SECONDS}");
        let mut value = HeaderValue::from_str(&text).map_err(|error| internal(&error))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// True when the token is ours, for this scope, and not expired.
    pub fn is_valid(&self, token: &str, scope: &Scope) -> bool {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = 0;
        rules.set_audience(&[audience(scope)]);
        rules.set_issuer(&[&self.installation]);
        rules.set_required_spec_claims(&["exp", "aud", "iss"]);
        decode::<Claims>(token, &self.verifying, &rules).is_ok()
    }

    fn token(&self, scope: &Scope, subject: &str, at: u64) -> Result<String, Problem> {
        let claims = Claims {
            iss: self.installation.clone(),
            aud: audience(scope),
            sub: subject.to_owned(),
            iat: at,
            exp: at + LIFETIME_SECONDS,
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.signing).map_err(|error| internal(&error))
    }
}

/// Seconds since 1970, as JWTs count.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

fn audience(scope: &Scope) -> String {
    match scope {
        Scope::Control => "control".to_owned(),
        Scope::Workspace(slug) => format!("workspace:{slug}"),
    }
}

fn internal(error: &dyn std::error::Error) -> Problem {
    Problem::new(ErrorCode::Internal, format!("A session could not be signed: {error}."))
        .with_action("Try again; if it stays, restart `pilot serve`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(key: u8) -> Sessions {
        Sessions::new("in-1", &[key; 32])
    }

    fn workspace(slug: &str) -> Scope {
        Scope::Workspace(slug.parse().unwrap())
    }

    #[test]
    fn a_session_is_valid_for_its_scope_and_no_other() {
        let token = sessions(1).token(&workspace("demo"), "admin", now()).unwrap();
        assert!(sessions(1).is_valid(&token, &workspace("demo")));
        assert!(!sessions(1).is_valid(&token, &workspace("other")));
        assert!(!sessions(1).is_valid(&token, &Scope::Control));
    }

    #[test]
    fn an_expired_foreign_or_forged_session_is_not_valid() {
        let scope = workspace("demo");
        let old = sessions(1).token(&scope, "admin", now() - LIFETIME_SECONDS - 1).unwrap();
        assert!(!sessions(1).is_valid(&old, &scope));
        let foreign = sessions(2).token(&scope, "admin", now()).unwrap();
        assert!(!sessions(1).is_valid(&foreign, &scope));
        let other_installation = Sessions::new("in-2", &[1; 32]).token(&scope, "admin", now()).unwrap();
        assert!(!sessions(1).is_valid(&other_installation, &scope));
        // `{"alg":"none"}` with the claims of a good token and no signature.
        let good = sessions(1).token(&scope, "admin", now()).unwrap();
        let claims = good.split('.').nth(1).unwrap();
        assert!(!sessions(1).is_valid(&format!("eyJhbGciOiJub25lIn0.{claims}."), &scope));
        assert!(!sessions(1).is_valid("", &scope));
    }

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let cookie = sessions(1).cookie(&Scope::Control, "admin").unwrap();
        let text = cookie.to_str().unwrap();
        for part in ["pilot_session=", "; Path=/", "; HttpOnly", "; SameSite=Lax", "; Max-Age=43200"] {
            assert!(text.contains(part), "{part}");
        }
        assert!(!text.contains("Domain"), "a cookie with a domain would reach other workspaces");
    }
}
