//! From what a container begins, and how large it is: the application decides under the default policy, each start under
//! that of Durable Objects.

use serde::Deserialize;
use serde_json::Value;

use super::engine::snapshot;
use super::{Machines, NO_APPLICATION, Refused};
use crate::objects::{Application, Prepared, Snapshot};

/// What `platform.js` puts beside the variables of a container.
const VARIABLE: &str = "SIM_CLOUDFLARE_START=";

pub(super) const DEFAULT_POLICY: &str =
    "images, sizes and snapshots at a start are only supported with the durable_object scheduling policy";

/// Sizes by name at a start. `basic` is none of them.
const SIZES: [&str; 5] = ["lite", "standard-1", "standard-2", "standard-3", "standard-4"];

/// What an object asked for.
#[derive(Default, Deserialize)]
pub(super) struct Start {
    /// Another one for each call of `start()`.
    #[serde(default)]
    pub id: String,
    image: Option<String>,
    snapshot: Option<String>,
    instance: Option<Value>,
    entrypoint: Option<Vec<String>>,
}

impl Start {
    pub fn take(env: &mut Vec<String>) -> Self {
        let told = env.iter().find_map(|each| serde_json::from_str(each.strip_prefix(VARIABLE)?).ok());
        env.retain(|each| !each.starts_with(VARIABLE));
        told.unwrap_or_default()
    }
}

/// What is created.
pub(super) struct Chosen {
    /// As the account names it.
    pub image: String,
    /// On the local engine.
    pub local: String,
    pub instance: String,
    pub entrypoint: Option<Vec<String>>,
}

impl Machines {
    pub(super) async fn choose(&self, application: &Application, start: Start) -> Result<Chosen, Refused> {
        let refuse = |words: &str| Refused::Failed(words.to_owned());
        let entrypoint = start.entrypoint;
        if !application.is_by_object() {
            if start.image.is_some() || start.snapshot.is_some() || start.instance.is_some() {
                return Err(refuse(DEFAULT_POLICY));
            }
            let configuration = &application.configuration;
            let image = configuration["image"].as_str().unwrap_or_default().to_owned();
            let instance = configuration["instance_type"].as_str().unwrap_or("lite").to_owned();
            // What is of no registry here is looked for on the engine by the create itself.
            if self.registry.is_of(&image) && !self.bring(&image).await {
                return Err(Refused::NoImage(image));
            }
            return Ok(Chosen { local: self.local(&image), image, instance, entrypoint });
        }
        let instance = match start.instance {
            None => "lite".to_owned(),
            Some(named) => {
                let name = named.as_str().filter(|name| SIZES.contains(name));
                name.ok_or_else(|| refuse("the instance is of no known type"))?.to_owned()
            }
        };
        match (start.image, start.snapshot) {
            // Cloudflare takes it and never makes a container.
            (None, None) => Err(refuse(NO_APPLICATION)),
            (Some(image), _) => {
                let prepared = self.journal.get::<Prepared>(&image).filter(|prepared| prepared.is_ready());
                prepared.ok_or_else(|| refuse(&format!("No such image available named {image}")))?;
                Ok(Chosen { local: self.local(&image), image, instance, entrypoint })
            }
            (None, Some(id)) => {
                let mut found = self
                    .journal
                    .get::<Snapshot>(&id)
                    .ok_or_else(|| refuse("Container snapshot not found"))?;
                found.used = jiff::Timestamp::now();
                self.journal.put(&found).map_err(|error| Refused::Failed(error.to_string()))?;
                // A file system has no command: that is its image's.
                let usual = self.engine.entrypoint(&self.local(&found.image)).await;
                let entrypoint = entrypoint.or(usual);
                Ok(Chosen { local: snapshot(&id), image: found.image, instance, entrypoint })
            }
        }
    }
}
