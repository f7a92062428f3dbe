//! An internet of a test's own: a container without Docker's network behind a link, with addresses, a server on two ports, and
//! a resolver whose names the test decides. Requires root, for the link.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::process::{Command, Stdio};

use provider_docker::conformance::IMAGE;

/// Its addresses; the last two stand for a private machine and for a cloud's metadata.
pub const ADDRESSES: [&str; 10] = [
    "203.0.113.2",
    "203.0.113.11",
    "203.0.113.12",
    "203.0.113.13",
    "203.0.113.14",
    "203.0.113.15",
    "203.0.113.16",
    "203.0.113.17",
    "10.252.8.2",
    "169.254.169.253",
];
pub const RESOLVER: &str = ADDRESSES[0];
pub const PORTS: [u16; 2] = [18_743, 18_744];
const LISTEN: &str = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 50, \
                      ReuseAddr => 1) or die; while (my $c = $s->accept) { next if fork; while (1) { print $c \"hello\\n\"; \
                      $c->flush; last unless defined(readline $c) } exit }";

pub struct Internet {
    container: String,
}

pub fn sh(script: &str) -> bool {
    Command::new("sh").args(["-ec", script]).stderr(Stdio::null()).status().unwrap().success()
}

pub fn said(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A name that the resolver of such a keeper does not take.
#[allow(dead_code, reason = "not all of those who use this file")]
pub const UNUSABLE: &str = "unusable.example";

/// In place of the program in a keeper: it asks this internet instead of the host's resolvers.
const WRAPPER: &str = r#"#!/bin/sh
for word; do
    case $word in --conf-file=*) sed -i "s,^\(server=/.*/\).*,\1$ASKED," "${word#--conf-file=}" ;; esac
done
case $1 in --test) if grep -q '$UNUSABLE' "${2#--conf-file=}"; then echo "bad option" >&2; exit 1; fi ;; esac
exec /usr/sbin/dnsmasq "$@"
"#;

/// The image of a keeper whose resolvers ask this internet instead of the host's.
pub fn keeper_image() -> String {
    let tag = format!("pilot-egress-test:{}", std::process::id());
    let folder = tempfile::tempdir().unwrap();
    let dockerfile = format!(
        "FROM {IMAGE}\nUSER 0\nCOPY dnsmasq /usr/local/sbin/dnsmasq\nRUN chmod 755 /usr/local/sbin/dnsmasq\n"
    );
    std::fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
    std::fs::write(
        folder.path().join("dnsmasq"),
        WRAPPER.replace("$ASKED", RESOLVER).replace("$UNUSABLE", UNUSABLE),
    )
    .unwrap();
    let mut build = Command::new("docker");
    build.args(["build", "-q", "-t", &tag]).arg(folder.path()).env("DOCKER_BUILDKIT", "0");
    let built = build.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    tag
}

impl Internet {
    /// With these names.
    pub fn new(hosts: &str) -> Self {
        let id = std::process::id() % 10_000;
        let container = format!("pilot-internet-{id}");
        let listen =
            PORTS.map(|port| format!("docker exec -d {container} perl -e '{LISTEN}' {port}")).join("; ");
        let addresses = ADDRESSES
            .map(|address| format!("nsenter -t $pid -n ip addr add {address}/32 dev pi{id}n"))
            .join("; ");
        let routes = ADDRESSES.map(|address| format!("ip route add {address}/32 dev pi{id}")).join("; ");
        let made = sh(&format!(
            "docker run -d --rm --name {container} --network none --user 0 --entrypoint sleep {IMAGE} infinity; \
             pid=$(docker inspect -f '{{{{.State.Pid}}}}' {container}); \
             ip link add pi{id} type veth peer name pi{id}n netns $pid; ip link set pi{id} up; \
             nsenter -t $pid -n ip link set pi{id}n up; {addresses}; \
             nsenter -t $pid -n ip route add 0.0.0.0/0 dev pi{id}n; {routes}; {listen}"
        ));
        assert!(made, "this test makes a link to a container, as root");
        let internet = Self { container };
        internet.name(hosts);
        internet
    }

    /// From now on these names, as lines of dnsmasq's settings.
    pub fn name(&self, hosts: &str) {
        let settings = format!(
            "no-resolv\\nno-hosts\\nport=53\\nlog-queries\\nlog-facility=/tmp/asked\\nuser=root\\n{hosts}"
        );
        let run = "printf '%b' \"$SETTINGS\" > /tmp/names; [ ! -e /tmp/pid ] || kill $(cat /tmp/pid) || true; sleep 0.2; \
                   dnsmasq --conf-file=/tmp/names --pid-file=/tmp/pid";
        let mut done = Command::new("docker");
        let settings = format!("SETTINGS={settings}");
        done.args(["exec", "-e", &settings, &self.container, "sh", "-ec", run]);
        assert!(done.status().unwrap().success(), "the resolver runs");
    }

    /// Every question that has come to its resolver.
    #[allow(dead_code, reason = "not all of those who use this file")]
    pub fn asked(&self) -> String {
        said(&format!("docker exec {} cat /tmp/asked", self.container))
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        sh(&format!("docker rm -f {}", self.container));
    }
}
