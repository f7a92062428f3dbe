//! Machines behind a link of the host's own, over IPv4 and IPv6: a network namespace that stands for the internet, for a machine of
//! the operator's network and for a cloud's metadata. And what Docker does of itself, taken away for a while. Requires root.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::process::{Child, Command, Stdio};

use bollard::Docker;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bollard::query_parameters as query;
use provider_api::RuntimeRef;
use provider_docker::conformance::name;

/// Stand-ins: for the internet, for a machine of the operator's network, for a cloud's metadata.
pub const PUBLIC: [&str; 2] = ["198.51.100.2", "2001:db8:51::2"];
pub const PRIVATE: [&str; 2] = ["10.252.7.2", "fd52:7::2"];
pub const METADATA: [&str; 2] = ["169.254.169.254", "fd00:ec2::254"];
pub const PORT: u16 = 18_733;
/// A server that takes every call.
pub const LISTEN: &str = "use IO::Socket::IP; my $s = IO::Socket::IP->new(LocalHost => \"::\", LocalPort => $ARGV[0], \
                          Listen => 5, ReuseAddr => 1, V6Only => 0) or die; \
                          while (my $c = $s->accept) { print $c \"hello\\n\"; close $c }";

pub fn sh(script: &str) -> bool {
    Command::new("sh").args(["-ec", script]).stderr(Stdio::null()).status().unwrap().success()
}

/// Other machines, behind a link of their own.
pub struct Outside {
    name: String,
    server: Child,
}

impl Outside {
    pub fn new() -> Self {
        let id = std::process::id() % 10_000;
        let name = format!("pilot-out-{id}");
        let made = sh(&format!(
            "ip netns add {name}; ip link add po{id} type veth peer name po{id}n netns {name}; \
             ip addr add 198.51.100.1/24 dev po{id}; ip -6 addr add 2001:db8:51::1/64 dev po{id} nodad; \
             ip link set po{id} up; ip -n {name} link set po{id}n up"
        ));
        assert!(made, "this test makes a network namespace, as root, on a kernel with IPv6");
        let ([public, public6], link) = (PUBLIC, format!("dev po{id}n"));
        let added = sh(&format!(
            "ip -n {name} addr add {public}/24 {link}; ip -n {name} -6 addr add {public6}/64 {link} nodad; \
             ip -n {name} -6 route add default via 2001:db8:51::1"
        ));
        assert!(added);
        for [address, address6] in [PRIVATE, METADATA] {
            let routed = sh(&format!(
                "ip -n {name} addr add {address}/32 {link}; ip route add {address}/32 via {public}; \
                 ip -n {name} -6 addr add {address6}/128 {link} nodad; ip -6 route add {address6}/128 via {public6}"
            ));
            assert!(routed, "{address} and {address6}");
        }
        let words = ["netns", "exec", &name, "perl", "-e", LISTEN, &PORT.to_string()];
        let server = Command::new("ip").args(words).spawn().unwrap();
        Self { name, server }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        // The link goes with it, and the routes with that.
        sh(&format!("ip netns del {}", self.name));
    }
}

/// The runtime's network, made anew as Pilot has made it on an engine that gives IPv6 to every network (Docker's
/// `default-network-opts`), from this range.
pub async fn give_ipv6(docker: &Docker, runtime: &RuntimeRef, range: &str) {
    let name = name(runtime);
    let found = docker.inspect_network(&name, None::<query::InspectNetworkOptions>).await.unwrap();
    docker.remove_network(&name).await.unwrap();
    let range = IpamConfig { subnet: Some(range.to_owned()), ..Default::default() };
    let body = NetworkCreateRequest {
        name,
        driver: found.driver,
        options: found.options,
        labels: found.labels,
        enable_ipv6: Some(true),
        ipam: Some(Ipam { config: Some(vec![range]), ..Default::default() }),
        ..Default::default()
    };
    docker.create_network(body).await.unwrap();
}

/// Docker keeps networks from each other by itself; while this is there, not these two.
pub struct Joined {
    bridges: [String; 2],
}

impl Joined {
    pub async fn new(docker: &Docker, runtimes: [&RuntimeRef; 2]) -> Self {
        let bridge = async |runtime: &RuntimeRef| {
            let found =
                docker.inspect_network(&name(runtime), None::<query::InspectNetworkOptions>).await.unwrap();
            found.options.unwrap()["com.docker.network.bridge.name"].clone()
        };
        let joined = Self { bridges: [bridge(runtimes[0]).await, bridge(runtimes[1]).await] };
        assert!(joined.rules("-I"), "`iptables` and `ip6tables` change what Docker has put into the kernel");
        joined
    }

    /// Newer engines ask in the table `raw` as well, and have a chain of the operator's for IPv6.
    fn rules(&self, change: &str) -> bool {
        let [one, other] = &self.bridges;
        [(one, other), (other, one)].into_iter().all(|(from, to)| {
            sh(&format!(
                "iptables -w {change} DOCKER-USER -i {from} -o {to} -j ACCEPT; \
                 iptables -w -t raw {change} PREROUTING -i {from} -j ACCEPT; \
                 ip6tables -w -t raw {change} PREROUTING -i {from} -j ACCEPT; \
                 ip6tables -w {change} DOCKER-USER -i {from} -o {to} -j ACCEPT || \
                 ip6tables -w {change} FORWARD -i {from} -o {to} -j ACCEPT"
            ))
        })
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.rules("-D");
    }
}
