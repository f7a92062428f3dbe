//! A stack for whoever uses the plain CLI: its project, and what the shell has to know.

use std::collections::BTreeMap;

use contracts::Problem;
use contracts::stack::StackExport;
use provider_api::Site;
use stacks::{Location, Stack};

use super::Engine;
use crate::tools::PULUMI_VERSION;

impl Engine {
    /// The stack as a project for the plain CLI, sharing state and secrets with this installation. `sites`: where its runtime
    /// is, so that nobody takes another place for it.
    pub fn export(&self, stack: &Stack, sites: &[Site]) -> Result<StackExport, Problem> {
        let location = Location {
            plugin_folder: Some(self.plugin_folder.clone()),
            backend_url: Some(without_password(&self.workspace.backend().url())),
        };
        let mut files = BTreeMap::from([
            ("Pulumi.yaml".to_owned(), stacks::render(stack, &location)),
            ("env.sh".to_owned(), self.environment(stack, sites)),
        ]);
        let settings = settings_file(stack);
        if let Ok(text) = std::fs::read_to_string(self.workspace.directory().join(&settings)) {
            files.insert(settings, text);
        }
        Ok(StackExport { stack: stack.name.clone(), files })
    }

    fn environment(&self, stack: &Stack, sites: &[Site]) -> String {
        let mut lines = vec![
            "# Source this file, then use the Pulumi CLI here: . ./env.sh && pulumi preview".to_owned(),
            format!("export PATH={}:\"$PATH\"", quoted(&self.pulumi_folder.display().to_string())),
            format!(
                "command -v pulumi >/dev/null || echo 'Pulumi {PULUMI_VERSION} is not here yet: `cargo xtask tools` \
                 builds it' >&2"
            ),
            format!("export PULUMI_STACK={}", quoted(&stack.name)),
            "# One that is set would count before the file.".to_owned(),
            "unset PULUMI_CONFIG_PASSPHRASE".to_owned(),
            format!(
                "export PULUMI_CONFIG_PASSPHRASE_FILE={}",
                quoted(&self.layout.secret("pulumi-passphrase").display().to_string())
            ),
            format!("export PILOT_DATA={}", quoted(&self.layout.root.display().to_string())),
            "export PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true".to_owned(),
            "export PULUMI_SKIP_UPDATE_CHECK=true".to_owned(),
        ];
        lines.extend(self.settings.iter().map(|(name, value)| format!("export {name}={}", quoted(value))));
        if !sites.is_empty() {
            lines.push("# Where the runtime is; elsewhere nothing is done for it.".to_owned());
            lines.push(format!("export PILOT_SITES={}", quoted(&serde_json::json!(sites).to_string())));
        }
        lines.join("\n") + "\n"
    }
}

fn settings_file(stack: &Stack) -> String {
    format!("Pulumi.{}.yaml", stack.name)
}

/// For whoever may read it: people have the password elsewhere, such as in `PGPASSWORD`.
pub fn without_password(address: &str) -> String {
    let scheme =
        || address.split_once("://").map_or_else(String::new, |(scheme, _)| format!("{scheme}://..."));
    let Ok(mut url) = url::Url::parse(address) else { return scheme() };
    // A part of a password that is not encoded.
    if url.fragment().is_some() || url.path().contains('@') || url.query().is_some_and(|it| it.contains('@'))
    {
        return scheme();
    }
    // Refused for addresses that have none.
    let _ = url.set_password(None);
    if url.query_pairs().any(|(name, _)| name.contains("password")) {
        let pairs = url.query_pairs().filter(|(name, _)| !name.contains("password"));
        let kept: Vec<_> = pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        url.query_pairs_mut().clear().extend_pairs(kept);
        if url.query() == Some("") {
            url.set_query(None);
        }
    }
    url.into()
}

/// For a shell: single quotes keep everything but themselves.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_quotes_and_spaces_survives_the_shell() {
        let odd = "/a b/it's $HOME";
        let script = format!("printf %s {}", quoted(odd));
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), odd);
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        assert_eq!(without_password("postgres://me:secret@db/pilot"), "postgres://me@db/pilot");
        assert_eq!(
            without_password("postgres://me@db/pilot?sslmode=disable"),
            "postgres://me@db/pilot?sslmode=disable"
        );
        assert_eq!(
            without_password("postgres://db/pilot?user=me&password=secret&sslmode=disable"),
            "postgres://db/pilot?user=me&sslmode=disable"
        );
        assert_eq!(without_password("postgres://db/pilot?password=secret"), "postgres://db/pilot");
        for odd in [
            "postgres://me:se/cret@db/pilot",
            "postgres://me:p@se#cret@db/pilot",
            "postgres://me:1?secret@db/x",
        ] {
            assert!(!without_password(odd).contains("cret"), "{}", without_password(odd));
        }
    }
}
