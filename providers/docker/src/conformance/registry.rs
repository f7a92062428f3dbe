//! A registry of the test's own on loopback, where Docker speaks HTTP, with images that are brought there by the engine's own push.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters as query;
use contracts::RuntimeId;
use futures_util::TryStreamExt as _;
use provider_api::conformance::{PrivateImage, Pushable, Registry, empty_archive};
use provider_api::{Login, NoLogins, RegistryLogins, Result};
use sim_registry::{Options, Scheme};

use super::{IMAGE, World, build};
use crate::{DockerConfig, DockerProvider};

const USER: &str = "ada";

/// No more of the stand-in than its shell needs: it is pushed and pulled in a moment.
const SMALL: &str = r#"
FROM scratch
COPY --from=base /usr/bin/dash /bin/sh
COPY --from=base /usr/bin/sleep /bin/sleep
COPY --from=base /usr/lib/x86_64-linux-gnu/libc.so.6 /lib/x86_64-linux-gnu/libc.so.6
COPY --from=base /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 /lib64/ld-linux-x86-64.so.2
COPY --from=base --chown=1000:1000 /home/pilot /home/pilot
ENV PATH=/bin
USER 1000:1000
WORKDIR /home/pilot
ENTRYPOINT ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]
"#;

/// One that gives to those without a login only what is below `public/`, and what the engine has of it goes with its world.
pub struct TestRegistry {
    /// The registry itself.
    pub sim: sim_registry::Registry,
    /// What its one user proves itself with.
    pub password: String,
    docker: Docker,
    config: DockerConfig,
    images: Arc<Mutex<Vec<String>>>,
}

/// One login for one registry.
pub struct OneLogin {
    /// Of which registry.
    pub registry: String,
    /// The password.
    pub password: String,
}

#[async_trait]
impl RegistryLogins for OneLogin {
    async fn login(&self, repository: &str) -> Result<Option<Login>> {
        let login = Login::Password { username: USER.to_owned(), password: self.password.clone() };
        Ok((repository.split_once('/').is_some_and(|(host, _)| host == self.registry)).then_some(login))
    }
}

impl TestRegistry {
    /// An empty one beside this world.
    pub async fn start(world: &World) -> Self {
        let password = format!("canary-{}", RuntimeId::random());
        let options = Options {
            public: vec!["public/".to_owned()],
            ..Options::private(Scheme::Bearer, USER, &password)
        };
        let sim = sim_registry::Registry::start(options).await.unwrap();
        let (docker, images) = (world.docker.clone(), world.images.clone());
        Self { sim, password, docker, config: world.config(), images }
    }

    /// A name in it, which goes from the engine with the world.
    pub fn name(&self, repository: &str, tag: &str) -> String {
        let name = format!("{}/{repository}:{tag}", self.sim.host());
        self.images.lock().unwrap().push(name.clone());
        name
    }

    /// A module with this password for the registry.
    pub fn provider(&self, password: &str) -> Arc<DockerProvider> {
        let login = OneLogin { registry: self.sim.host(), password: password.to_owned() };
        Arc::new(DockerProvider::new(DockerConfig { logins: Arc::new(login), ..self.config.clone() }))
    }

    /// Builds an image that runs, pushes it, and leaves nothing of it on the engine.
    pub async fn push(&self, repository: &str, tag: &str) -> String {
        let name = self.name(repository, tag);
        // Of this test alone, so that nothing of it is there from another.
        let own = format!("FROM {IMAGE} AS base\nRUN true\n{SMALL}LABEL of={}\n", RuntimeId::random());
        build(&self.docker, &name, &own).await;
        let credentials = DockerCredentials {
            username: Some(USER.to_owned()),
            password: Some(self.password.clone()),
            serveraddress: Some(self.sim.host()),
            ..Default::default()
        };
        let options = query::PushImageOptionsBuilder::default().tag(tag).build();
        let path = format!("{}/{repository}", self.sim.host());
        let pushed = self.docker.push_image(&path, Some(options), Some(credentials));
        pushed.try_for_each(|_| async { Ok(()) }).await.expect("the image is pushed");
        remove(&self.docker, &name).await;
        name
    }
}

/// An image that runs, as its archive without a name; nothing of it is left on the engine.
pub(super) async fn pushable(docker: Docker, images: Arc<Mutex<Vec<String>>>) -> Pushable {
    use std::io::Write as _;
    let own = RuntimeId::random();
    let built = format!("pilot-conformance-saved-{own}:1");
    build(&docker, &built, &format!("FROM {IMAGE} AS base\nRUN true\n{SMALL}LABEL of={own}\n")).await;
    let id = docker.inspect_image(&built).await.unwrap().id.unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut saved = docker.export_image(&id);
    while let Some(chunk) = saved.try_next().await.expect("the image is saved") {
        file.write_all(&chunk).unwrap();
    }
    remove(&docker, &built).await;
    let name = format!("pilot-conformance-pushed-{own}:1");
    images.lock().unwrap().push(name.clone());
    Pushable { name, archive: file.into_temp_path(), foreign: empty_archive("s390x") }
}

/// Under all its names. One that is gone is removed.
pub(super) async fn remove(docker: &Docker, image: &str) {
    let options = || Some(query::RemoveImageOptionsBuilder::default().force(true).build());
    let repository = image.rsplit_once(':').map_or(image, |(name, _)| name);
    let filters = HashMap::from([("reference".to_owned(), vec![repository.to_owned()])]);
    let list = query::ListImagesOptionsBuilder::default().filters(&filters).digests(true).build();
    for found in docker.list_images(Some(list)).await.unwrap() {
        let _ = docker.remove_image(&found.id, options(), None).await;
    }
}

#[async_trait]
impl Registry for TestRegistry {
    async fn foreign_image(&self) -> String {
        let name = self.name("public/foreign", "1");
        self.sim.seed("public/foreign", "1", "s390x");
        name
    }

    async fn private_image(&self) -> PrivateImage {
        let reference = self.push("team/instance", "1").await;
        PrivateImage {
            reference,
            with: self.provider(&self.password),
            without: Arc::new(DockerProvider::new(DockerConfig {
                logins: Arc::new(NoLogins),
                ..self.config.clone()
            })),
            secret: self.password.clone(),
        }
    }

    async fn requests(&self) -> usize {
        self.sim.journal().len()
    }
}
