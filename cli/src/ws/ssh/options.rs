//! What OpenSSH's client is told, on its command line and in its configuration, and how words get there unharmed. Pure.

use std::ffi::OsString;
use std::path::Path;

use contracts::{ErrorCode, Problem};

/// How one workspace is reached.
pub struct Host<'a> {
    pub user: &'a str,
    pub key: &'a Path,
    pub known_hosts: &'a Path,
    /// The command that carries the connection, word by word.
    pub proxy: &'a [OsString],
}

/// Settings with their values, as a line of a configuration has them. Nothing of the machine's other hosts counts: who the instance is
/// was told by the server.
pub fn options(host: &Host) -> Result<Vec<(&'static str, String)>, Problem> {
    Ok(vec![
        ("User", host.user.to_owned()),
        ("IdentityFile", path(host.key)?),
        ("IdentitiesOnly", "yes".to_owned()),
        ("HostKeyAlgorithms", "ssh-ed25519".to_owned()),
        ("StrictHostKeyChecking", "yes".to_owned()),
        ("UserKnownHostsFile", path(host.known_hosts)?),
        ("GlobalKnownHostsFile", "/dev/null".to_owned()),
        ("UpdateHostKeys", "no".to_owned()),
        ("ProxyCommand", command(host.proxy)?),
    ])
}

/// An entry of a configuration, for a name that editors list.
pub fn entry(name: &str, options: &[(&'static str, String)]) -> String {
    let lines = options.iter().map(|(name, value)| format!("    {name} {value}\n"));
    format!("Host {name}\n{}", lines.collect::<String>())
}

/// As one word of a line, where `%` begins a token and `${` a variable.
pub fn path(path: &Path) -> Result<String, Problem> {
    let text = path.to_str().filter(|text| !text.contains("${")).ok_or_else(|| unusable(path))?;
    if text.chars().any(|letter| letter == '"' || letter.is_control()) {
        return Err(unusable(path));
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('%', "%%")))
}

/// Files of a folder, as `Include` names them. Whether `%` begins a token there depends on the version of OpenSSH, and `[` begins a
/// class; the pattern for any one character stands for both.
pub fn pattern(folder: &Path, files: &str) -> Result<String, Problem> {
    let folder = path(folder)?.replace("%%", "?").replace('[', "?");
    Ok(format!("{}/{files}\"", folder.trim_end_matches('"')))
}

/// `ProxyCommand` takes the rest of its line, looks for tokens, and gives it to the user's shell.
fn command(words: &[OsString]) -> Result<String, Problem> {
    let words = words.iter().map(|word| match word.to_str() {
        Some(text) if !text.chars().any(char::is_control) => Ok(shell(text).replace('%', "%%")),
        _ => Err(unusable(Path::new(word))),
    });
    Ok(words.collect::<Result<Vec<_>, _>>()?.join(" "))
}

/// One word for any shell.
fn shell(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+=:,@%".contains(letter);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

fn unusable(path: &Path) -> Problem {
    let detail = format!("{:?} cannot stand in the configuration of ssh.", path.display().to_string());
    Problem::new(ErrorCode::BadRequest, detail)
        .with_action("Use a path without quotes, `${` and control characters, for example with --config.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn a_word_of_the_command_is_one_word_for_the_shell_and_no_token_for_ssh() {
        let given = words(&[
            "/opt/my pilot",
            "ws",
            "--data",
            "/a'b",
            "--ca",
            "/100%/$HOME",
            "",
            "--server",
            "http://h:1/",
        ]);
        let expected = "'/opt/my pilot' ws --data '/a'\\''b' --ca '/100%%/$HOME' '' --server http://h:1/";
        assert_eq!(command(&given).unwrap(), expected);
        // What a shell makes of it, with the tokens of ssh resolved.
        let script = format!("printf '%s\\n' {}", expected.replace("%%", "%"));
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let lines: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(OsString::from).collect();
        assert_eq!(lines, given);
        assert!(command(&words(&["a\nHost *"])).is_err());
    }

    #[test]
    fn a_path_that_ssh_would_read_in_another_way_is_written_safely_or_refused() {
        assert_eq!(path(Path::new("/a b/50%")).unwrap(), "\"/a b/50%%\"");
        assert_eq!(pattern(Path::new("/a b/50%[x"), "*.conf").unwrap(), "\"/a b/50??x/*.conf\"");
        for wrong in ["/a\"b", "/a\nb", "/${HOME}/x"] {
            assert_eq!(path(Path::new(wrong)).unwrap_err().code, ErrorCode::BadRequest, "{wrong}");
        }
    }

    /// The real client is asked what it has understood.
    #[test]
    fn openssh_reads_an_entry_as_it_was_meant() {
        let folder = tempfile::Builder::new().prefix("a b%d").tempdir().unwrap();
        let (key, known) = (folder.path().join("id"), folder.path().join("known"));
        let proxy = words(&["/bin/pilot", "--config", "/x y/%h", "ws"]);
        let host = Host { user: "pilot", key: &key, known_hosts: &known, proxy: &proxy };
        let file = folder.path().join("config");
        std::fs::write(&file, entry("demo.pilot", &options(&host).unwrap())).unwrap();
        let output = std::process::Command::new("ssh")
            .args(["-G", "-F"])
            .arg(&file)
            .arg("demo.pilot")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let value =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let doubled = |path: &Path| path.display().to_string().replace('%', "%%");
        assert_eq!((value("user "), value("stricthostkeychecking ")), ("pilot", "true"));
        assert_eq!(value("proxycommand "), "/bin/pilot --config '/x y/%%h' ws");
        assert_eq!(value("userknownhostsfile ").replace("%%", "%"), doubled(&known).replace("%%", "%"));
        assert!(value("identityfile ").replace("%%", "%").ends_with(&key.display().to_string()));
    }
}
