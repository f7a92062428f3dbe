# For scripts that make a home fit for a fork: removes the words that it is given from the home, and what a link of such a name leads
# to, where that is in the home.
leave_out() {
    for path; do
        real=$(readlink -f -- "$HOME/$path" || true)
        case $real in "$HOME"/?*) rm -rf -- "$real" || return 1 ;; esac
        rm -rf -- "${HOME:?}/$path" || return 1
    done
}
