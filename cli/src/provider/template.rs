//! The fake provider's own sources as the beginning of another: what is copied is what is tested.

/// The name that is replaced.
const TEMPLATE: &str = "fake";

/// Path in the new provider's folder, and text.
pub const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../providers/fake/Cargo.toml")),
    ("src/client.rs", include_str!("../../../providers/fake/src/client.rs")),
    ("src/cloud.rs", include_str!("../../../providers/fake/src/cloud.rs")),
    ("src/cloud/acts.rs", include_str!("../../../providers/fake/src/cloud/acts.rs")),
    ("src/cloud/api.rs", include_str!("../../../providers/fake/src/cloud/api.rs")),
    ("src/cloud/call.rs", include_str!("../../../providers/fake/src/cloud/call.rs")),
    ("src/cloud/commands.rs", include_str!("../../../providers/fake/src/cloud/commands.rs")),
    ("src/cloud/disks.rs", include_str!("../../../providers/fake/src/cloud/disks.rs")),
    ("src/cloud/error.rs", include_str!("../../../providers/fake/src/cloud/error.rs")),
    ("src/cloud/faults.rs", include_str!("../../../providers/fake/src/cloud/faults.rs")),
    ("src/cloud/images.rs", include_str!("../../../providers/fake/src/cloud/images.rs")),
    ("src/cloud/instance.rs", include_str!("../../../providers/fake/src/cloud/instance.rs")),
    ("src/cloud/remote.rs", include_str!("../../../providers/fake/src/cloud/remote.rs")),
    ("src/cloud/service.rs", include_str!("../../../providers/fake/src/cloud/service.rs")),
    ("src/conformance.rs", include_str!("../../../providers/fake/src/conformance.rs")),
    ("src/declare.rs", include_str!("../../../providers/fake/src/declare.rs")),
    ("src/fence.rs", include_str!("../../../providers/fake/src/fence.rs")),
    ("src/images.rs", include_str!("../../../providers/fake/src/images.rs")),
    ("src/lib.rs", include_str!("../../../providers/fake/src/lib.rs")),
    ("src/lifecycle.rs", include_str!("../../../providers/fake/src/lifecycle.rs")),
    ("src/machine.rs", include_str!("../../../providers/fake/src/machine.rs")),
    ("src/network.rs", include_str!("../../../providers/fake/src/network.rs")),
    ("src/owner.rs", include_str!("../../../providers/fake/src/owner.rs")),
    ("src/snapshots.rs", include_str!("../../../providers/fake/src/snapshots.rs")),
    ("src/volume.rs", include_str!("../../../providers/fake/src/volume.rs")),
    ("tests/conformance.rs", include_str!("../../../providers/fake/tests/conformance.rs")),
];

/// What the stack of a workspace is, for review.
pub const GOLDEN: &str = include_str!("../../../stacks/golden/fake/Pulumi.yaml");

/// A provider's name in the four ways in which code writes it.
pub struct Names {
    /// `my-cloud`
    pub kebab: String,
    /// `my_cloud`
    pub snake: String,
    /// `MyCloud`
    pub camel: String,
    /// `MY_CLOUD`
    pub screaming: String,
}

impl Names {
    pub fn of(name: &str) -> Self {
        let capital = |part: &str| {
            let mut letters = part.chars();
            letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        };
        Self {
            kebab: name.to_owned(),
            snake: name.replace('-', "_"),
            camel: name.split('-').filter_map(capital).collect(),
            screaming: name.replace('-', "_").to_uppercase(),
        }
    }

    /// The template's text with its name replaced, in code and in words.
    pub fn fill(&self, text: &str) -> String {
        text.replace(&format!("provider_{TEMPLATE}"), &format!("provider_{}", self.snake))
            .replace("FAKE", &self.screaming)
            .replace("Fake", &self.camel)
            .replace(TEMPLATE, &self.kebab)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn files_below(folder: &Path, root: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                files_below(&entry.path(), root, found);
            } else {
                let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push((path, std::fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }

    #[test]
    fn the_template_is_every_file_of_the_fake_provider() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../providers/fake");
        let mut found = Vec::new();
        files_below(&root, &root, &mut found);
        found.sort();
        let listed = FILES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        assert_eq!(listed.collect::<Vec<_>>(), found, "list every file in FILES");
    }

    #[test]
    fn a_name_is_written_as_its_place_wants_it() {
        let text =
            "use provider_fake::FakeProvider; // provider-fake, PILOT_FAKE_API_TOKEN, pilot:fake:Machine";
        assert_eq!(
            Names::of("my-cloud").fill(text),
            "use provider_my_cloud::MyCloudProvider; // provider-my-cloud, PILOT_MY_CLOUD_API_TOKEN, pilot:my-cloud:Machine"
        );
    }
}
