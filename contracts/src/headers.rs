//! Header names that cross a boundary, and the rule for request ids.

/// Correlates one request across gateway, orchestrator and instance.
pub const REQUEST_ID: &str = "x-pilot-request-id";

/// The gateway's signed statement to an instance (see [`crate::assertion`]).
pub const ASSERTION: &str = "x-pilot-assertion";

/// Makes a retried change answer with the operation of the first try.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The host that the visitor asked for, as the gateway saw it.
pub const FORWARDED_HOST: &str = "x-forwarded-host";

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A request id is 1 to 64 of letters, digits, '-' and '_'; anything else is replaced, so that no
/// caller can write into our logs.
pub fn is_valid_request_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A new request id.
pub fn new_request_id() -> String {
    format!("req-{}", uuid::Uuid::now_v7().simple())
}

/// The caller's request id where it is valid, else a new one.
pub fn request_id(from_caller: Option<&str>) -> String {
    match from_caller {
        Some(text) if is_valid_request_id(text) => text.to_owned(),
        _ => new_request_id(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_that_could_forge_a_log_line_is_replaced() {
        for bad in ["", "a b", "a\nb", "\u{1b}[31m", "ü", &"x".repeat(65)] {
            assert_ne!(request_id(Some(bad)), bad);
        }
        assert_eq!(request_id(Some("req_1-A")), "req_1-A");
        assert!(is_valid_request_id(&new_request_id()));
    }
}
