//! Where a request goes: one pure function from site, method and path to a destination.

use contracts::assertion::Surface;
use contracts::{ErrorCode, Problem, Slug};
use http::{Method, Uri};

use crate::host::{Scope, no_such_workspace};

/// What the gateway does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Health,
    Index,
    ErrorPage(ErrorCode),
    MintLink,
    Login,
    Instance { slug: Slug, surface: Surface, path_and_query: String },
}

const LINKS: &str = "/api/auth/links";
const LOGIN: &str = "/_pilot/login";
/// Paths below this belong to the gateway on every site.
const OWN: &str = "/_pilot/";
const ERROR_PAGES: &str = "/docs/errors/";
pub const WORKSPACES: &str = "/api/chamber/workspaces/";

pub fn route(scope: &Scope, method: &Method, uri: &Uri) -> Result<Destination, Problem> {
    let path = uri.path();
    if method == Method::CONNECT || !path.starts_with('/') {
        let detail = format!("This gateway is no forward proxy: it does not take {method} {path}.");
        return Err(Problem::new(ErrorCode::MethodNotAllowed, detail)
            .with_action("Send a path that begins with '/'."));
    }
    if path == LOGIN {
        return only(&[Method::GET], method, path, Destination::Login);
    }
    if path.starts_with(OWN) {
        return Err(nothing_at(path));
    }
    match scope {
        Scope::Control => control(method, uri),
        Scope::Workspace(slug) => {
            let path_and_query = verbatim(uri);
            Ok(Destination::Instance { slug: slug.clone(), surface: Surface::Ui, path_and_query })
        }
    }
}

fn control(method: &Method, uri: &Uri) -> Result<Destination, Problem> {
    let path = uri.path();
    let read = [Method::GET, Method::HEAD];
    if let Some(rest) = path.strip_prefix(WORKSPACES) {
        return workspace_api(rest, uri);
    }
    if let Some(name) = path.strip_prefix(ERROR_PAGES) {
        let code = name.parse().map_err(|()| nothing_at(path))?;
        return only(&read, method, path, Destination::ErrorPage(code));
    }
    match path {
        "/" => only(&read, method, path, Destination::Index),
        "/health" => only(&read, method, path, Destination::Health),
        LINKS => only(&[Method::POST], method, path, Destination::MintLink),
        _ => Err(nothing_at(path)),
    }
}

/// `/api/chamber/workspaces/:slug/*` is the instance's `/api/*`.
fn workspace_api(rest: &str, uri: &Uri) -> Result<Destination, Problem> {
    let (name, path) = rest.split_once('/').ok_or_else(|| nothing_at(uri.path()))?;
    if climbs(path) {
        let detail = "The path has a '..' or '.' segment, which could leave the workspace's API.";
        return Err(Problem::new(ErrorCode::BadRequest, detail).with_action("Send the path without it."));
    }
    let slug = name
        .parse()
        .map_err(|error: contracts::ids::InvalidName| no_such_workspace(name, &error.to_string()))?;
    let path_and_query = match uri.query() {
        Some(query) => format!("/api/{path}?{query}"),
        None => format!("/api/{path}"),
    };
    Ok(Destination::Instance { slug, surface: Surface::Api, path_and_query })
}

/// True when a segment is `.` or `..`, however it is encoded.
fn climbs(path: &str) -> bool {
    percent_decoded(path)
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .any(|segment| matches!(segment, b"." | b".."))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = text.as_bytes().iter();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(&byte) = bytes.next() {
        let ahead = bytes.as_slice();
        match (byte, hex(ahead.first()), hex(ahead.get(1))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(byte));
                bytes = ahead.get(2..).unwrap_or_default().iter();
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}

fn verbatim(uri: &Uri) -> String {
    uri.path_and_query().map_or_else(|| "/".to_owned(), |path| path.as_str().to_owned())
}

fn only(
    allowed: &[Method],
    method: &Method,
    path: &str,
    destination: Destination,
) -> Result<Destination, Problem> {
    if allowed.contains(method) {
        return Ok(destination);
    }
    let names: Vec<_> = allowed.iter().map(Method::as_str).collect();
    let detail = format!("{path} does not take {method}.");
    Err(Problem::new(ErrorCode::MethodNotAllowed, detail)
        .with_action(format!("Send {}.", names.join(" or "))))
}

fn nothing_at(path: &str) -> Problem {
    Problem::new(ErrorCode::NotFound, format!("There is nothing at {path} on this site.")).with_action(
        "The API of a workspace is at /api/chamber/workspaces/<slug>/, its UI on <slug>.localhost.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(site: &str, method: Method, path: &str) -> Result<Destination, ErrorCode> {
        let scope = match site {
            "" => Scope::Control,
            slug => Scope::Workspace(slug.parse().unwrap()),
        };
        route(&scope, &method, &path.parse().unwrap()).map_err(|problem| problem.code.known().unwrap())
    }

    fn instance(slug: &str, surface: Surface, path: &str) -> Result<Destination, ErrorCode> {
        Ok(Destination::Instance { slug: slug.parse().unwrap(), surface, path_and_query: path.to_owned() })
    }

    #[test]
    fn the_path_route_is_the_instances_api_and_the_host_route_its_ui_verbatim() {
        let api = on("", Method::POST, "/api/chamber/workspaces/demo/session/a%20b?x=1");
        assert_eq!(api, instance("demo", Surface::Api, "/api/session/a%20b?x=1"));
        assert_eq!(
            on("", Method::GET, "/api/chamber/workspaces/demo/"),
            instance("demo", Surface::Api, "/api/")
        );
        for path in
            ["/", "/api/session?x=1", "/a/../b", "/health", "/docs/errors/internal", "/api/auth/links"]
        {
            assert_eq!(on("demo", Method::PUT, path), instance("demo", Surface::Ui, path));
        }
    }

    #[test]
    fn no_encoding_of_dots_leaves_the_workspaces_api() {
        for path in ["..", "../x", "a/../b", "%2e%2E/x", ".%2e", "a/./b", "..%2fx", "..%5cx", "a\\..\\b"] {
            let answer = on("", Method::GET, &format!("/api/chamber/workspaces/demo/{path}"));
            assert_eq!(answer, Err(ErrorCode::BadRequest), "{path}");
        }
        for path in ["...", "a..b", "%2", "%zz", ".git", "%25%32%65"] {
            assert!(on("", Method::GET, &format!("/api/chamber/workspaces/demo/{path}")).is_ok(), "{path}");
        }
    }

    #[test]
    fn the_control_site_has_its_few_routes_and_nothing_else() {
        assert_eq!(on("", Method::GET, "/"), Ok(Destination::Index));
        assert_eq!(on("", Method::HEAD, "/health"), Ok(Destination::Health));
        assert_eq!(on("", Method::POST, "/api/auth/links"), Ok(Destination::MintLink));
        assert_eq!(
            on("", Method::GET, "/docs/errors/internal"),
            Ok(Destination::ErrorPage(ErrorCode::Internal))
        );
        for path in ["/x", "/docs/errors/nope", "/api", "/api/chamber/workspaces/demo", "/_pilot/x"] {
            assert_eq!(on("", Method::GET, path), Err(ErrorCode::NotFound), "{path}");
        }
        assert_eq!(on("", Method::GET, "/api/chamber/workspaces/Demo/x"), Err(ErrorCode::WorkspaceNotFound));
    }

    #[test]
    fn a_login_is_only_taken_as_get_and_own_paths_never_reach_an_instance() {
        for site in ["", "demo"] {
            assert_eq!(on(site, Method::GET, "/_pilot/login?code=x"), Ok(Destination::Login));
            assert_eq!(on(site, Method::HEAD, "/_pilot/login"), Err(ErrorCode::MethodNotAllowed));
            assert_eq!(on(site, Method::GET, "/_pilot/other"), Err(ErrorCode::NotFound));
        }
        assert_eq!(on("", Method::DELETE, "/health"), Err(ErrorCode::MethodNotAllowed));
        assert_eq!(on("", Method::OPTIONS, "*"), Err(ErrorCode::MethodNotAllowed));
        assert_eq!(on("", Method::CONNECT, "demo.localhost:80"), Err(ErrorCode::MethodNotAllowed));
    }
}
