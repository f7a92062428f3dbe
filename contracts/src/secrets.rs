//! What of a home is a secret. A fork of a workspace begins without it.

/// Files and folders below the home that hold secrets of this workspace or of its user, and nothing that a fork needs. Where a
/// program keeps them elsewhere, as in a repository's `.env`, nobody can tell, and a fork has them.
pub const BELOW_HOME: &[&str] = &[
    // Pilot's own: key, model configuration, host keys. A fork gets its own.
    ".config/pilot",
    ".local/state/pilot/ssh",
    // Logins of OpenCode.
    ".local/share/opencode/auth.json",
    ".local/share/opencode/mcp-auth.json",
    // What tools prove their user with.
    ".git-credentials",
    ".config/git/credentials",
    ".netrc",
    ".ssh",
    ".gnupg",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".docker/config.json",
    ".config/gh/hosts.yml",
    ".config/glab-cli",
    ".aws",
    ".azure",
    ".config/gcloud",
    ".kube",
    ".fly",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".m2/settings.xml",
    ".gradle/gradle.properties",
    ".terraform.d/credentials.tfrc.json",
    ".pulumi/credentials.json",
    ".vault-token",
    ".pgpass",
    ".my.cnf",
    // What was typed, passwords among it.
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".node_repl_history",
    ".psql_history",
    ".local/share/fish/fish_history",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// They become arguments of programs and patterns of shells.
    #[test]
    fn every_path_is_plain_and_stays_below_the_home() {
        for path in BELOW_HOME {
            assert!(path.chars().all(|c| c.is_ascii_alphanumeric() || "./_-".contains(c)), "{path}");
            assert!(path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."), "{path}");
        }
    }
}
