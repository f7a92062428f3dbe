//! Cookie headers on their way through: ours never reach an instance, an instance never sets ours.

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

use crate::session;

/// Every value of our session cookie. A workspace's page could add one, so all are tried.
pub fn sessions(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    pairs(headers)
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| is_ours(name))
        .map(|(_, value)| value.trim())
}

/// Removes our cookie from a request and keeps the others.
pub fn strip_session(headers: &mut HeaderMap) {
    if sessions(headers).next().is_none() {
        return;
    }
    let kept: Vec<&str> = pairs(headers).filter(|pair| !is_ours(name_of(pair))).collect();
    let joined = kept.join("; ");
    headers.remove(COOKIE);
    if let (false, Ok(value)) = (joined.is_empty(), HeaderValue::from_str(&joined)) {
        headers.insert(COOKIE, value);
    }
}

/// Keeps an instance from setting our cookie, or any cookie for more than its own host name.
pub fn confine_set_cookie(headers: &mut HeaderMap) {
    if !headers.contains_key(SET_COOKIE) {
        return;
    }
    let confined: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().filter_map(confined).collect();
    headers.remove(SET_COOKIE);
    for value in confined {
        headers.append(SET_COOKIE, value);
    }
}

fn confined(value: &HeaderValue) -> Option<HeaderValue> {
    // What is not text cannot be checked.
    let text = value.to_str().ok()?;
    let (name, _) = text.split(';').next().and_then(|pair| pair.split_once('='))?;
    // Browsers send back a cookie without a name as its bare value, which could then name ours.
    if name.trim().is_empty() || is_ours(name) {
        return None;
    }
    let parts: Vec<&str> =
        text.split(';').filter(|part| !name_of(part).eq_ignore_ascii_case("domain")).map(str::trim).collect();
    HeaderValue::from_str(&parts.join("; ")).ok()
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
}

fn name_of(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name).trim()
}

fn is_ours(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case(session::COOKIE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: http::HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name.clone(), HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn our_cookie_is_taken_out_of_a_request_and_the_others_stay() {
        for (lines, left) in [
            (vec!["a=1; pilot_session=x; b=2"], Some("a=1; b=2")),
            (vec!["pilot_session=x"], None),
            (vec!["a=1", "pilot_session=x; b=2"], Some("a=1; b=2")),
            (vec!["pilot_session=x;pilot_session=y"], None),
            (vec!["a=1; not_pilot_session=x"], Some("a=1; not_pilot_session=x")),
        ] {
            let mut headers = with(COOKIE, &lines);
            strip_session(&mut headers);
            assert_eq!(headers.get(COOKIE).map(|value| value.to_str().unwrap()), left, "{lines:?}");
        }
    }

    #[test]
    fn every_session_cookie_is_found() {
        let headers = with(COOKIE, &["pilot_session=x; a=b", "pilot_session=y"]);
        assert_eq!(sessions(&headers).collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn an_instance_cannot_set_our_cookie_or_one_for_other_hosts() {
        let mut headers = with(
            SET_COOKIE,
            &[
                "pilot_session=evil; Path=/",
                " Pilot_Session=evil",
                "=pilot_session=evil",
                "pilot_session",
                "a=1; DOMAIN=localhost; Path=/; HttpOnly",
                "b=2",
            ],
        );
        confine_set_cookie(&mut headers);
        let left: Vec<_> = headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(left, ["a=1; Path=/; HttpOnly", "b=2"]);
    }
}
