//! Which object a path below `/v2/` means. Names of repositories have slashes, so it is read from its end.

use crate::error::Refusal;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Object {
    /// `/v2/` itself: whether this is a registry, and whether the caller is known.
    Base,
    Manifest(String, String),
    Blob(String, String),
    /// Where uploads begin.
    Uploads(String),
    Upload(String, String),
    Tags(String),
}

impl Object {
    pub fn of(path: &str) -> Result<Self, Refusal> {
        let missing = || Refusal::unknown("NAME_UNKNOWN", path);
        let path = path.strip_prefix("/v2").ok_or_else(missing)?;
        let words: Vec<&str> = path.strip_prefix('/').ok_or_else(missing)?.split('/').collect();
        let (repository, object) = match words.as_slice() {
            [""] => return Ok(Object::Base),
            [name @ .., "blobs", "uploads", ""] => (name, Object::Uploads(name.join("/"))),
            [name @ .., "blobs", "uploads", id] => (name, Object::Upload(name.join("/"), (*id).to_owned())),
            [name @ .., "blobs", digest] => (name, Object::Blob(name.join("/"), (*digest).to_owned())),
            [name @ .., "manifests", tag] => (name, Object::Manifest(name.join("/"), (*tag).to_owned())),
            [name @ .., "tags", "list"] => (name, Object::Tags(name.join("/"))),
            _ => return Err(missing()),
        };
        if repository.is_empty() || !repository.iter().all(|word| is_name(word)) {
            return Err(Refusal::bad("NAME_INVALID", "invalid repository name"));
        }
        Ok(object)
    }

    /// `None` where nobody's repository is meant.
    pub fn repository(&self) -> Option<&str> {
        match self {
            Object::Base => None,
            Object::Manifest(name, _)
            | Object::Blob(name, _)
            | Object::Uploads(name)
            | Object::Upload(name, _)
            | Object::Tags(name) => Some(name),
        }
    }
}

/// One part of a repository's name.
fn is_name(word: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    word.starts_with(is_letter)
        && word.ends_with(is_letter)
        && word.chars().all(|c| is_letter(c) || matches!(c, '.' | '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repositorys_name_may_have_slashes_and_no_capitals() {
        let of = |path: &str| Object::of(path).unwrap();
        assert_eq!(of("/v2/"), Object::Base);
        assert_eq!(of("/v2/a/b/manifests/1.0"), Object::Manifest("a/b".to_owned(), "1.0".to_owned()));
        assert_eq!(of("/v2/a/blobs/uploads/"), Object::Uploads("a".to_owned()));
        assert_eq!(of("/v2/a/blobs/uploads/x"), Object::Upload("a".to_owned(), "x".to_owned()));
        assert_eq!(of("/v2/a/blobs/sha256:1"), Object::Blob("a".to_owned(), "sha256:1".to_owned()));
        for refused in ["/v1/", "/v2/A/manifests/1", "/v2//manifests/1", "/v2/manifests/1", "/v2/a"] {
            assert!(Object::of(refused).is_err(), "{refused}");
        }
    }
}
