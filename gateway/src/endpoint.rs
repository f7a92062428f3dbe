//! Which addresses an instance may have.
//!
//! The gateway connects where the orchestrator says. Should that answer ever be wrong, the gateway
//! must not become a way to a cloud's metadata service or to whatever the network's names lead to: plain
//! HTTP goes to loopback and private addresses only, and a name is used with TLS only, where the
//! certificate proves who answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use contracts::workspace::Endpoint;
use contracts::{ErrorCode, Problem};
use http::{HeaderMap, HeaderName, HeaderValue};
use proxy::Target;

/// AWS serves instance metadata on this private IPv6 address as well.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Where an endpoint's requests go; the path is still to be said.
pub fn target(endpoint: &Endpoint) -> Result<Target, Problem> {
    let has_name = endpoint.host.parse::<IpAddr>().is_err() && endpoint.host != "localhost";
    let authority = match endpoint.tls && has_name {
        true => named(endpoint)?,
        false => socket_address(endpoint)?.to_string(),
    };
    Ok(Target { authority, tls: endpoint.tls, path_and_query: "/".to_owned() })
}

/// Sets the headers that the endpoint asks for.
pub fn name_instance(headers: &mut HeaderMap, endpoint: &Endpoint) -> Result<(), Problem> {
    for (name, value) in &endpoint.headers {
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) else {
            return Err(refused(endpoint, "it wants a header that cannot be sent"));
        };
        headers.insert(name, value);
    }
    Ok(())
}

fn named(endpoint: &Endpoint) -> Result<String, Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if !endpoint.host.chars().all(plain) || !endpoint.host.contains('.') || endpoint.port == 0 {
        return Err(refused(endpoint, "it is neither an IP address nor a full name"));
    }
    Ok(endpoint.to_string())
}

/// The socket address of an endpoint whose host is a loopback or private IP address.
fn socket_address(endpoint: &Endpoint) -> Result<SocketAddr, Problem> {
    let host = endpoint.host.trim_start_matches('[').trim_end_matches(']');
    let ip = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => host.parse::<IpAddr>().map_err(|_| refused(endpoint, "it is not an IP address"))?.to_canonical(),
    };
    if endpoint.port == 0 {
        return Err(refused(endpoint, "it has no port"));
    }
    if !is_inside(ip) {
        return Err(refused(endpoint, "it is not a loopback or private address"));
    }
    Ok(SocketAddr::new(ip, endpoint.port))
}

fn is_inside(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || is_shared(ip),
        IpAddr::V6(ip) => ip.is_loopback() || (ip.is_unique_local() && ip != METADATA_V6),
    }
}

/// 100.64.0.0/10: private networks between machines (overlays) use it. One cloud's metadata service
/// lives in it too.
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && (64..128).contains(&second) && ip != Ipv4Addr::new(100, 100, 100, 200)
}

fn refused(endpoint: &Endpoint, why: &str) -> Problem {
    let detail = format!("The instance's address {endpoint} was not used: {why}.");
    Problem::new(ErrorCode::UpstreamUnreachable, detail)
        .with_action("Check the provider's network settings; instances need a loopback or private address.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str) -> Result<String, ErrorCode> {
        let endpoint = Endpoint::plain(host, 3000);
        socket_address(&endpoint)
            .map(|address| address.to_string())
            .map_err(|problem| problem.code.known().unwrap())
    }

    #[test]
    fn loopback_and_private_addresses_are_used() {
        for host in ["127.0.0.1", "10.0.0.7", "172.17.0.2", "192.168.1.9", "100.64.3.2"] {
            assert_eq!(check(host), Ok(format!("{host}:3000")));
        }
        assert_eq!(check("localhost"), Ok("127.0.0.1:3000".to_owned()));
        assert_eq!(check("::1"), Ok("[::1]:3000".to_owned()));
        assert_eq!(check("[fdaa::3]"), Ok("[fdaa::3]:3000".to_owned()));
        assert_eq!(check("::ffff:10.0.0.7"), Ok("10.0.0.7:3000".to_owned()));
    }

    #[test]
    fn a_name_is_used_with_tls_only() {
        let tls = |host: &str| target(&Endpoint { tls: true, ..Endpoint::plain(host, 443) });
        assert_eq!(tls("app.fly.dev").unwrap().authority, "app.fly.dev:443");
        assert!(target(&Endpoint::plain("app.fly.dev", 80)).is_err());
        for odd in ["", "metadata", "a b.example", "user@host.example", "host.example/path"] {
            assert!(tls(odd).is_err(), "{odd}");
        }
        assert!(tls("169.254.169.254").is_err());
    }

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

    #[test]
    fn metadata_link_local_public_and_odd_addresses_are_not() {
        for host in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "100.100.100.200",
            "fe80::1",
            "0.0.0.0",
            "::",
            "8.8.8.8",
            "2001:db8::1",
            "224.0.0.1",
            "metadata.google.internal",
            "2130706433",
            "127.1",
            "",
        ] {
            assert_eq!(check(host), Err(ErrorCode::UpstreamUnreachable), "{host}");
        }
        assert!(socket_address(&Endpoint::plain("127.0.0.1", 0)).is_err());
    }
}
