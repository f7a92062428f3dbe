//! Building `pilot-engine` from the sources that this crate brings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use include_dir::{Dir, File, include_dir};

use super::Host;
use crate::error::{Error, Result};
use crate::versions::{GO, NEWEST};

/// The engine host's module.
static SOURCES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/engine");

const PROGRAM: &str = "pilot-engine";
/// The variable of Pulumi's source that holds the version which programs tell.
const VERSION: &str = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version";

/// An engine host to install.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostInstall {
    /// The program will be `pilot-engine` in it.
    pub root: PathBuf,
    /// The `go` program that builds it, of [`crate::versions::GO`] or newer; one in `PATH` by default.
    pub go: PathBuf,
}

impl HostInstall {
    /// Into this folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), go: "go".into() }
    }

    /// Built by this program.
    pub fn go(mut self, program: impl Into<PathBuf>) -> Self {
        self.go = program.into();
        self
    }

    fn program(&self) -> PathBuf {
        self.root.join(PROGRAM)
    }

    /// What the program beside it was built from.
    fn note(&self) -> PathBuf {
        self.root.join(format!("{PROGRAM}.sources"))
    }
}

impl Host {
    /// Builds the engine host of this version of the crate with Go, and opens it; one that was built from the same
    /// sources is used as it is, and then no Go is needed.
    ///
    /// The first build takes some minutes and a network: Go gets Pulumi's modules as the environment of this process
    /// tells it (`GOPROXY`, `GOFLAGS`, `HOME` and the like). Whoever has another way to distribute programs builds once,
    /// puts `pilot-engine` into an image or a package, and calls [`Host::open`]. [`Error::Io`] where there is no Go,
    /// [`Error::Command`] with Go's words when the build fails. Dropped, it ends the build and leaves what was there.
    pub async fn install(install: &HostInstall) -> Result<Self> {
        let sources = all();
        let built = std::fs::read_to_string(install.note()).is_ok_and(|built| built == sources);
        if !built || !install.program().is_file() {
            build(install).await?;
            std::fs::write(install.note(), sources)
                .map_err(Error::io("note what the engine host was built from"))?;
        }
        Self::open(install.program()).await
    }
}

/// Beside the program first, so that it is there whole or not at all.
async fn build(install: &HostInstall) -> Result<()> {
    let prepare = Error::io("prepare the build of the engine host");
    let folder = std::fs::create_dir_all(&install.root)
        .and_then(|()| tempfile::tempdir_in(&install.root))
        .and_then(|folder| SOURCES.extract(folder.path()).map(|()| folder))
        .map_err(prepare)?;
    let made = folder.path().join(PROGRAM);
    tracing::info!(root = %install.root.display(), "building the engine host, which takes minutes the first time");
    let output = tokio::process::Command::new(&install.go)
        .args(["build", "-trimpath", "-ldflags"])
        .arg(format!("-s -w -X {VERSION}=v{NEWEST}"))
        .args([OsString::from("-o"), made.clone().into(), ".".into()])
        .current_dir(folder.path())
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| without(&install.go, &error))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let code = output.status.code().unwrap_or(-1);
        return Err(Error::Command { command: "go build".to_owned(), code, message });
    }
    std::fs::rename(made, install.program()).map_err(Error::io("install the engine host"))
}

fn without(go: &Path, error: &std::io::Error) -> Error {
    let needed = format!("{}: {error}; it takes Go {GO} or newer (https://go.dev/doc/install)", go.display());
    Error::io("start the build of the engine host")(std::io::Error::new(error.kind(), needed))
}

/// Every source with its name: short enough to be compared as it is.
fn all() -> String {
    let mut files = Vec::new();
    collect(&SOURCES, &mut files);
    files.sort_by_key(|file| file.path());
    let text = |file: &&File<'_>| {
        let name = Path::display(file.path());
        format!("== {name}\n{}", file.contents_utf8().unwrap_or_default())
    };
    files.iter().map(text).collect()
}

fn collect<'a>(folder: &'a Dir<'a>, files: &mut Vec<&'a File<'a>>) {
    files.extend(folder.files());
    folder.dirs().for_each(|folder| collect(folder, files));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::engine::Engine as _;

    /// A `go` that counts its runs and makes a host that only knows its version.
    fn go(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("go");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn an_engine_host_is_built_once_from_all_its_sources() {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "echo run >> {0}/runs; test -f go.mod && test -f main.go && test -d state || exit 1\n\
             printf '#!/bin/sh\\necho v{NEWEST}\\n' > $6; chmod +x $6",
            folder.path().display()
        );
        let wanted = HostInstall::new(folder.path().join("root")).go(go(folder.path(), &script));
        for _ in 0..2 {
            let host = Host::install(&wanted).await.unwrap();
            assert_eq!(host.version(), format!("v{NEWEST}"));
        }
        std::fs::write(wanted.note(), "older sources").unwrap();
        Host::install(&wanted).await.unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("runs")).unwrap(), "run\nrun\n");
        // Nothing but the program and the note is left.
        assert_eq!(std::fs::read_dir(&wanted.root).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn a_build_that_fails_is_a_typed_error_with_gos_words() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = HostInstall::new(folder.path()).go(go(folder.path(), "echo no such module >&2; exit 3"));
        let error = Host::install(&wanted).await.unwrap_err();
        let Error::Command { code: 3, message, .. } = &error else { panic!("{error}") };
        assert_eq!(message, "no such module");
    }

    #[tokio::test]
    async fn without_go_the_error_says_which_go_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let error = Host::install(&HostInstall::new(folder.path()).go("/nowhere/go")).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("/nowhere/go: No such file or directory"), "{cause}");
        assert!(cause.contains(&format!("Go {GO} or newer")), "{cause}");
    }
}
