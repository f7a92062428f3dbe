//! The login that a user of the `pulumi` CLI has already.

use super::*;

/// The user's own Pulumi folder and the backend that is current there, for [`Workspace::local`] and its like.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Login {
    /// Pulumi's own folder: `PULUMI_HOME`, or `.pulumi` in `HOME`.
    pub home: PathBuf,
    /// What `pulumi login` has made current.
    pub backend: Backend,
}

/// What is read of `credentials.json`.
#[derive(serde::Deserialize)]
struct Credentials {
    #[serde(default)]
    current: String,
}

impl Login {
    /// That of the user of this process, by its environment. [`Error::Auth`] when nobody is logged in.
    pub fn of_user() -> Result<Self> {
        let set = |key: &str| std::env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = set("PULUMI_HOME").or_else(|| Some(set("HOME")?.join(".pulumi")));
        let message = "neither PULUMI_HOME nor HOME is set".to_owned();
        Self::of_home(home.ok_or(Error::Auth { message })?)
    }

    /// That of this folder. [`Error::Auth`] when nobody is logged in there.
    pub fn of_home(home: impl Into<PathBuf>) -> Result<Self> {
        let home = home.into();
        let path = home.join("credentials.json");
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::from(b"{}"),
            Err(error) => return Err(Error::io("read the credentials")(error)),
        };
        let credentials: Credentials = serde_json::from_slice(&text).map_err(|error| {
            // The parser's words could quote a token.
            let message = format!("it is not the JSON that was expected, see line {}", error.line());
            Error::Settings { path, message }
        })?;
        let url = credentials.current;
        if url.is_empty() {
            return Err(Error::Auth { message: "nobody is logged in; see `pulumi login`".to_owned() });
        }
        // Locks of dead processes are judged in folders only. What is escaped or begins at `~` is left to the CLI.
        let folder =
            url.strip_prefix("file://").filter(|path| path.starts_with('/') && !path.contains(['%', '?']));
        let backend = folder.map_or_else(|| Backend::Url(url.clone()), |path| Backend::Folder(path.into()));
        Ok(Self { home, backend })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_what_the_cli_has_made_current() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("credentials.json");
        let login = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Login::of_home(home.path()).map(|login| login.backend)
        };
        let of = |url: &str| {
            login(&format!(r#"{{"current":"{url}","accessTokens":{{"{url}":"sesame"}}}}"#)).unwrap()
        };
        for url in ["https://api.pulumi.com", "s3://states", "file://~", "file:///a%20b"] {
            assert_eq!(of(url), Backend::Url(url.to_owned()));
        }
        assert_eq!(of("file:///srv/state"), Backend::Folder("/srv/state".into()));
        let error = login("{\n\"sesame\"").unwrap_err();
        assert!(matches!(error, Error::Settings { .. }) && !error.to_string().contains("sesame"), "{error}");
        assert!(matches!(login(r#"{"current":""}"#).unwrap_err(), Error::Auth { .. }));
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(Login::of_home(home.path()).unwrap_err(), Error::Auth { .. }));
    }
}
