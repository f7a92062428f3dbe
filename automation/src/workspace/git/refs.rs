//! Which commit a source means.

use std::path::{Component, Path};

use super::{GitSource, invalid};
use crate::error::Result;

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// What the repository's `HEAD` is.
    Default,
    /// The part after `refs/heads/`.
    Branch(String),
    /// The part after `refs/tags/`.
    Tag(String),
    Commit(String),
}

impl Target {
    /// A plain name is a branch, as it is for Pulumi's other Automation APIs.
    pub fn of(source: &GitSource) -> Result<Self> {
        match (source.branch.as_deref(), source.commit.as_deref()) {
            (Some(_), Some(_)) => Err(invalid("a branch and a commit exclude each other".to_owned())),
            (None, None) => Ok(Target::Default),
            (None, Some(commit)) => {
                let hex = commit.bytes().all(|byte| byte.is_ascii_hexdigit());
                if !hex || !(7..=64).contains(&commit.len()) {
                    return Err(invalid(format!("{commit:?} is not a commit's id")));
                }
                Ok(Target::Commit(commit.to_owned()))
            }
            (Some(name), None) => Self::named(name),
        }
    }

    fn named(name: &str) -> Result<Self> {
        let target = if let Some(tag) = name.strip_prefix("refs/tags/") {
            Target::Tag(checked(tag)?)
        } else if let Some(branch) = name.strip_prefix("refs/heads/") {
            Target::Branch(checked(branch)?)
        } else if let Some(remote) = name.strip_prefix("refs/remotes/") {
            let branch = remote.strip_prefix("origin/").ok_or_else(|| {
                invalid(format!("a remote ref begins with refs/remotes/origin/, but not {name:?}"))
            })?;
            Target::Branch(checked(branch)?)
        } else {
            Target::Branch(checked(name)?)
        };
        Ok(target)
    }
}

/// `git check-ref-format`, as far as a name could be taken for something else in an argument.
fn checked(name: &str) -> Result<String> {
    let odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let parts =
        name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"));
    if name.contains(odd) || name.contains("..") || name.contains("@{") || name.ends_with('.') || !parts {
        return Err(invalid(format!("{name:?} is not a name of a branch or tag")));
    }
    Ok(name.to_owned())
}

/// A path that cannot leave the repository.
pub(super) fn inside(path: Option<&str>) -> Result<&Path> {
    let path = Path::new(path.unwrap_or_default());
    let stays = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if path.components().all(stays) {
        return Ok(path);
    }
    Err(invalid(format!("{} is not a path inside the repository", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(branch: &str) -> Result<Target> {
        Target::of(&GitSource { branch: Some(branch.to_owned()), ..GitSource::default() })
    }

    #[test]
    fn every_kind_of_name_is_understood() {
        let branch = |name: &str| Target::Branch(name.to_owned());
        for (name, expected) in [
            ("main", branch("main")),
            ("feature/a", branch("feature/a")),
            ("refs/heads/main", branch("main")),
            ("refs/remotes/origin/main", branch("main")),
            ("origin/main", branch("origin/main")),
            ("refs/tags/v1", Target::Tag("v1".to_owned())),
        ] {
            assert_eq!(target(name).unwrap(), expected, "{name}");
        }
        assert_eq!(Target::of(&GitSource::default()).unwrap(), Target::Default);
    }

    #[test]
    fn names_that_git_would_read_otherwise_are_refused() {
        let names = [
            "",
            "a:b",
            "a b",
            "../x",
            "a..b",
            "a^",
            "refs/heads/",
            "refs/remotes/upstream/x",
            "a.lock",
            "\n",
        ];
        for name in names {
            assert!(target(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_branch_and_a_commit_exclude_each_other_and_a_commit_is_hex() {
        let source = |branch: Option<&str>, commit: &str| {
            let branch = branch.map(str::to_owned);
            Target::of(&GitSource { branch, commit: Some(commit.to_owned()), ..GitSource::default() })
        };
        assert!(source(Some("main"), "0123456789").is_err());
        assert!(source(None, "0123456789").is_ok());
        for odd in ["--upload-pack=x", "HEAD", "", "abc"] {
            assert!(source(None, odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn a_project_is_inside_its_repository() {
        assert_eq!(inside(None).unwrap(), Path::new(""));
        assert_eq!(inside(Some("a/./b")).unwrap(), Path::new("a/./b"));
        assert!(
            inside(Some("../a")).is_err()
                && inside(Some("/etc")).is_err()
                && inside(Some("a/../..")).is_err()
        );
    }
}
