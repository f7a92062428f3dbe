//! What is written for one connection's `sshd`: its configuration, and the script that begins a session. Pure.

use std::path::Path;

use contracts::ssh::PublicKey;

/// One name and value, as a session gets it.
pub type Variable = (String, String);

/// What a configuration is made from.
pub struct Facts<'a> {
    pub user: &'a str,
    pub is_root: bool,
    pub host_key: &'a Path,
    /// The folder of this connection.
    pub folder: &'a Path,
    pub sftp_server: Option<&'a Path>,
    pub environment: &'a [Variable],
}

/// The names of files in a connection's folder.
pub const CONFIG: &str = "sshd_config";
pub const KEYS: &str = "authorized_keys";
pub const SESSION: &str = "session";

/// Its own in everything: nothing of the machine's `sshd_config` counts. Who may log in is one user with one key.
pub fn config(facts: &Facts) -> String {
    let root = if facts.is_root { "prohibit-password" } else { "no" };
    let mut lines = vec![
        "# Of one connection, written by Pilot.".to_owned(),
        format!("HostKey {}", quoted(&facts.host_key.to_string_lossy())),
        format!("AuthorizedKeysFile {}", quoted(&tokenless(&facts.folder.join(KEYS)))),
        format!("AllowUsers {}", quoted(facts.user)),
        format!("PermitRootLogin {root}"),
        // The files are ours and for us alone; what is above them (a shared /tmp of a test) is not sshd's to judge.
        "StrictModes no".to_owned(),
        "AuthenticationMethods publickey".to_owned(),
        "PubkeyAuthentication yes".to_owned(),
        "PasswordAuthentication no".to_owned(),
        "KbdInteractiveAuthentication no".to_owned(),
        "UsePAM no".to_owned(),
        "PermitUserEnvironment no".to_owned(),
        "AllowAgentForwarding yes".to_owned(),
        "AllowTcpForwarding yes".to_owned(),
        "AllowStreamLocalForwarding yes".to_owned(),
        // The socket that a connection before this one has left.
        "StreamLocalBindUnlink yes".to_owned(),
        // What is forwarded from the client's side is for the instance alone, as its other ports are.
        "GatewayPorts no".to_owned(),
        "PermitTunnel no".to_owned(),
        "X11Forwarding no".to_owned(),
        "PermitTTY yes".to_owned(),
        "PrintMotd no".to_owned(),
        "PrintLastLog no".to_owned(),
        "UseDNS no".to_owned(),
        "PidFile none".to_owned(),
        "LoginGraceTime 60".to_owned(),
        "MaxAuthTries 20".to_owned(),
        "MaxSessions 100".to_owned(),
        "LogLevel ERROR".to_owned(),
        "AcceptEnv LC_* COLORTERM".to_owned(),
        format!("ForceCommand exec /bin/sh {}", shell(&facts.folder.join(SESSION).to_string_lossy())),
    ];
    lines.extend(facts.sftp_server.map(|path| format!("Subsystem sftp {}", quoted(&path.to_string_lossy()))));
    let variables: Vec<_> =
        facts.environment.iter().map(|(name, value)| quoted(&format!("{name}={value}"))).collect();
    // Of several such lines the first alone would count.
    if !variables.is_empty() {
        lines.push(format!("SetEnv {}", variables.join(" ")));
    }
    lines.join("\n") + "\n"
}

/// No option of a key's line may limit or widen what the configuration says.
pub fn keys(key: &PublicKey) -> String {
    format!("{key}\n")
}

/// A session begins in the instance's home, whatever the machine's list of users says. A person gets a login shell, which reads
/// `~/.profile`; a command has the environment as it is, because a login shell would put a PATH of its own in its place. The
/// server of sftp is no user's command: no shell of theirs is before it, which may print what is none of it. The socket of its
/// agent is noted in the file `agents`.
pub fn session(agents: &Path, sftp_server: Option<&Path>) -> String {
    let agents = shell(&agents.to_string_lossy());
    let sftp = sftp_server.map(|path| {
        let path = shell(&path.to_string_lossy());
        format!("if [ \"$command\" = {path} ]; then exec {path}; fi\n")
    });
    format!(
        "# Of one connection, written by Pilot.\n\
         if [ -n \"${{SSH_AUTH_SOCK-}}\" ]; then echo \"$SSH_AUTH_SOCK\" >>{agents}; fi 2>/dev/null\n\
         cd \"$HOME\" || exit 1\n\
         unset {LEVEL}\n\
         if [ -z \"${{SSH_ORIGINAL_COMMAND+is}}\" ]; then exec \"$SHELL\" -l; fi\n\
         command=$SSH_ORIGINAL_COMMAND\n\
         unset SSH_ORIGINAL_COMMAND\n\
         {}exec \"$SHELL\" -c \"$command\"\n",
        sftp.unwrap_or_default()
    )
}

/// How deep a shell is below others. The user's shell is between `sshd` and the session's script, too; Bash, which reads `~/.bashrc`
/// for a command of SSH, does not do so there when it is not the first.
const LEVEL: &str = "SHLVL";

/// What the init has is what OpenCode has, and the agent's shells have it from there; but for what is a session's own. `HOME` is
/// the instance's.
pub fn environment(home: &Path, all: impl Iterator<Item = Variable>) -> Vec<Variable> {
    let mut variables: Vec<_> =
        all.filter(|(name, value)| is_passed(name) && is_writable(name, value)).collect();
    variables.push(("HOME".to_owned(), home.to_string_lossy().into_owned()));
    variables.push((LEVEL.to_owned(), "1".to_owned()));
    variables.sort();
    variables
}

fn is_passed(name: &str) -> bool {
    const OWN: [&str; 9] = ["HOME", "TERM", "USER", "LOGNAME", "SHELL", "MAIL", "PWD", "OLDPWD", "SHLVL"];
    !OWN.contains(&name)
        && !["SSH_", "XDG_", "OPENCODE_", "LC_"].iter().any(|prefix| name.starts_with(prefix))
}

/// A line of a configuration has no way to write a line's end.
fn is_writable(name: &str, value: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_name = name.bytes().all(is_letter) && !name.starts_with(|first: char| first.is_ascii_digit());
    is_name && name != "_" && !name.is_empty() && !value.chars().any(char::is_control)
}

/// As one word of a line of `sshd_config`.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A path where `%` begins a token.
fn tokenless(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%%")
}

fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_the_instances_variables_but_for_what_is_its_own_or_cannot_be_written() {
        let given = [
            ("PATH", "/a b:/c"),
            ("HOME", "/root"),
            ("TERM", "dumb"),
            ("SSH_AUTH_SOCK", "/tmp/agent"),
            ("OPENCODE_SERVER_PASSWORD", "secret"),
            ("NOTE", "two\nlines"),
            ("BASH_FUNC_x%%", "() { :; }"),
            ("_", "/usr/bin/env"),
            ("QUOTE", "a \"b\" \\ 'c' $d #e"),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = environment(Path::new("/home/it"), given.into_iter());
        let names: Vec<_> = environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["HOME", "PATH", "QUOTE", "SHLVL"]);
        assert_eq!(environment[0].1, "/home/it");
    }

    /// As `sshd` begins it: the user's shell runs what is forced.
    fn begin(home: &Path, command: &str) -> String {
        let script = home.join("the session");
        std::fs::write(&script, session(&home.join("agents"), Some(Path::new("/usr/bin/printenv")))).unwrap();
        let forced = format!("exec /bin/sh {}", shell(&script.to_string_lossy()));
        let mut shell = std::process::Command::new("/bin/bash");
        shell.args(["-c", &forced]).env_clear().envs(environment(home, std::iter::empty()));
        shell.env("SHELL", "/bin/bash").env("SSH_CLIENT", "::1 1 2").env("SSH_ORIGINAL_COMMAND", command);
        String::from_utf8(shell.output().unwrap().stdout).unwrap()
    }

    #[test]
    fn a_command_reads_bashrc_once_as_with_plain_sshd_and_sftp_does_not() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(".bashrc"), "echo noise\n").unwrap();
        assert_eq!(begin(home.path(), "echo hi $SHLVL"), "noise\nhi 1\n");
        let sftp = begin(home.path(), "/usr/bin/printenv");
        assert!(!sftp.contains("noise") && !sftp.contains("SHLVL"), "{sftp}");
        assert!(!home.path().join("agents").exists(), "there was no agent");
    }

    #[test]
    fn nothing_in_a_path_or_a_value_becomes_another_setting() {
        let environment = [("A".to_owned(), "x\" B=\"y\\".to_owned())];
        let facts = Facts {
            user: "pilot",
            is_root: false,
            host_key: Path::new("/h \"k"),
            folder: Path::new("/it's 100%"),
            sftp_server: None,
            environment: &environment,
        };
        let text = config(&facts);
        for line in [
            "HostKey \"/h \\\"k\"",
            "AuthorizedKeysFile \"/it's 100%%/authorized_keys\"",
            "ForceCommand exec /bin/sh '/it'\\''s 100%/session'",
            "SetEnv \"A=x\\\" B=\\\"y\\\\\"",
            "PermitRootLogin no",
            "PasswordAuthentication no",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert_eq!(text.matches("SetEnv").count(), 1);
    }
}
