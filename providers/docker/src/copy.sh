# Copies homes between volumes, as root of a container that has nothing else. /from is what is copied; the home that is
# written is $HOME, so that links in it lead where they lead in an instance. Each way is repeated after a crash as if nothing
# had been: what is half copied is never taken for a home. Says `at DONE TOTAL`, `full NEEDED FREE` and `copied SIZE`, in KiB, and
# `long BYTES MOST PATH`.
# Before it stands `leave_out` of the kit.
set -eu
way=$1
shift
aside=$HOME/.pilot-restore
begun=$HOME/.pilot-copy

size() { du -sk "$1" | cut -f1; }
free() { df -k --output=avail "$1" | tail -n1 | tr -d ' '; }
empty() { find "$1" -mindepth 1 -maxdepth 1 ! -name "${2:-.}" -exec rm -rf -- {} +; }

full() {
    echo "full $total $(free "$HOME")"
    exit 3
}

# $1: a home. Of all places where a copy can be, a restore has it the deepest, and `cp` names each file by its whole path.
fits() {
    most=$((4095 - $(printf %s "$aside/new/./" | wc -c)))
    long=$(cd "$1" && find . -mindepth 1 -printf '%P\n' |
        LC_ALL=C awk -v most="$most" 'length($0) > most { print length($0), most, substr($0, 1, 100); exit }') || true
    if [ -n "$long" ]; then
        echo "long $long"
        exit 5
    fi
}

# $1: in this folder of the home's volume. Whether blocks are shared, so that a copy takes no room.
shares() {
    shared=no
    if find /from -type f -size +0 -print -quit | { read -r file && cp --reflink=always -- "$file" "$1/.pilot-probe" 2>/dev/null; }; then
        shared=yes
    fi
    rm -f "$1/.pilot-probe"
    [ "$shared" = yes ]
}

# $1: into this folder of the home's volume.
copy() {
    fits /from
    total=$(size /from)
    if ! shares "$1" && [ "$total" -gt "$(free "$HOME")" ]; then full; fi
    (while sleep 3; do echo "at $(size "$1") $total"; done) 2>/dev/null &
    watch=$!
    copied=yes
    cp -a --reflink=auto -- /from/. "$1" || copied=no
    kill "$watch" 2>/dev/null || true
    if [ "$copied" = no ]; then
        # The room that the check saw is another's by now.
        if [ "$(free "$HOME")" -lt 1024 ]; then full; fi
        exit 4
    fi
    rm -rf -- "$1/.pilot-restore" "$1/.pilot-copy"
}

case $way in
take)
    empty "$HOME"
    copy "$HOME"
    sync -f "$HOME"
    ;;
# The rest of the words: what is left out.
fork)
    if [ -e "$begun" ] || [ -z "$(ls -A "$HOME")" ]; then
        : >"$begun"
        empty "$HOME" .pilot-copy
        copy "$HOME"
        : >"$begun"
        leave_out "$@"
        sync -f "$HOME"
        rm -f "$begun"
    fi
    ;;
# Whether a restore would find room for a copy of the snapshot in the home's volume, and for one of the home, which has room
# of its own where volumes are `limited`. Nothing of the home is changed.
room)
    fits /from
    fits "$HOME"
    total=$(size /from)
    if [ "${1:-}" != limited ]; then total=$((total + $(size "$HOME"))); fi
    if [ "$total" -gt "$(free "$HOME")" ] && ! shares "$HOME"; then full; fi
    ;;
# A whole copy beside the home; then `swap` may begin.
fill)
    rm -rf -- "$aside"
    mkdir -m 700 "$aside" "$aside/new" "$aside/old"
    copy "$aside/new"
    sync -f "$HOME"
    ;;
# Out with what is there, then in with the copy. Which of both is under way is in a file, and each goes on where it was.
swap)
    if [ -d "$aside/new" ]; then
        if [ ! -e "$aside/in" ]; then
            find "$HOME" -mindepth 1 -maxdepth 1 ! -name .pilot-restore -exec mv -f -t "$aside/old" -- {} +
            : >"$aside/in"
            sync -f "$HOME"
        fi
        chown --reference="$aside/new" "$HOME"
        chmod --reference="$aside/new" "$HOME"
        find "$aside/new" -mindepth 1 -maxdepth 1 -exec mv -f -t "$HOME" -- {} +
        sync -f "$HOME"
    fi
    rm -rf -- "$aside"
    ;;
# Nothing of a copy that was given up stays in the home.
clear)
    rm -rf -- "$aside"
    ;;
esac
echo "copied $(size "$HOME")"
