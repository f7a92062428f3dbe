//! The few documents that the gateway itself shows: the front page, the error pages' text and an
//! error as a page for a person. They are self-contained and run no script.

use contracts::{ErrorCode, Problem};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use proxy::{Body, full};

/// How often a page of an error that may pass loads itself again, in seconds.
const REFRESH_SECONDS: u8 = 2;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:12vh auto;padding:0 1rem}\
    code{background:#8882;padding:.1em .3em;border-radius:3px}.small{opacity:.7;font-size:.85rem}\
    @media(prefers-color-scheme:dark){body{background:#111;color:#eee}}";

/// What `/` on the control site says.
pub fn index(domain: &str) -> Response<Body> {
    let content = format!(
        "<h1>Pilot</h1><p>This is the gateway of a Pilot installation. Each workspace is served on its own \
         host name, <code>&lt;slug&gt;.{domain}</code>.</p><p>For a login link run \
         <code>pilot ws open SLUG</code>.</p>",
        domain = escaped(domain),
    );
    document(StatusCode::OK, "Pilot", "", &content)
}

/// `{"status":"ok"}`.
pub fn health() -> Response<Body> {
    typed(StatusCode::OK, "application/json", r#"{"status":"ok"}"#.to_owned())
}

/// The page of `docs/errors/` that explains a code.
pub fn error_page(code: ErrorCode) -> Response<Body> {
    typed(StatusCode::OK, "text/markdown; charset=utf-8", code.page().to_owned())
}

/// An error for a person in a browser; it loads itself again when that may help.
pub fn problem_page(problem: &Problem) -> Response<Body> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let refresh = match problem.retryable {
        true => format!("<meta http-equiv=\"refresh\" content=\"{REFRESH_SECONDS}\">"),
        false => String::new(),
    };
    let action = problem.action.as_deref().map(with_code).unwrap_or_default();
    let waiting = if problem.retryable { " This page tries again by itself." } else { "" };
    let content = format!(
        "<h1>{title}</h1><p>{detail}</p><p>{action}{waiting}</p><p class=small>{code} \u{b7} {id}</p>",
        title = escaped(&problem.title),
        detail = with_code(&problem.detail),
        code = escaped(problem.code.as_str()),
        id = escaped(problem.request_id.as_deref().unwrap_or_default()),
    );
    document(status, &problem.title, &refresh, &content)
}

fn document(status: StatusCode, title: &str, head: &str, content: &str) -> Response<Body> {
    let text = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\">{head}\
         <title>{title}</title><style>{STYLE}</style></head><body>{content}</body></html>\n",
        title = escaped(title),
    );
    let mut response = typed(status, "text/html; charset=utf-8", text);
    let policy =
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn typed(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Escapes the text and shows what stands between backticks as code.
fn with_code(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| match index % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    parts.collect()
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_request_becomes_markup() {
        assert_eq!(with_code("<b> `a<b` \"&'"), "&lt;b&gt; <code>a&lt;b</code> &quot;&amp;&#39;");
    }
}
