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
    ".terraformrc",
    ".vault-token",
    ".config/containers/auth.json",
    ".config/sops/age/keys.txt",
    ".config/op",
    ".password-store",
    ".local/share/keyrings",
    // Logins of other agents.
    ".claude/.credentials.json",
    ".codex/auth.json",
    ".gemini/oauth_creds.json",
    ".config/github-copilot",
    ".cache/huggingface/token",
    // Package registries and stores of files.
    ".config/pip/pip.conf",
    ".pip/pip.conf",
    ".config/pypoetry/auth.toml",
    ".bundle/config",
    ".composer/auth.json",
    ".config/composer/auth.json",
    ".nuget/NuGet/NuGet.Config",
    ".config/rclone/rclone.conf",
    ".s3cfg",
    ".boto",
    ".pgpass",
    ".my.cnf",
    // What was typed, passwords among it.
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".node_repl_history",
    ".psql_history",
    ".mysql_history",
    ".sqlite_history",
    ".rediscli_history",
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
