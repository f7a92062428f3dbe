//! OpenCode's configuration folder, prepared so that a boot downloads nothing.
//!
//! OpenCode installs `@opencode-ai/plugin` (95 MB with its cache) into its configuration folder at the
//! first request, and holds about 180 MB more memory after it. Only custom tools and plugins in that
//! folder import it. A lock file that names it beside an empty `node_modules` tells OpenCode that it
//! is there. Why not a flag: docs/decisions/2026-11-23-opencode-environment.md.

use std::io;
use std::path::{Path, PathBuf};

/// Any of these in the folder may import the package, so then OpenCode must install it.
const CUSTOM: [&str; 5] = ["package.json", "plugin", "plugins", "tool", "tools"];

const LOCK: &str = concat!(
    r#"{"name":"opencode-config","lockfileVersion":3,"requires":true,"packages":"#,
    r#"{"":{"name":"opencode-config","dependencies":{"@opencode-ai/plugin":"1.18.33"}}}}"#,
    "\n"
);

/// The configuration folder below `home`.
pub fn folder(home: &Path) -> PathBuf {
    home.join(".config/opencode")
}

/// Makes the folder and spares or allows the installation. Safe to repeat at every boot; what a user
/// or OpenCode installed is never touched.
pub fn prepare(home: &Path) -> io::Result<()> {
    let folder = folder(home);
    std::fs::create_dir_all(&folder)?;
    let (modules, lock) = (folder.join("node_modules"), folder.join("package-lock.json"));
    if CUSTOM.iter().any(|name| folder.join(name).exists()) {
        return undo(&modules, &lock);
    }
    if !modules.exists() && !lock.exists() {
        std::fs::create_dir(&modules)?;
        std::fs::write(&lock, LOCK)?;
    }
    Ok(())
}

/// Takes back what `prepare` made, as long as it is still exactly that.
fn undo(modules: &Path, lock: &Path) -> io::Result<()> {
    if std::fs::read_to_string(lock).is_ok_and(|text| text == LOCK) {
        std::fs::remove_file(lock)?;
        // Not empty any more: then it is someone else's.
        let _ = std::fs::remove_dir(modules);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_home_is_told_that_the_package_is_there() {
        let home = tempfile::tempdir().unwrap();
        prepare(home.path()).unwrap();
        prepare(home.path()).unwrap();
        let folder = folder(home.path());
        assert!(folder.join("node_modules").is_dir());
        let lock: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(folder.join("package-lock.json")).unwrap())
                .unwrap();
        assert!(lock["packages"][""]["dependencies"]["@opencode-ai/plugin"].is_string());
    }

    #[test]
    fn once_the_user_has_custom_tools_opencode_may_install() {
        let home = tempfile::tempdir().unwrap();
        prepare(home.path()).unwrap();
        let folder = folder(home.path());
        std::fs::create_dir(folder.join("tool")).unwrap();
        prepare(home.path()).unwrap();
        assert!(!folder.join("node_modules").exists());
        assert!(!folder.join("package-lock.json").exists());
    }

    #[test]
    fn what_is_installed_stays() {
        let home = tempfile::tempdir().unwrap();
        let folder = folder(home.path());
        std::fs::create_dir_all(folder.join("node_modules/x")).unwrap();
        std::fs::write(folder.join("package-lock.json"), "{}").unwrap();
        prepare(home.path()).unwrap();
        std::fs::create_dir(folder.join("plugin")).unwrap();
        prepare(home.path()).unwrap();
        assert!(folder.join("node_modules/x").is_dir());
        assert_eq!(std::fs::read_to_string(folder.join("package-lock.json")).unwrap(), "{}");
    }
}
