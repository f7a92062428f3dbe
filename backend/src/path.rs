//! Whether a request path means the same to us and to whatever parses it next.
//!
//! A path that another parser could read as a different one (dot segments, encoded slashes, double
//! encoding, backslashes) is refused as a whole: nothing is repaired, so nothing can be repaired
//! differently elsewhere.

/// Splits a path into its raw segments. `None` when a part of it is ambiguous. A trailing slash is
/// ambiguous too.
pub(crate) fn segments(path: &str) -> Option<Vec<&str>> {
    let rest = path.strip_prefix('/')?;
    let segments: Vec<&str> = rest.split('/').collect();
    segments.iter().all(|segment| is_plain(segment)).then_some(segments)
}

fn is_plain(segment: &str) -> bool {
    let Some(decoded) = decode(segment) else {
        return false;
    };
    let text = String::from_utf8_lossy(&decoded);
    // '%' is refused after decoding, so that decoding once more changes nothing.
    !matches!(text.as_ref(), "" | "." | "..")
        && !text.chars().any(|c| matches!(c, '/' | '\\' | '%' | '?' | '#' | ';') || c.is_control())
}

/// Percent-decoding that fails on a '%' without two hexadecimal digits.
fn decode(segment: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' { hex(bytes.next()?)? * 16 + hex(bytes.next()?)? } else { byte });
    }
    Some(decoded)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_split_and_kept_as_it_is() {
        assert_eq!(segments("/session/ses_1/message"), Some(vec!["session", "ses_1", "message"]));
        assert_eq!(segments("/mcp/my%20server"), Some(vec!["mcp", "my%20server"]));
    }

    #[test]
    fn a_path_that_could_be_read_in_two_ways_is_refused() {
        for path in [
            "",
            "/",
            "session",
            "//session",
            "/session/",
            "/session//x",
            "/session/.",
            "/session/..",
            "/session/../global/upgrade",
            "/session/%2e%2e/global/upgrade",
            "/session/.%2E/global/upgrade",
            "/session/..%2fglobal%2fupgrade",
            "/session/%2F",
            "/session/%5c..%5cglobal",
            "/session/..\\global",
            "/session/%252e%252e",
            "/session/%",
            "/session/%2",
            "/session/%zz",
            "/session/%00",
            "/session/%0d%0aX",
            "/session/..;/global",
            "/session/a%3fb",
            "/session/a%23b",
        ] {
            assert_eq!(segments(path), None, "{path}");
        }
    }
}
