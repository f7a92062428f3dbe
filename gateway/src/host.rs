//! Which site a request is for: the control site or one workspace's own host name.
//!
//! Workspaces run code that Pilot does not trust, so each has its own origin and shares none with
//! the control API. A name that is neither is refused, which also ends DNS rebinding.

use std::net::SocketAddr;

use contracts::{ErrorCode, Problem, Slug};
use http::Request;
use http::header::HOST;
use http::uri::Authority;

/// Every request has one of these scopes; a login is valid in one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Control,
    Workspace(Slug),
}

/// The site as the caller named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub scope: Scope,
    /// `host` or `host:port`, in lower case.
    pub authority: String,
    pub port: Option<u16>,
}

impl Site {
    /// What a browser on this site sends as `Origin`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.authority)
    }
}

/// The host names that a gateway answers to.
#[derive(Debug, Clone)]
pub struct Names {
    domain: String,
    control: Vec<String>,
}

impl Names {
    pub fn new(domain: &str, listen: SocketAddr) -> Self {
        let domain = domain.to_ascii_lowercase();
        let mut control =
            vec![domain.clone(), "localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        if !listen.ip().is_unspecified() {
            control.push(match listen.ip() {
                std::net::IpAddr::V4(ip) => ip.to_string(),
                std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            });
        }
        Self { domain, control }
    }

    /// The host and port under which a browser finds a scope, given the port by which we were reached.
    pub fn authority_of(&self, scope: &Scope, asked: &Site) -> String {
        match scope {
            Scope::Control => asked.authority.clone(),
            Scope::Workspace(slug) => match asked.port {
                Some(port) => format!("{slug}.{}:{port}", self.domain),
                None => format!("{slug}.{}", self.domain),
            },
        }
    }

    pub fn site<B>(&self, request: &Request<B>) -> Result<Site, Problem> {
        let authority = authority(request)?;
        let host = authority.host().to_ascii_lowercase();
        let scope = self.scope(&host)?;
        Ok(Site { scope, port: authority.port_u16(), authority: authority.as_str().to_ascii_lowercase() })
    }

    fn scope(&self, host: &str) -> Result<Scope, Problem> {
        if self.control.iter().any(|name| name == host) {
            return Ok(Scope::Control);
        }
        let Some(label) = host.strip_suffix(&self.domain).and_then(|rest| rest.strip_suffix('.')) else {
            let detail = format!("This gateway does not serve the host {host:?}.");
            return Err(Problem::new(ErrorCode::NotFound, detail).with_action(format!(
                "Use `<slug>.{}` for a workspace or `{}` for the API.",
                self.domain, self.domain
            )));
        };
        label.parse().map(Scope::Workspace).map_err(|error| no_such_workspace(label, &error.to_string()))
    }
}

/// The answer for a name that cannot be a workspace's.
pub(crate) fn no_such_workspace(name: &str, why: &str) -> Problem {
    Problem::new(ErrorCode::WorkspaceNotFound, format!("There is no workspace {name:?}: {why}."))
        .with_action("`pilot ws ls` lists the workspaces.")
}

fn authority<B>(request: &Request<B>) -> Result<Authority, Problem> {
    // A request with a full URL in its first line: that names the host, and the header is ignored.
    if let Some(authority) = request.uri().authority() {
        return checked(authority.clone());
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(bad_host("The request must have exactly one Host header."));
    };
    let parsed = host.to_str().ok().and_then(|text| text.parse().ok());
    checked(parsed.ok_or_else(|| bad_host("The Host header is not a host name."))?)
}

fn checked(authority: Authority) -> Result<Authority, Problem> {
    let rest = authority.as_str().strip_prefix(authority.host());
    let port_is_sound = match rest {
        Some("") => true,
        Some(rest) => rest.starts_with(':') && authority.port_u16().is_some(),
        // Something stands before the host: `user@host`.
        None => false,
    };
    if !port_is_sound || authority.host().is_empty() {
        return Err(bad_host("The Host header is not a host name with an optional port."));
    }
    Ok(authority)
}

fn bad_host(detail: &str) -> Problem {
    Problem::new(ErrorCode::BadRequest, detail).with_action("Send the host name of this gateway.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(host: &str) -> Result<Site, Problem> {
        let names = Names::new("localhost", "127.0.0.1:14080".parse().unwrap());
        names.site(&Request::get("/").header("host", host).body(()).unwrap())
    }

    #[test]
    fn the_domain_and_loopback_addresses_are_the_control_site() {
        for host in ["localhost", "LOCALHOST:14080", "127.0.0.1:14080", "[::1]:14080"] {
            assert_eq!(site(host).unwrap().scope, Scope::Control, "{host}");
        }
        assert_eq!(site("LocalHost:14080").unwrap().origin(), "http://localhost:14080");
    }

    #[test]
    fn a_slug_before_the_domain_is_that_workspace() {
        let site = site("Demo.localhost:14080").unwrap();
        assert_eq!(site.scope, Scope::Workspace("demo".parse().unwrap()));
        assert_eq!((site.authority.as_str(), site.port), ("demo.localhost:14080", Some(14080)));
    }

    #[test]
    fn other_names_are_refused() {
        for (host, code) in [
            ("evil.example", ErrorCode::NotFound),
            ("demolocalhost", ErrorCode::NotFound),
            ("demo.localhost.", ErrorCode::NotFound),
            ("a.b.localhost", ErrorCode::WorkspaceNotFound),
            (".localhost", ErrorCode::WorkspaceNotFound),
            ("api.localhost", ErrorCode::WorkspaceNotFound),
            ("user@localhost", ErrorCode::BadRequest),
            ("localhost:", ErrorCode::BadRequest),
            ("localhost:99999", ErrorCode::BadRequest),
            ("a b", ErrorCode::BadRequest),
            ("", ErrorCode::BadRequest),
        ] {
            assert_eq!(site(host).unwrap_err().code, code, "{host:?}");
        }
    }

    #[test]
    fn two_host_headers_or_none_are_refused_and_a_full_url_overrides_the_header() {
        let names = Names::new("localhost", "127.0.0.1:1".parse().unwrap());
        let two =
            Request::get("/").header("host", "localhost").header("host", "demo.localhost").body(()).unwrap();
        assert_eq!(names.site(&two).unwrap_err().code, ErrorCode::BadRequest);
        let none = Request::get("/").body(()).unwrap();
        assert_eq!(names.site(&none).unwrap_err().code, ErrorCode::BadRequest);
        let full = Request::get("http://demo.localhost/x").header("host", "localhost").body(()).unwrap();
        assert_eq!(names.site(&full).unwrap().scope, Scope::Workspace("demo".parse().unwrap()));
    }
}
