//! Header hygiene: what belongs to one connection only, and what only a trusted hop may say.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// `x-pilot-request-id` as a header name.
pub const REQUEST_ID: HeaderName = HeaderName::from_static(contracts::headers::REQUEST_ID);

const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes the headers that belong to one connection, and those that `Connection` names.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // A body whose end is told by chunks must not keep a second, contradicting length.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> =
        tokens(headers, &CONNECTION).filter_map(|token| token.parse().ok()).filter(is_removable).collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Removes what only a trusted hop may say of a request: where it came from and who vouches for it.
pub fn strip_forwarding(headers: &mut HeaderMap) {
    let spoofed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            name.starts_with("x-forwarded-")
                || name.starts_with("x-pilot-")
                || matches!(name, "forwarded" | "x-real-ip" | "via")
        })
        .cloned()
        .collect();
    for name in spoofed {
        headers.remove(name);
    }
}

/// The caller's request id where it sent exactly one valid one, else a new one.
pub fn request_id(headers: &HeaderMap) -> String {
    let mut sent = headers.get_all(REQUEST_ID).iter();
    let only = match (sent.next(), sent.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    };
    contracts::headers::request_id(only)
}

/// The comma-separated tokens of every header line of this name, without surrounding space.
pub(crate) fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// `Connection: host` or `Connection: x-pilot-assertion` must not undo what an earlier hop decided.
fn is_removable(name: &HeaderName) -> bool {
    let text = name.as_str();
    ![HOST, CONTENT_LENGTH, AUTHORIZATION, COOKIE].contains(name)
        && !text.starts_with("x-pilot-")
        && !text.starts_with("x-forwarded-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn headers_of_one_connection_and_those_it_names_do_not_pass() {
        let mut headers = map(&[
            ("connection", "keep-alive, X-Secret-Hop"),
            ("connection", "x-other"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("upgrade", "h2c"),
            ("x-secret-hop", "1"),
            ("x-other", "1"),
            ("accept", "*/*"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(names(&headers), ["accept"]);
    }

    #[test]
    fn connection_cannot_name_away_a_header_that_a_hop_relies_on() {
        let mut headers = map(&[
            (
                "connection",
                "host, x-pilot-assertion, x-forwarded-host, cookie, content-length, authorization",
            ),
            ("host", "demo.localhost"),
            ("x-pilot-assertion", "a"),
            ("x-forwarded-host", "a"),
            ("cookie", "a=b"),
            ("content-length", "3"),
            ("authorization", "Basic x"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 6);
    }

    #[test]
    fn a_chunked_body_keeps_no_second_length() {
        let mut headers = map(&[("transfer-encoding", "chunked"), ("content-length", "3")]);
        strip_hop_by_hop(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn claims_about_the_origin_of_a_request_are_dropped() {
        let mut headers = map(&[
            ("x-forwarded-for", "1.2.3.4"),
            ("X-Forwarded-Anything", "1"),
            ("forwarded", "for=1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("x-pilot-assertion", "a.b.c"),
            ("accept", "*/*"),
        ]);
        strip_forwarding(&mut headers);
        assert_eq!(names(&headers), ["accept"]);
    }

    #[test]
    fn a_valid_request_id_is_kept_and_a_doubtful_one_replaced() {
        assert_eq!(request_id(&map(&[("x-pilot-request-id", "req-7")])), "req-7");
        for bad in [vec![("x-pilot-request-id", "a b")], vec![], vec![("x-pilot-request-id", "a"); 2]] {
            assert!(request_id(&map(&bad)).starts_with("req-"), "{bad:?}");
        }
    }
}
