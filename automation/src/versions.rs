//! The versions of Pulumi that this crate is built for and tested with. `versions.json` says each of them, once;
//! `cargo xtask pulumi upgrade` writes it.

const FILE: &str = include_str!("../versions.json");

/// The oldest Pulumi CLI that works.
pub const OLDEST: &str = named("oldest");
/// A CLI between the oldest and the newest that tests run too.
pub const BETWEEN: &str = named("between");
/// What everything is built for, the engine host too.
pub const NEWEST: &str = named("newest");
/// Of Pulumi's language host for YAML, which goes with the newest.
pub const YAML: &str = named("yaml");
/// Of the SDK for Node.js that programs are tested with.
pub const NODEJS: &str = named("nodejs");
/// Of the SDK for Python that programs are tested with: not every release reaches its registry.
pub const PYTHON: &str = named("python");
/// Of the Go toolchain, at least, that builds Pulumi.
pub const GO: &str = named("go");

/// The text of the one field of this name, read at compile time; empty when there is none, which a test refuses.
const fn named(name: &str) -> &'static str {
    let (file, name) = (FILE.as_bytes(), name.as_bytes());
    let mut at = 0;
    while at < file.len() {
        if is_field(file, at, name) {
            let mut start = at + name.len() + 2;
            while file[start] != b'"' {
                start += 1;
            }
            let mut end = start + 1;
            while file[end] != b'"' {
                end += 1;
            }
            let (until, _) = FILE.split_at(end);
            let (_, value) = until.split_at(start + 1);
            return value;
        }
        at += 1;
    }
    ""
}

/// Whether `"name"` begins here.
const fn is_field(file: &[u8], at: usize, name: &[u8]) -> bool {
    if at + name.len() + 2 > file.len() || file[at] != b'"' || file[at + name.len() + 1] != b'"' {
        return false;
    }
    let mut index = 0;
    while index < name.len() {
        if file[at + 1 + index] != name[index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constant_is_what_the_file_says() {
        let file: serde_json::Value = serde_json::from_str(FILE).unwrap();
        let pulumi = |name: &str| file["pulumi"][name].as_str().unwrap();
        assert_eq!([OLDEST, BETWEEN, NEWEST], [pulumi("oldest"), pulumi("between"), pulumi("newest")]);
        let other = |name: &str| file[name].as_str().unwrap();
        assert_eq!([YAML, GO], [other("yaml"), other("go")]);
        assert_eq!([NODEJS, PYTHON], [other("nodejs"), other("python")]);
    }

    #[test]
    fn a_name_that_is_a_part_of_another_is_not_taken_for_it() {
        assert_eq!(named("new"), "");
        assert_eq!(named("3.276"), "");
    }
}
