//! The Worker's source as it is uploaded: the files of `worker/src`, unchanged.

use std::sync::LazyLock;

use aws_lc_rs::digest;

use crate::sign::hex;

pub(crate) const MAIN: &str = "index.js";
pub(crate) const COMPATIBILITY_DATE: &str = "2025-10-11";
/// The newest migration: it made both classes.
pub(crate) const MIGRATION: &str = "v1";
pub(crate) const RUNTIME_CLASS: &str = "Runtime";
pub(crate) const INDEX_CLASS: &str = "Index";

macro_rules! modules {
    ($($name:literal,)*) => { [$(($name, include_str!(concat!("../../worker/src/", $name))),)*] };
}

pub(crate) const MODULES: [(&str, &str); 13] = modules![
    "index.js",
    "runtime.js",
    "instance.js",
    "home.js",
    "carrier.js",
    "traffic.js",
    "index_object.js",
    "record.js",
    "control.js",
    "assertion.js",
    "platform.js",
    "problem.js",
    "bytes.js",
];

/// Changes with every byte of the source.
pub(crate) fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let mut all = digest::Context::new(&digest::SHA256);
        for (name, text) in MODULES {
            all.update(format!("{name} {}\n{text}", text.len()).as_bytes());
        }
        all.update(COMPATIBILITY_DATE.as_bytes());
        hex(&all.finish().as_ref()[..8])
    });
    &VERSION
}

#[cfg(test)]
mod tests {
    use contracts::ErrorCode;

    use super::*;

    #[test]
    fn every_file_of_the_source_is_uploaded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/worker/src");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut uploaded: Vec<&str> = MODULES.iter().map(|(name, _)| *name).collect();
        files.sort();
        uploaded.sort_unstable();
        assert_eq!(files, uploaded);
    }

    #[test]
    fn the_workers_codes_are_those_of_the_contracts() {
        let (_, text) = MODULES.iter().find(|(name, _)| *name == "problem.js").unwrap();
        let table = text.split_once("export const CODES = {\n").unwrap().1.split_once("\n};").unwrap().0;
        let mut lines = 0;
        for line in table.lines() {
            let (name, rest) = line.trim().split_once(": ").unwrap();
            let code: ErrorCode = name.parse().unwrap_or_else(|()| panic!("there is no code {name}"));
            let expected = format!("[{}, {}, {:?}],", code.status(), code.retryable(), code.title());
            assert_eq!(rest, expected, "{name}");
            lines += 1;
        }
        assert!(lines > 5, "the table was read");
    }
}
