//! What a simulated account is like.

use std::path::{Path, PathBuf};

/// The version of `workerd` that `tests/sim-cloudflare/npm` pins.
pub const WORKERD_VERSION: &str = "1.20251011.0";

/// Everything has a working default but the folder.
#[derive(Debug, Clone)]
pub struct Options {
    /// Journal, Durable Objects, scripts and logs; what is there already continues.
    pub folder: PathBuf,
    pub account: String,
    /// `https://SCRIPT.SUBDOMAIN.workers.dev`; empty for an account that has chosen none
    pub subdomain: String,
    /// Tokens that may do everything.
    pub tokens: Vec<String>,
    /// Tokens that may only read.
    pub readers: Vec<String>,
    /// Zones of the account.
    pub zones: Vec<String>,
    /// Image references of applications, and what they are on the local Docker engine. Others lose the
    /// registry and the account in front of their name.
    pub images: Vec<(String, String)>,
    /// Calls in five minutes for each token.
    pub rate_limit: u32,
    /// How long the edge does not know a script that was just put on its subdomain, and a new custom domain takes no
    /// connection.
    pub name_lag_ms: u64,
    /// How long a new application has no place for a container.
    pub provisioning_ms: u64,
    /// How long a rollout takes; until then an application has the configuration of before.
    pub rollout_ms: u64,
    /// How long the preparation of an image takes.
    pub preparing_ms: u64,
    /// Of faults with a probability.
    pub seed: u64,
    /// 0 takes a free one; all on loopback.
    pub api_port: u16,
    pub edge_port: u16,
    pub admin_port: u16,
    pub workerd: PathBuf,
    pub docker_socket: PathBuf,
}

impl Options {
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            account: "acc0000000000000000000000000test".to_owned(),
            subdomain: "sim".to_owned(),
            tokens: vec!["sim-token".to_owned()],
            readers: vec!["sim-reader".to_owned()],
            zones: vec!["example.com".to_owned()],
            images: Vec::new(),
            rate_limit: 1200,
            name_lag_ms: 0,
            provisioning_ms: 0,
            rollout_ms: 0,
            preparing_ms: 0,
            seed: 1,
            api_port: 0,
            edge_port: 0,
            admin_port: 0,
            workerd: tools().join("node_modules/@cloudflare/workerd-linux-64/bin/workerd"),
            docker_socket: PathBuf::from("/var/run/docker.sock"),
        }
    }

    /// The image on the local engine for one that an application names.
    pub fn local_image(&self, image: &str) -> String {
        if let Some((_, local)) = self.images.iter().find(|(name, _)| name == image) {
            return local.clone();
        }
        let managed = format!("registry.cloudflare.com/{}/", self.account);
        let prefixes = [managed.as_str(), "registry.cloudflare.com/", "docker.io/library/", "docker.io/"];
        let found = prefixes.into_iter().find_map(|prefix| image.strip_prefix(prefix)).unwrap_or(image);
        // A digest is the id of a local image here.
        found.split_once('@').map_or(found, |(_, digest)| digest).to_owned()
    }
}

/// Where `cargo xtask tools` puts `workerd` and `wrangler`.
pub fn tools() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("PILOT_TOOLS").unwrap_or_else(|| {
        let home = || variable("HOME").unwrap_or_default().join(".cache");
        variable("XDG_CACHE_HOME").unwrap_or_else(home).join("pilot/tools")
    });
    cache.join(format!("cloudflare-{WORKERD_VERSION}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_a_registry_is_the_local_one_of_the_same_name_unless_told_otherwise() {
        let mut options = Options::in_folder(Path::new("/x"));
        options.images = vec![("docker.io/me/a:1".to_owned(), "mine:2".to_owned())];
        let managed = format!("registry.cloudflare.com/{}/pilot:1", options.account);
        assert_eq!(options.local_image(&managed), "pilot:1");
        assert_eq!(options.local_image("docker.io/me/b:1"), "me/b:1");
        assert_eq!(options.local_image("docker.io/me/a:1"), "mine:2");
        assert_eq!(options.local_image("plain:1"), "plain:1");
        assert_eq!(options.local_image(&format!("{managed}@sha256:aa")), "sha256:aa");
    }
}
