//! The base image: the host's own distribution, pulled where a registry answers, else made from Debian or
//! Ubuntu packages with debootstrap.

use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::{paths, process, system, ui};

/// The image name for this host's distribution and release.
pub fn for_this_host() -> Result<String> {
    let path = "/etc/os-release";
    let text = std::fs::read_to_string(path).context(path)?;
    match choose(&text) {
        Some((image, _)) => Ok(image),
        None => bail!(
            "there is no base image rule for this system (see {path}): the docker provider needs the image built \
             on Debian 12 or 13 or on Ubuntu. The `local` provider works here"
        ),
    }
}

/// Makes sure that the base image is in the Docker engine.
pub fn ensure(image: &str, yes: bool) -> Result<()> {
    if process::succeeds(Command::new("docker").args(["image", "inspect", image])) {
        return Ok(());
    }
    let log = paths::target().join("xtask/docker-pull.log");
    let step = ui::Step::begin(format!("pulling {image}"), None);
    // An unreachable registry may hang for minutes; packages are the way out then.
    let pulled = process::logged(Command::new("timeout").args(["180", "docker", "pull", image]), &log);
    let Err(no_registry) = pulled else {
        step.done("");
        return Ok(());
    };
    step.done("no registry gives it, so it is made from packages");
    if !system::is_root() {
        bail!(
            "{image} cannot be pulled, and making it from packages needs root. Run `sudo -E cargo xtask image`, or \
             load the image into Docker yourself\n{no_registry}"
        );
    }
    system::ensure(system::DEBOOTSTRAP, yes)?;
    bootstrap(image)
}

/// debootstrap into a temporary folder, then `docker import`.
fn bootstrap(image: &str) -> Result<()> {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let Some((_, codename)) = choose(&text) else { bail!("no release name in /etc/os-release") };
    let step = ui::Step::begin(format!("making {image} with debootstrap"), Some("about half a minute"));
    let root = tempfile::tempdir()?;
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    debootstrap.args(["--variant=minbase", &codename]).arg(root.path());
    // The mirror that this host itself uses is known to answer.
    if let Some(mirror) = host_mirror(&codename) {
        debootstrap.arg(mirror);
    }
    process::logged(&mut debootstrap, &paths::target().join("xtask/debootstrap.log"))?;
    import(root.path(), image)?;
    step.done("");
    Ok(())
}

fn import(root: &Path, image: &str) -> Result<()> {
    let mut tar = Command::new("tar")
        .args(["--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "-c", "."])
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start tar")?;
    let Some(stream) = tar.stdout.take() else { bail!("tar has no output") };
    let import = Command::new("docker").args(["import", "-", image]).stdin(stream).output()?;
    let packed = tar.wait()?;
    if !packed.success() || !import.status.success() {
        bail!("docker import of {image} failed: {}", String::from_utf8_lossy(&import.stderr).trim());
    }
    Ok(())
}

/// Image and release name for the content of /etc/os-release.
fn choose(os_release: &str) -> Option<(String, String)> {
    let field = |name: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(line.trim_matches('"').to_owned())
    };
    let codename = field("VERSION_CODENAME")?;
    match (field("ID")?.as_str(), field("VERSION_ID")?.as_str()) {
        ("debian", "12" | "13") => Some((format!("debian:{codename}-slim"), codename)),
        ("ubuntu", version) => Some((format!("ubuntu:{version}"), codename)),
        _ => None,
    }
}

/// The first archive in this host's apt sources that carries the release itself.
fn host_mirror(codename: &str) -> Option<String> {
    let mut files = vec![std::path::PathBuf::from("/etc/apt/sources.list")];
    if let Ok(folder) = std::fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(folder.flatten().map(|entry| entry.path()));
    }
    files.sort();
    files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .find_map(|text| mirror(&text, codename))
}

/// Reads both forms of apt sources: `deb URI suite ...` lines and `URIs:`/`Suites:` stanzas.
fn mirror(sources: &str, codename: &str) -> Option<String> {
    let one_line = sources.lines().find_map(|line| {
        let mut words =
            line.split_ascii_whitespace().filter(|word| !word.starts_with('[') && !word.ends_with(']'));
        (words.next()? == "deb").then_some(())?;
        let uri = words.next()?;
        (words.next()? == codename).then(|| uri.to_owned())
    });
    one_line.or_else(|| {
        sources.split("\n\n").find_map(|stanza| {
            let value = |key: &str| stanza.lines().find_map(|line| line.strip_prefix(key));
            let has_release = value("Suites:")?.split_ascii_whitespace().any(|suite| suite == codename);
            has_release.then(|| value("URIs:")?.split_ascii_whitespace().next().map(str::to_owned))?
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str) -> Option<String> {
        choose(text).map(|(image, _)| image)
    }

    #[test]
    fn the_base_is_the_distribution_of_the_host() {
        let debian = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n";
        let next = "VERSION_CODENAME=trixie\nID=debian\nVERSION_ID=\"13\"\n";
        let ubuntu = "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\nVERSION_CODENAME=noble\n";
        assert_eq!(chosen(debian).as_deref(), Some("debian:bookworm-slim"));
        assert_eq!(chosen(next).as_deref(), Some("debian:trixie-slim"));
        assert_eq!(chosen(ubuntu).as_deref(), Some("ubuntu:24.04"));
        assert_eq!(chosen("ID=alpine\nVERSION_ID=3\n"), None);
    }

    #[test]
    fn the_mirror_of_the_host_is_found_in_both_forms_of_sources() {
        let stanzas = "Types: deb\nURIs: http://a/security\nSuites: noble-security\n\n\
                       Types: deb\nURIs: http://a/main\nSuites: noble noble-updates\n";
        assert_eq!(mirror(stanzas, "noble").as_deref(), Some("http://a/main"));
        let lines = "# deb http://no noble main\ndeb [arch=amd64] http://b/main noble main\n";
        assert_eq!(mirror(lines, "noble").as_deref(), Some("http://b/main"));
        assert_eq!(mirror(lines, "jammy"), None);
    }
}
