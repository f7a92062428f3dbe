//! `pilot:fly:App`: the app of one runtime, with a network that nobody else is in and, where the gateway
//! is outside, an address.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::ErrorCode;
use provider_api::resource::{parse, properties};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ProviderError, ReadRequest,
    ReadState, Resource, ResourceSchema, Result, RuntimeRef, UpdateRequest,
};

use crate::declare::APP;
use crate::failure;
use crate::fly::Fly;
use crate::instance::Instance;
use crate::names;
use crate::owned::Owned;
use crate::settings::Reach;
use crate::wire;

pub(crate) struct AppResource {
    pub fly: Arc<Fly>,
}

fn outputs(owned: &Owned) -> Properties {
    let mut outputs = properties(owned);
    outputs.insert("name".to_owned(), names::app(&owned.runtime_id).into());
    outputs.insert("network".to_owned(), names::network(&owned.runtime()).into());
    outputs
}

impl AppResource {
    /// Makes the app, or finds the one that is there and in which no newer generation or higher fence works.
    async fn ensure(&self, owned: &Owned, fence: Option<u64>) -> Result<()> {
        let runtime = &owned.runtime().under(fence);
        let app = self.find_or_make(runtime).await?;
        names::must_own("app", &app.name, names::owner_by_network(&app.network), runtime)?;
        self.fly.app_seen(runtime);
        if app.machine_count == Some(0) {
            if app.volume_count == Some(0) {
                self.fly.app_is_empty(runtime);
            }
            return Ok(());
        }
        Instance::new(&self.fly, runtime).may_write(owned.generation).await
    }

    async fn find_or_make(&self, runtime: &RuntimeRef) -> Result<wire::App> {
        let (client, name) = (self.fly.client()?, names::app(&runtime.runtime_id));
        let failed = match client.create_app(runtime).await {
            Ok(app) if !app.network.is_empty() => return Ok(app),
            // Older servers answer a create with less than the whole app.
            Ok(_) => None,
            Err(failure) => Some(failure::error(failure, "create the app")),
        };
        match (client.app(&name).await, failed) {
            (Ok(app), None) => Ok(app),
            // Our key may have been forgotten since; the network says whose it is.
            (Ok(app), Some(error)) if error.code == ErrorCode::ForeignObject => Ok(app),
            (Err(_), Some(error)) if error.code == ErrorCode::ForeignObject => {
                Err(names::foreign("app", &name, None).with_request_id(error.request_id))
            }
            (_, Some(error)) => Err(error),
            (Err(unread), None) => Err(failure::error(unread, "read the app")),
        }
    }

    /// The machine knows the generation; an app without one is of none yet.
    async fn imported(&self, owner: RuntimeRef) -> Result<Owned> {
        let machine = Instance::new(&self.fly, &owner).find().await?;
        Ok(Owned::of(owner, machine.map_or(0, |machine| names::generation(&machine.metadata()))))
    }

    /// Instances that are reached through Fly's proxy need an address for it.
    async fn ensure_address(&self, app: &str) -> Result<()> {
        let kind = match self.fly.reach()? {
            Reach::Edge => "shared_v4",
            Reach::Flycast => "private_v6",
            Reach::Internal => return Ok(()),
        };
        let client = self.fly.client()?;
        let has = async || -> Result<bool> {
            let found = client.addresses(app).await;
            let addresses = found.map_err(|failure| failure::error(failure, "list the app's addresses"))?;
            let fits = |ip: &wire::Address| ip.shared || (kind == "private_v6" && ip.ip.starts_with("fdaa:"));
            Ok(addresses.iter().any(fits))
        };
        if has().await? {
            return Ok(());
        }
        match client.assign(app, kind).await {
            Ok(()) => Ok(()),
            // It may have one all the same.
            Err(failure) if failure.may_have_happened() && has().await? => Ok(()),
            Err(failure) => Err(failure::error(failure, "give the app an address")),
        }
    }
}

#[async_trait]
impl Resource for AppResource {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: APP,
            description: "The Fly app of one runtime, with a private network of its own.",
            inputs: Owned::schema(),
            outputs: vec![
                Property::required("name", PropertyType::String, "The app's name at Fly."),
                Property::required("network", PropertyType::String, "The name of its private network."),
            ],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let owned: Owned = parse(&request.inputs)?;
        let (name, outputs) = (names::app(&owned.runtime_id), outputs(&owned));
        self.ensure(&owned, request.fence).await?;
        // From here on the app exists and must stay owned.
        let partial = |error: ProviderError| error.partial(&name, outputs.clone());
        self.ensure_address(&name).await.map_err(partial)?;
        Ok(Created { id: name, outputs })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let found = self.fly.client()?.app(&request.id).await;
        let Some(app) = failure::optional(found, "read the app")? else { return Ok(None) };
        let owner = names::owner_by_network(&app.network);
        let owned = match request.inputs.is_empty() {
            true => match owner {
                Some(owner) => self.imported(owner).await?,
                None => return Ok(None),
            },
            false => {
                let known: Owned = parse(&request.inputs)?;
                names::must_own("app", &request.id, owner, &known.runtime())?;
                known
            }
        };
        Ok(Some(ReadState { id: request.id, inputs: properties(&owned), outputs: outputs(&owned) }))
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let owned: Owned = parse(&request.new_inputs)?;
        let runtime = owned.runtime().under(request.fence);
        // A hint is not enough to know that it is there.
        self.fly.app_gone(&runtime);
        if !self.fly.app_is_ours(&runtime).await? {
            return Err(ProviderError::gone(("app", &request.id)));
        }
        Instance::new(&self.fly, &runtime).may_write(owned.generation).await?;
        Ok(outputs(&owned))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let owned: Owned = parse(&request.inputs)?;
        let (runtime, name) = (owned.runtime().under(request.fence), names::app(&owned.runtime_id));
        // Everything in it goes too, so a hint is not enough to know whose it is.
        self.fly.app_gone(&runtime);
        if !self.fly.app_is_ours(&runtime).await? {
            return Ok(());
        }
        Instance::new(&self.fly, &runtime).may_write(owned.generation).await?;
        self.fly.app_gone(&runtime);
        failure::optional(self.fly.client()?.delete_app(&name).await, "delete the app").map(drop)
    }
}
