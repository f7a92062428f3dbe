#!/bin/sh
# Keeps instances away from their host, from private networks and from metadata services. Run it as root on
# each Docker host, at boot after Docker, with the range of PILOT_DOCKER_SUBNETS; again is harmless.
#
#   guard.sh 10.213.0.0/16           puts the rules in place
#   guard.sh 10.213.0.0/16 remove    takes them away
#
# What stays open: the internet, the resolvers of /etc/resolv.conf, and answers to whoever calls an instance.
set -eu
pool=${1:?the range of PILOT_DOCKER_SUBNETS}
name=PILOT-$(printf %s "$pool" | cksum | cut -d' ' -f1)
rule() { iptables -w "$@"; }

forget() {
    rule -D DOCKER-USER -s "$pool" -j "$name" 2>/dev/null || true
    rule -D INPUT -s "$pool" -j "$name-IN" 2>/dev/null || true
}

if [ "${2:-}" = remove ]; then
    forget
    for chain in "$name" "$name-IN"; do
        rule -F "$chain" 2>/dev/null || true
        rule -X "$chain" 2>/dev/null || true
    done
    exit 0
fi

for chain in "$name" "$name-IN"; do
    rule -N "$chain" 2>/dev/null || rule -F "$chain"
    rule -A "$chain" -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
    for server in $(sed -n 's/^nameserver[[:space:]]*\([0-9.]*\)[[:space:]]*$/\1/p' /etc/resolv.conf); do
        for protocol in udp tcp; do
            rule -A "$chain" -p "$protocol" -d "$server" --dport 53 -j RETURN
        done
    done
done
# What an instance sends to others; Docker already keeps the networks of instances apart.
for range in 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 169.254.0.0/16; do
    rule -A "$name" -d "$range" -j DROP
done
rule -A "$name" -j RETURN
# What it sends to the host itself.
rule -A "$name-IN" -j DROP
for jump in "DOCKER-USER $name" "INPUT $name-IN"; do
    # shellcheck disable=SC2086 # two words
    set -- $jump
    rule -C "$1" -s "$pool" -j "$2" 2>/dev/null || rule -I "$1" -s "$pool" -j "$2"
done
