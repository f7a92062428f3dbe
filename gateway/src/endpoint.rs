//! From an instance's address to where a request goes. Which addresses are used is decided by [`Endpoint::usable`].

use contracts::workspace::Endpoint;
use contracts::{ErrorCode, Problem};
use http::{HeaderMap, HeaderName, HeaderValue};
use proxy::Target;

/// Where an endpoint's requests go; the path is still to be said.
pub fn target(endpoint: &Endpoint) -> Result<Target, Problem> {
    let authority = endpoint.usable()?;
    Ok(Target { authority, tls: endpoint.tls, path_and_query: "/".to_owned() })
}

/// Sets the headers that the endpoint asks for.
pub fn name_instance(headers: &mut HeaderMap, endpoint: &Endpoint) -> Result<(), Problem> {
    for (name, value) in &endpoint.headers {
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) else {
            let detail = format!(
                "The instance's address {endpoint} was not used: it wants a header that cannot be sent."
            );
            return Err(Problem::new(ErrorCode::UpstreamUnreachable, detail)
                .with_action("Check the provider's network settings."));
        };
        headers.insert(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_name_the_instance_behind_a_shared_address() {
        let mut headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("demo"))]);
        let with = |name: &str, value: &str| Endpoint {
            headers: [(name.to_owned(), value.to_owned())].into(),
            ..Endpoint::plain("127.0.0.1", 1)
        };
        name_instance(&mut headers, &with("host", "app.example")).unwrap();
        assert_eq!(headers[http::header::HOST], "app.example");
        assert!(name_instance(&mut headers, &with("a b", "x")).is_err());
        assert!(name_instance(&mut headers, &with("x", "a\nb")).is_err());
    }
}
