//! Which world a provider is checked in. The only file here that names concrete providers.

use std::path::{Path, PathBuf};

use provider_api::conformance::{NewFixture, new_fixture};

/// The programs of others that worlds start.
pub struct Programs {
    /// `pilot-instance`, the instance's init.
    pub instance: PathBuf,
    pub opencode: PathBuf,
    /// What Fly's machines run in place of the init.
    pub fly_stand_in: PathBuf,
}

impl Programs {
    /// Those of this build.
    pub fn beside_this_one(opencode: &Path) -> Self {
        let program = std::env::current_exe().unwrap_or_default();
        let folder = program.parent().map(PathBuf::from).unwrap_or_default();
        Self {
            instance: folder.join("pilot-instance"),
            opencode: opencode.to_owned(),
            fly_stand_in: folder.join("fly-stand-in"),
        }
    }
}

/// A world of its own for each case; `None` when a provider has none.
pub fn of(provider: &str, programs: Programs) -> Option<NewFixture> {
    let Programs { instance, opencode, fly_stand_in } = programs;
    Some(match provider {
        "local" => new_fixture(move || {
            let world = provider_local::conformance::World::new(&instance, &opencode);
            std::future::ready(world.fixture())
        }),
        "docker" => new_fixture(provider_docker::conformance::fixture),
        "fly" => new_fixture(move || {
            let stand_in = fly_stand_in.clone();
            async move { provider_fly::conformance::fixture(&stand_in).await }
        }),
        "cloudflare" => new_fixture(move || {
            let instance = instance.clone();
            async move { provider_cloudflare::conformance::fixture(&instance).await }
        }),
        "fake" => new_fixture(provider_fake::conformance::fixture),
        // `pilot provider new` adds a world above this line.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_of_this_repository_has_a_world() {
        let providers = concat!(env!("CARGO_MANIFEST_DIR"), "/../../providers");
        for entry in std::fs::read_dir(providers).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_module = !name.starts_with("provider-");
            let programs = Programs::beside_this_one(Path::new("opencode"));
            assert!(!is_module || of(&name, programs).is_some(), "{name}");
        }
    }
}
