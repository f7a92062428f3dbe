//! Requests that another site's page made a browser send are refused.
//!
//! Cookies follow a browser to every port of a host name, and WebSockets and plain forms ignore CORS,
//! so the gateway compares what the browser says of the request's origin with its own.

use contracts::{ErrorCode, Problem};
use http::header::{HeaderMap, ORIGIN};
use http::{Method, Request};

use crate::auth::Caller;
use crate::host::Site;

/// A change or a WebSocket from a page must come from a page of this site, whoever asks.
pub fn check_change<B>(request: &Request<B>, site: &Site) -> Result<(), Problem> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let opens_tunnel = request.headers().contains_key(http::header::UPGRADE);
    if (!is_read || opens_tunnel) && !origin_is_own(request.headers(), site) {
        return Err(forbidden(site));
    }
    Ok(())
}

/// A session cookie says who owns the browser, not who wanted the request: pages of other sites may
/// only bring the browser here (a link), not read or load anything.
pub fn check_caller<B>(request: &Request<B>, site: &Site, caller: Caller) -> Result<(), Problem> {
    let headers = request.headers();
    let is_foreign = matches!(text(headers, "sec-fetch-site"), Some("cross-site" | "same-site"));
    let is_link = request.method() == Method::GET
        && text(headers, "sec-fetch-mode") == Some("navigate")
        && text(headers, "sec-fetch-dest").is_none_or(|dest| dest == "document");
    match caller {
        Caller::Token => Ok(()),
        Caller::Session if !origin_is_own(headers, site) => Err(forbidden(site)),
        Caller::Session if is_foreign && !is_link => Err(forbidden(site)),
        Caller::Session => Ok(()),
    }
}

fn origin_is_own(headers: &HeaderMap, site: &Site) -> bool {
    let own = site.origin();
    headers.get_all(ORIGIN).iter().all(|origin| origin.as_bytes() == own.as_bytes())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn forbidden(site: &Site) -> Problem {
    let detail =
        format!("A page of another site made this request to {}, which is not allowed.", site.authority);
    Problem::new(ErrorCode::Forbidden, detail)
        .with_action("Open this address itself in the browser; programs send no Origin header.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Scope;

    fn site() -> Site {
        Site { scope: Scope::Control, authority: "localhost:14080".to_owned(), port: Some(14080) }
    }

    fn request(method: Method, headers: &[(&str, &str)]) -> Request<()> {
        let builder = Request::builder().method(method).uri("/");
        headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(()).unwrap()
    }

    const OWN: (&str, &str) = ("origin", "http://localhost:14080");
    const UPGRADE: (&str, &str) = ("upgrade", "websocket");

    #[test]
    fn a_change_or_a_tunnel_needs_the_exact_own_origin_where_one_is_sent() {
        let allowed =
            |method: Method, headers: &[_]| check_change(&request(method, headers), &site()).is_ok();
        assert!(allowed(Method::POST, &[OWN]));
        assert!(allowed(Method::POST, &[]), "programs send no Origin");
        assert!(allowed(Method::GET, &[OWN, UPGRADE]));
        for origin in [
            "null",
            "http://localhost",
            "http://localhost:14081",
            "https://localhost:14080",
            "http://demo.localhost:14080",
        ] {
            assert!(!allowed(Method::POST, &[("origin", origin)]), "{origin}");
            assert!(!allowed(Method::GET, &[("origin", origin), UPGRADE]), "{origin}");
        }
        assert!(!allowed(Method::DELETE, &[OWN, ("origin", "http://evil.example")]), "two origins");
    }

    #[test]
    fn with_a_session_other_sites_may_link_here_but_not_load_from_here() {
        let check =
            |caller, headers: &[_]| check_caller(&request(Method::GET, headers), &site(), caller).is_ok();
        let cross = ("sec-fetch-site", "cross-site");
        let navigate = ("sec-fetch-mode", "navigate");
        assert!(check(Caller::Session, &[cross, navigate, ("sec-fetch-dest", "document")]));
        assert!(check(Caller::Session, &[("sec-fetch-site", "same-origin")]));
        assert!(!check(Caller::Session, &[cross, ("sec-fetch-mode", "no-cors")]));
        // Another port of the same host name counts as the same site.
        assert!(!check(Caller::Session, &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors")]));
        assert!(!check(Caller::Session, &[cross, navigate, ("sec-fetch-dest", "iframe")]));
        assert!(!check(Caller::Session, &[("origin", "http://evil.example")]));
        assert!(check(Caller::Token, &[cross]));
    }
}
