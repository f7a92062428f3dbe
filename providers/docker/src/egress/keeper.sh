# The program of the container that keeps an installation's rules on a host. It has the host's network and the right to
# change rules, and neither Docker's socket nor a file of the host.
#   TABLE  its table, of the family inet; beside it only those of lists, which begin with its name, are touched
#   RULES  the whole table, as `nft -f` reads it
#   LISTS  the folder with the lists of destinations, a file BRIDGE.list for each, as it is wished; BRIDGE.now is the one that is in
#          force; a file `bell` says that one is another
#   RUN    a folder that is gone with the container
#   LIFE   seconds that an address which a resolver has answered stays open at least
# Who asks in a file BRIDGE.ask what was refused there is answered in BRIDGE.seen. What is remembered for that has bounds.
# What a program or a person does to the tables is undone within seconds. SIGUSR1 removes all, and the exit code is 3 then;
# every other end leaves it where it is, so that nothing opens while the engine restarts. No other signal is for it: Docker takes
# any that it sends for a wish that the container ends, and does not start it again by itself.
set -u

resolvers() { sed -n 's/^nameserver[[:space:]]\{1,\}\([0-9a-fA-F.:]*\).*$/\1/p' /etc/resolv.conf; }

wanted() {
    printf '%s\n' "$RULES"
    # An instance asks the resolvers that the engine has; Docker writes them here.
    for server in $(resolvers); do
        case $server in
            *:*) echo "add element inet $TABLE resolvers6 { $server }" ;;
            *) echo "add element inet $TABLE resolvers4 { $server }" ;;
        esac
    done
    for bridge in $listed; do echo "add element inet $TABLE listed { \"$bridge\" }"; done
}

# Without what was refused, which is another at every look.
there() {
    nft -s list table inet "$TABLE" 2>/dev/null |
        sed -e '/^[[:space:]]set refused[46] {/,/^[[:space:]]}/d' -e '/^[[:space:]]set others[46] {/,/^[[:space:]]}/d'
}

put() { wanted | nft -f - && kept=$(there); }

# Of the file of a list: its lines that begin with this letter.
lines() { sed -n "s/^$2 //p" "$1" 2>/dev/null; }

# What sets of the table hold now, as commands that put it there again.
held() {
    nft list table inet "$1" 2>/dev/null | tr '\n\t' '  ' |
        sed 's/set \([a-z0-9_]*\) {/\n\1 /g' |
        sed -n "s/^\(n[46]_[0-9a-z]*_[ab]\) [^}]*elements = { \([^}]*\)}.*/add element inet $1 \1 { \2 }/p"
}

# The same for the list in this file: what a name has led to stays where that list has the name as well.
heritage() {
    {
        for file in "$LISTS/$1.now" "$2"; do lines "$file" k | sed 's/^/k /'; done
        echo "s $(lines "$2" s)"
        held "$table"
    } | awk '
        $1 == "k" { heirs[$2] = $0 }
        $1 == "s" { for (i = 2; i <= NF; i++) is[$i] }
        $1 == "add" {
            kind = substr($5, 1, 3); id = substr($5, 4, length($5) - 5); turn = substr($5, length($5) - 1)
            count = split(heirs[id], heir, " ")
            for (i = 3; i <= count; i++) if ((kind heir[i]) in is) { $5 = kind heir[i] turn; print; break }
        }
    '
}

# Without elements: a resolver adds those of its sets.
list_there() { nft -s -t list table inet "${TABLE}_$1" 2>/dev/null; }

# Whether it is there as it was put there. Of a list that nobody has put there since the keeper began, nothing is known: after a
# reboot its table is gone.
is_kept() { [ -s "$RUN/$1.kept" ] && [ "$(list_there "$1")" = "$(cat "$RUN/$1.kept")" ]; }

# Puts the list in this file in place of the one that is there, at once or not at all.
put_list() {
    table=${TABLE}_$1
    {
        echo "add table inet $table"
        echo "delete table inet $table"
        lines "$2" n
        heritage "$1" "$2"
        echo "add element inet $TABLE listed { \"$1\" }"
    } >"$RUN/$1.rules"
    nft -f - <"$RUN/$1.rules" || return 1
    case " $listed " in *" $1 "*) ;; *) listed="$listed $1" ;; esac
    list_there "$1" >"$RUN/$1.kept"
    kept=$(there)
}

# What the resolver of a bridge is started with for the list in this file.
settings() {
    echo "interface=$1"
    servers=$(resolvers)
    lines "$2" d | while read -r line; do
        case $line in
            *@) for server in $servers; do echo "${line%@}$server"; done ;;
            *) echo "$line" ;;
        esac
    done
}

serves() { read -r pid <"$RUN/$1.pid" && [ -d "/proc/$pid" ]; } 2>/dev/null

silence() {
    serves "$1" && kill "$pid" && while [ -d "/proc/$pid" ]; do
        sleep 0.05 &
        wait $!
    done
    rm -f "$RUN/$1.pid"
}

# The names of a list that were refused within an hour, each once: when last, how often, and which. The last first.
names() {
    awk -v from=$(($(now) - 3600)) '
        $1 >= from { if ($1 > last[$3]) last[$3] = $1; count[$3] += $2 }
        END { for (name in count) print last[name], count[name], name }
    ' "$RUN/$1.names" 2>/dev/null | sort -rn | head -n 100
}

# Of what a resolver says: how it begins, and each name that its list does not have. Nothing here is a program of its own but
# once in a while, and no file grows.
hear() {
    said=0 refused=0
    while read -r line; do
        case $line in
            *" config "*" is NXDOMAIN")
                name=${line##* config }
                read -r up _ </proc/uptime
                echo "${up%%.*} 1 ${name%% *}" >>"$RUN/$1.names"
                refused=$((refused + 1))
                [ "$refused" -lt 200 ] || { names "$1" >"$RUN/$1.fewer" && mv "$RUN/$1.fewer" "$RUN/$1.names" && refused=0; }
                ;;
            *) [ "$said" -ge 50 ] || { said=$((said + 1)) && echo "$line" >>"$RUN/$1.log"; } ;;
        esac
    done
}

# Whoever sends names there is answered before this returns.
serve() {
    silence "$1"
    settings "$1" "$LISTS/$1.now" >"$RUN/$1.conf"
    rm -f "$RUN/$1.says" && mkfifo "$RUN/$1.says" && : >"$RUN/$1.log" || return 1
    hear "$1" <"$RUN/$1.says" &
    hears=$!
    dnsmasq --keep-in-foreground --conf-file="$RUN/$1.conf" --user=nobody --group=nogroup --pid-file= \
        --log-facility=- --log-queries 2>"$RUN/$1.says" &
    echo $! >"$RUN/$1.pid"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        grep -q ' started, ' "$RUN/$1.log" && return 0
        serves "$1" || { wait "$hears"; return 1; }
        sleep 0.1 &
        wait $!
    done
    return 1
}

# The answer to who has asked for it.
tell() { [ "$(cat "$LISTS/$1.done" 2>/dev/null)" = "$2" ] || echo "$2" >"$LISTS/$1.done"; }

drop() {
    silence "$1"
    nft delete element inet "$TABLE" listed "{ \"$1\" }" 2>/dev/null
    nft delete table inet "${TABLE}_$1" 2>/dev/null
    rm -f "$RUN/$1".* "$LISTS/$1.done" "$LISTS/$1.seen" "$LISTS/$1.now" "$LISTS/$1.list"
    rest=
    for bridge in $listed; do [ "$bridge" = "$1" ] || rest="$rest $bridge"; done
    listed=$rest
    kept=$(there)
}

# Another list is tried before anything is taken away: where it cannot be in force, the one before stays.
take() {
    settings "$1" "$RUN/$1.next" >"$RUN/$1.try"
    said=$(dnsmasq --test --conf-file="$RUN/$1.try" 2>&1) || { why="dnsmasq does not take its names: $(echo "$said" | tr '\n' ' ')" && return 1; }
    put_list "$1" "$RUN/$1.next" || { why="nft does not take its rules" && return 1; }
    cp "$RUN/$1.next" "$LISTS/$1.taken" && mv "$LISTS/$1.taken" "$LISTS/$1.now" || why="its file cannot be written"
    # Another list has other names, and refuses others.
    silence "$1"
    rm -f "$RUN/$1.names"
}

keep() {
    cp "$LISTS/$1.list" "$RUN/$1.next"
    # Somebody is writing it.
    [ "$(tail -n 1 "$RUN/$1.next")" = end ] || return 0
    version=$(lines "$RUN/$1.next" v) question=$(lines "$RUN/$1.next" r) why=
    [ "$version" != none ] || { drop "$1"; return 0; }
    [ "$version" = "$(lines "$LISTS/$1.now" v)" ] || take "$1"
    if [ -e "$LISTS/$1.now" ]; then
        if ! is_kept "$1"; then
            [ ! -e "$RUN/$1.kept" ] || echo "the list of $1 had been changed or removed"
            put_list "$1" "$LISTS/$1.now" || why="nft does not take its rules"
        fi
        serves "$1" || serve "$1" || why="dnsmasq does not run: $(tail -n 1 "$RUN/$1.log")"
    fi
    tell "$1" "$question${why:+ failed: $why}"
}

# Those of a set of addresses that were refused, one a line.
elements() {
    nft list set inet "$1" "$2" 2>/dev/null | tr '\n\t' '  ' | sed -n 's/.*elements = { *\([^}]*\)}.*/\1,/p' | tr ',' '\n' >"$RUN/elements"
    echo "s $1 $2 $(grep -c . "$RUN/elements")"
}

# What is true of a bridge, for who asks: the list that is in force, the names and addresses that it has refused, and those that
# are closed for all.
look() {
    [ "$(tail -n 1 "$LISTS/$1.ask")" = end ] || return 0
    {
        head -n 1 "$LISTS/$1.ask"
        if [ -e "$LISTS/$1.now" ] && is_kept "$1" && serves "$1"; then
            echo "v $(lines "$LISTS/$1.now" v)"
        fi
        echo "t $(now)"
        names "$1" | sed 's/^/n /'
        for set in refused4 refused6 others4 others6; do
            elements "${TABLE}_$1" "$set" && sed -n 's/^ *\([^ ]\)/a \1/p' "$RUN/elements"
            elements "$TABLE" "$set" && sed -n "s/^ *\"\{0,1\}$1\"\{0,1\} \. /c /p" "$RUN/elements"
        done
        echo end
    } >"$LISTS/$1.seen"
    rm -f "$LISTS/$1.ask"
}

each_look() {
    for file in "$LISTS"/*.ask; do
        [ -e "$file" ] || continue
        bridge=${file##*/}
        look "${bridge%.ask}"
    done
}

each_list() {
    for file in "$LISTS"/*.list; do
        [ -e "$file" ] || continue
        bridge=${file##*/}
        "$@" "${bridge%.list}"
    done
}

# In turns: what was answered a moment ago is in the other ones still.
forget() {
    for set in $(lines "$LISTS/$1.now" s); do echo "flush set inet ${TABLE}_$1 ${set}_$turn"; done | nft -f - 2>/dev/null
}

now() { read -r up _ </proc/uptime && echo "${up%%.*}"; }

known() { nft list table inet "${TABLE}_$1" >/dev/null 2>&1 && listed="$listed $1"; }

# Also those of lists that somebody has lost.
remove() {
    for table in $(nft list tables inet | sed -n "s/^table inet \(${TABLE}_[a-z0-9]*\)\$/\1/p"); do nft delete table inet "$table"; done
    nft delete table inet "$TABLE"
}

# A second signal must not enter the trap anew.
trap 'trap "" USR1 TERM INT; remove; exit 3' USR1
trap 'exit 0' TERM INT

LISTS=${LISTS:-} LIFE=${LIFE:-300} RUN=${RUN:-/run}
listed= turn=b flushed=$(now)
# What an earlier one has said is true no more; what it has put into the kernel holds.
[ -z "$LISTS" ] || rm -f "$LISTS"/*.done "$LISTS"/*.seen
[ -z "$LISTS" ] || each_list known
put || exit 1
echo "the rules are in place"
[ -z "$LISTS" ] || each_list keep
while :; do
    # Whoever has another list does not wait long.
    for _ in 1 2 3 4; do
        sleep 0.5 &
        wait $!
        [ -z "$LISTS" ] || [ ! -e "$LISTS/bell" ] || { rm -f "$LISTS/bell" && each_list keep && each_look; }
    done
    if [ "$(there)" != "$kept" ]; then
        put || exit 1
        echo "the rules had been changed or removed"
        echo "the rules are in place"
    fi
    [ -n "$LISTS" ] || continue
    each_list keep
    if [ $(($(now) - flushed)) -ge "$LIFE" ]; then
        case $turn in a) turn=b ;; *) turn=a ;; esac
        each_list forget
        rm -f "$LISTS"/*.seen
        flushed=$(now)
    fi
done
