# The program of the container that keeps an installation's rules on a host. It has the host's network and the right to
# change rules, and neither Docker's socket nor a file of the host.
#   TABLE  its table, of the family inet; nothing else is touched
#   RULES  the whole table, as `nft -f` reads it
# What a program or a person does to the table is undone within seconds. SIGUSR1 removes it, and the exit code is 3 then; every
# other end leaves it where it is, so that nothing opens while the engine restarts.
set -u

wanted() {
    printf '%s\n' "$RULES"
    # An instance asks the resolvers that the engine has; Docker writes them here.
    for server in $(sed -n 's/^nameserver[[:space:]]\{1,\}\([0-9a-fA-F.:]*\).*$/\1/p' /etc/resolv.conf); do
        case $server in
            *:*) echo "add element inet $TABLE resolvers6 { $server }" ;;
            *) echo "add element inet $TABLE resolvers4 { $server }" ;;
        esac
    done
}

there() { nft -s list table inet "$TABLE" 2>/dev/null; }

put() { wanted | nft -f - && kept=$(there); }

# A second signal must not enter the trap anew.
trap 'trap "" USR1 TERM INT; nft delete table inet "$TABLE"; exit 3' USR1
trap 'exit 0' TERM INT

put || exit 1
echo "the rules are in place"
while :; do
    sleep 2 &
    wait $!
    [ "$(there)" = "$kept" ] && continue
    put || exit 1
    echo "the rules had been changed or removed"
    echo "the rules are in place"
done
