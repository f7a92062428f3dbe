//! Reads git's words. Git has one exit code for everything, so this is the only place that matches
//! text; the fixtures below are git's own messages in the C locale.

use contracts::ErrorCode;

const NO_ROOM: [&str; 2] = ["no space left on device", "disk quota exceeded"];

/// The repository or the ref is not there, or only with a login: on public hosts both look the same.
const MISSING: [&str; 10] = [
    "not found",
    "does not exist",
    "does not appear to be a git repository",
    "could not read username",
    "could not read password",
    "authentication failed",
    "permission denied (",
    "returned error: 401",
    "returned error: 403",
    "returned error: 404",
];

pub(super) fn code(said: &str) -> ErrorCode {
    let said = said.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| said.contains(phrase));
    if says(&NO_ROOM) {
        ErrorCode::StoreFull
    } else if says(&MISSING) {
        ErrorCode::GitNotFound
    } else {
        // Worth another try: the network, the other side, or something not known here.
        ErrorCode::GitUnreachable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_or_ref_that_is_not_there_is_not_found() {
        for said in [
            "fatal: repository 'http://127.0.0.1:1/x/' not found",
            "fatal: '/nowhere' does not appear to be a git repository\nfatal: Could not read from remote repository.",
            "fatal: repository '/nowhere' does not exist",
            "fatal: Remote branch nope not found in upstream origin",
            "fatal: could not read Username for 'https://h': terminal prompts disabled",
            "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            "fatal: unable to access 'https://h/x/': The requested URL returned error: 403",
        ] {
            assert_eq!(code(said), ErrorCode::GitNotFound, "{said}");
        }
    }

    #[test]
    fn a_host_that_does_not_answer_is_unreachable() {
        for said in [
            "fatal: unable to access 'http://h/x/': Could not resolve host: h",
            "fatal: unable to access 'http://h/x/': Failed to connect to h port 80: Connection refused",
            "fatal: unable to connect to 127.0.0.1:\n127.0.0.1[0: 127.0.0.1]: errno=Connection refused",
            "ssh: connect to host h port 22: Connection timed out",
            "fatal: unable to access 'https://h/x/': The requested URL returned error: 503",
            "fatal: early EOF",
        ] {
            assert_eq!(code(said), ErrorCode::GitUnreachable, "{said}");
        }
    }

    #[test]
    fn a_full_disk_is_not_the_repositorys_fault() {
        assert_eq!(code("fatal: write error: No space left on device"), ErrorCode::StoreFull);
    }
}
