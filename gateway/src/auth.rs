//! Who asks: the operator with the admin token, or a browser with a session for this very site.

use contracts::{ErrorCode, Problem};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use crate::cookies;
use crate::host::Scope;
use crate::session::Sessions;

/// There is one operator; sessions and assertions carry this name.
pub const SUBJECT: &str = "admin";

/// A workspace's page can add cookies of this name; so many of them are still looked at.
const MAX_SESSIONS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Sent the admin token. No browser does that by itself.
    Token,
    /// A browser sent a session cookie, perhaps because another page made it.
    Session,
}

/// The caller, or `None` when the request proves nothing.
pub fn caller(headers: &HeaderMap, scope: &Scope, admin_token: &str, sessions: &Sessions) -> Option<Caller> {
    if has_token(headers, admin_token) {
        return Some(Caller::Token);
    }
    let mut candidates = cookies::sessions(headers).take(MAX_SESSIONS);
    candidates.any(|token| sessions.is_valid(token, scope)).then_some(Caller::Session)
}

/// True when the request has exactly one Authorization header and it is the admin token.
pub fn has_token(headers: &HeaderMap, admin_token: &str) -> bool {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else { return false };
    let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return false;
    };
    // An empty token would let everybody in if a configuration lost it.
    !admin_token.is_empty()
        && scheme.eq_ignore_ascii_case("bearer")
        && bool::from(token.trim().as_bytes().ct_eq(admin_token.as_bytes()))
}

/// The answer to a request that proves nothing.
pub fn unauthorized(scope: &Scope) -> Problem {
    match scope {
        Scope::Control => Problem::new(ErrorCode::Unauthorized, "This address needs a login, and the request has none that is valid.")
            .with_action("Send `Authorization: Bearer <admin token>`; the token is in secrets/admin-token of the data folder."),
        Scope::Workspace(slug) => Problem::new(
            ErrorCode::Unauthorized,
            format!("The workspace {slug} needs a login, and this browser has none or an expired one."),
        )
        .with_action(format!("Run `pilot ws open {slug}` and open the link that it prints.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (AUTHORIZATION, line.parse().unwrap())).fold(
            HeaderMap::new(),
            |mut map, (name, value)| {
                map.append(name, value);
                map
            },
        )
    }

    #[test]
    fn only_the_whole_admin_token_as_the_single_bearer_is_accepted() {
        assert!(has_token(&headers(&["Bearer secret"]), "secret"));
        assert!(has_token(&headers(&["bearer  secret"]), "secret"));
        for bad in [
            vec![],
            vec!["Bearer secre"],
            vec!["Bearer secrets"],
            vec!["Basic secret"],
            vec!["secret"],
            vec!["Bearer "],
            vec!["Bearer secret", "Bearer secret"],
        ] {
            assert!(!has_token(&headers(&bad), "secret"), "{bad:?}");
        }
        assert!(!has_token(&headers(&["Bearer "]), ""));
    }
}
