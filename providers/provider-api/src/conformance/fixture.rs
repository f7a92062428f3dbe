//! The world that a case runs in.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use contracts::{InstallationId, RuntimeId};

use crate::conformance::Stack;
use crate::{BootFile, BootSource, OwnedObject, Provider, Result, RuntimeRef, RuntimeSpec};

/// One provider in a world of its own.
pub struct Fixture {
    /// The module that the case is about.
    pub provider: Arc<dyn Provider>,
    /// A second instance of the same module with the same configuration, as another program has it.
    pub second: Arc<dyn Provider>,
    /// The module in the same world with settings that offer less than `provider` does, where settings decide that: not what
    /// [`Fixture::stack`] is of.
    pub fewer: Option<Arc<dyn Provider>>,
    /// Owns what the case makes, and nothing else.
    pub installation: InstallationId,
    /// What both modules get their boot files from.
    pub boot: Arc<CanaryBootFiles>,
    /// The witness.
    pub backdoor: Arc<dyn Backdoor>,
    /// Breaks the way between both modules and their objects, where there is one.
    pub faults: Option<Arc<dyn Faults>>,
    /// What both modules prove themselves with; it must appear nowhere.
    pub credential: Option<String>,
    /// An image that instances can be made from, and that is not the usual one; where runtimes have images of their own.
    pub other_image: Option<String>,
    /// From which the module pulls images, where it does.
    pub registry: Option<Arc<dyn Registry>>,
    /// An image that instances can be made from and that is not at the provider, where it can be pushed there.
    pub pushable: Option<NewPushable>,
}

/// Makes the image that a case pushes.
pub type NewPushable = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Pushable> + Send>> + Send + Sync>;

/// An image that is to be pushed.
pub struct Pushable {
    /// The name that it is to get; nothing there has it.
    pub name: String,
    /// In an archive, which ends with this.
    pub archive: tempfile::TempPath,
    /// The same image for processors that the provider does not have.
    pub foreign: tempfile::TempPath,
}

impl Pushable {
    /// One without any files, for worlds that run no image's content.
    pub fn empty(architecture: &str) -> Self {
        let foreign = if architecture == "s390x" { "riscv64" } else { "s390x" };
        let name = format!("team/pilot-pushed-{}:1", RuntimeId::random());
        Self { name, archive: empty_archive(architecture), foreign: empty_archive(foreign) }
    }
}

/// As `docker save` writes it: one layer, which is an archive without anything.
pub fn empty_archive(architecture: &str) -> tempfile::TempPath {
    let mut tar = tar::Builder::new(tempfile::NamedTempFile::new().unwrap());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content).unwrap();
    };
    // Of two blocks that end an archive.
    let layer = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    });
    add("layer.tar", &[0; 1024]);
    add("config.json", config.to_string().as_bytes());
    add("manifest.json", br#"[{"Config": "config.json", "RepoTags": null, "Layers": ["layer.tar"]}]"#);
    tar.into_inner().unwrap().into_temp_path()
}

/// A registry of the test's own.
#[async_trait]
pub trait Registry: Send + Sync {
    /// A reference to an image for machines that the provider does not have.
    async fn foreign_image(&self) -> String;
    /// An image that instances can be made from and that is not at the provider yet.
    async fn private_image(&self) -> PrivateImage;
    /// How often it was asked for anything.
    async fn requests(&self) -> usize;
}

/// An image that nobody gets without a login.
pub struct PrivateImage {
    /// As somebody names it.
    pub reference: String,
    /// A module that has the login, in the world of the fixture.
    pub with: Arc<dyn Provider>,
    /// The same without it.
    pub without: Arc<dyn Provider>,
    /// The secret of the login; it must appear nowhere.
    pub secret: String,
}

/// What a test does and sees outside, without the provider.
#[async_trait]
pub trait Backdoor: Send + Sync {
    /// One entry for each external object of the runtime that corresponds to a declared resource. A
    /// process tree counts once, by its leader.
    async fn objects(&self, runtime: &RuntimeRef) -> Vec<String>;
    /// Whether the instance's own program runs.
    async fn runs(&self, runtime: &RuntimeRef) -> bool;
    /// Writes a file into the home of a running instance, as its user would.
    async fn write_home(&self, runtime: &RuntimeRef, path: &str, content: &str);
    /// Reads a file of a running instance's home.
    async fn read_home(&self, runtime: &RuntimeRef, path: &str) -> Option<String>;
    /// Removes the external object of one declared resource behind the provider's back.
    async fn remove(&self, runtime: &RuntimeRef, resource: &str);
    /// Removes all of an installation, whatever state it is in. Must not use the provider.
    async fn sweep(&self, installation: &InstallationId);

    /// Whether [`Backdoor::fail`] does anything, and the provider tells such an end from a stop.
    fn can_fail(&self) -> bool {
        false
    }

    /// Ends a running instance as if its program had failed.
    async fn fail(&self, _runtime: &RuntimeRef) {
        panic!("nothing ends an instance by itself here");
    }

    /// Asks for a name from inside a running instance whose list does not have it. Only asked where there is
    /// [`Provider::refuses`].
    async fn ask_for(&self, _runtime: &RuntimeRef, _name: &str) {
        panic!("a provider that tells what was refused needs a backdoor that asks for something");
    }

    /// Keeps a text in a running instance's memory, not on its disk. Only asked where there is suspend.
    async fn write_memory(&self, _runtime: &RuntimeRef, _text: &str) {
        panic!("a provider that suspends needs a backdoor that reaches an instance's memory");
    }

    /// The text of `write_memory`, while that memory lives.
    async fn read_memory(&self, _runtime: &RuntimeRef) -> Option<String> {
        panic!("a provider that suspends needs a backdoor that reaches an instance's memory");
    }
}

/// Breaks what lies between the provider and its objects. [`Backdoor`] are never hindered by it.
#[async_trait]
pub trait Faults: Send + Sync {
    /// Every request takes effect, and the answers of `percent` in a hundred are lost with their
    /// connection. `seed` decides which, the same every time.
    async fn lose_answers(&self, percent: u8, seed: u64);
    /// Requests are taken and never answered.
    async fn hang(&self);
    /// No connection is made.
    async fn unreachable(&self);
    /// All is as before.
    async fn heal(&self);

    /// Whether [`Faults::fill`] does anything.
    fn can_fill(&self) -> bool {
        false
    }

    /// What is started from now on is accepted and cannot run, for want of room or whatever else passes.
    async fn fill(&self) {}
}

/// Makes a new fixture for each case.
pub type NewFixture = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Fixture> + Send>> + Send + Sync>;

/// An `async fn() -> Fixture` as a value.
pub fn new_fixture<F>(make: impl Fn() -> F + Send + Sync + 'static) -> NewFixture
where
    F: Future<Output = Fixture> + Send + 'static,
{
    Arc::new(move || Box::pin(make()))
}

impl Fixture {
    /// A provider whose way to its objects cannot be broken and that needs no credential.
    pub fn new(
        provider: Arc<dyn Provider>,
        second: Arc<dyn Provider>,
        installation: InstallationId,
        boot: Arc<CanaryBootFiles>,
        backdoor: Arc<dyn Backdoor>,
    ) -> Self {
        Self {
            provider,
            second,
            fewer: None,
            installation,
            boot,
            backdoor,
            faults: None,
            credential: None,
            other_image: None,
            registry: None,
            pushable: None,
        }
    }

    /// The same fixture with a way that can be broken.
    pub fn with_faults(mut self, faults: Arc<dyn Faults>) -> Self {
        self.faults = Some(faults);
        self
    }

    /// The same fixture with modules that hold this credential.
    pub fn with_credential(mut self, credential: impl Into<String>) -> Self {
        self.credential = Some(credential.into());
        self
    }

    /// The same fixture with a module that offers less.
    pub fn with_fewer(mut self, fewer: Arc<dyn Provider>) -> Self {
        self.fewer = Some(fewer);
        self
    }

    /// The same fixture with a second image.
    pub fn with_other_image(mut self, reference: impl Into<String>) -> Self {
        self.other_image = Some(reference.into());
        self
    }

    /// The same fixture with a registry.
    pub fn with_registry(mut self, registry: Arc<dyn Registry>) -> Self {
        self.registry = Some(registry);
        self
    }

    /// The same fixture with an image that can be pushed.
    pub fn with_pushable<F>(mut self, make: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Pushable> + Send + 'static,
    {
        self.pushable = Some(Box::new(move || Box::pin(make())));
        self
    }

    /// A new runtime of the provider's first size.
    pub fn stack(&self) -> Stack {
        self.stack_of(&self.provider, &self.installation, RuntimeId::random())
    }

    /// The stack of a given runtime, as a given instance of the module sees it.
    pub fn stack_of(
        &self,
        provider: &Arc<dyn Provider>,
        installation: &InstallationId,
        runtime: RuntimeId,
    ) -> Stack {
        let described = provider.describe();
        let spec = RuntimeSpec {
            region: described.regions.first().map(|region| region.name.clone()),
            ..RuntimeSpec::new(
                runtime,
                installation.clone(),
                described.sizes.first().expect("a provider has a size").name.clone(),
            )
        };
        Stack::new(provider.clone(), spec)
    }

    /// What all runtimes of the installation share. It is there already.
    pub fn shared(&self) -> Stack {
        Stack::shared(self.provider.clone(), &self.installation)
    }

    /// What the provider itself lists of the installation.
    pub async fn owned(&self) -> Vec<OwnedObject> {
        let inventory = self.provider.inventory().expect("an inventory: the witness of what is left");
        inventory.list_installation(&self.installation).await.unwrap()
    }
}

/// Gives one file with a text that must appear nowhere but in the home.
pub struct CanaryBootFiles {
    canary: Mutex<String>,
}

impl CanaryBootFiles {
    /// Where the file is in the home.
    pub const PATH: &'static str = ".config/pilot/gateway-key";

    /// With a text of its own.
    pub fn new() -> Arc<Self> {
        let boot = Self { canary: Mutex::default() };
        boot.change();
        Arc::new(boot)
    }

    /// The text.
    pub fn canary(&self) -> String {
        self.canary.lock().unwrap().clone()
    }

    /// Another text from now on.
    pub fn change(&self) {
        *self.canary.lock().unwrap() = format!("canary-{}", RuntimeId::random());
    }
}

#[async_trait]
impl BootSource for CanaryBootFiles {
    async fn boot_files(&self, _runtime: &RuntimeId) -> Result<Vec<BootFile>> {
        Ok(vec![BootFile { path: Self::PATH.to_owned(), content: self.canary().into_bytes() }])
    }
}

/// Runs a case and leaves nothing behind, whether it passed or not.
pub async fn run<F, C>(fixture: Fixture, case: C)
where
    C: FnOnce(Arc<Fixture>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let fixture = Arc::new(fixture);
    let outcome = tokio::spawn(case(fixture.clone())).await;
    if let Some(faults) = &fixture.faults {
        faults.heal().await;
    }
    fixture.backdoor.sweep(&fixture.installation).await;
    if let Err(failed) = outcome {
        std::panic::resume_unwind(failed.into_panic());
    }
}

/// Waits until `holds` is true and fails the test when that takes longer than twenty seconds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
