//! `pilot:fly:App`: the app of one runtime, with a network that nobody else is in and, where the gateway
//! is outside, an address.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::ErrorCode;
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ProviderError, ReadRequest,
    ReadState, Resource, ResourceSchema, Result, RuntimeRef, UpdateRequest,
};
use provider_kit::inputs::Owned;
use provider_kit::wait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::declare::APP;
use crate::failure;
use crate::fly::Fly;
use crate::instance::{Instance, PAUSE};
use crate::names;
use crate::owned::reach_property;
use crate::settings::Reach;
use crate::wire;

pub(crate) struct AppResource {
    pub fly: Arc<Fly>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Inputs {
    #[serde(flatten)]
    owned: Owned,
    /// `None` in programs that were written before it was an input; then the setting says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reach: Option<Reach>,
}

impl Inputs {
    fn outputs(&self) -> Properties {
        let name = names::app(&self.owned.runtime_id);
        let network = names::network(&self.owned.runtime());
        properties_with(self, [("name", name.into()), ("network", network.into())])
    }
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
                Err(names::object("app", &name).foreign(None::<&str>).with_request_id(error.request_id))
            }
            (_, Some(error)) => Err(error),
            (Err(unread), None) => Err(failure::error(unread, "read the app")),
        }
    }

    async fn reachable(&self, app: &str, inputs: &Inputs) -> Result<()> {
        let reach = inputs.reach.map_or_else(|| self.fly.reach(), Ok)?;
        self.fly.ensure_address(app, reach).await
    }

    /// Waits until Fly, which deletes after it has said yes, knows the app no more.
    async fn is_gone(&self, app: &str) -> Result<()> {
        let deadline = Instant::now() + self.fly.timing.settle;
        let gone = wait::until(deadline, PAUSE, || async {
            let found = self.fly.client()?.app(app).await;
            let found = failure::optional(found, "look whether the app is gone")?;
            Ok::<_, ProviderError>(found.is_none().then_some(()))
        });
        gone.await?.ok_or_else(|| {
            let message = format!("Fly has taken the order to delete the app {app} and still has it");
            ProviderError::unknown(ErrorCode::ProviderTimeout, message)
                .with_action("Try again later; status.flyio.net tells whether it is Fly.")
        })
    }

    /// The machine knows the generation; an app without one is of none yet.
    async fn imported(&self, owner: RuntimeRef) -> Result<Owned> {
        let machine = Instance::new(&self.fly, &owner).find().await?;
        Ok(Owned::new(owner, machine.map_or(0, |machine| names::generation(&machine.metadata()))))
    }
}

#[async_trait]
impl Resource for AppResource {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: APP,
            description: "The Fly app of one runtime, with a private network of its own.",
            inputs: Owned::properties().into_iter().chain([reach_property()]).collect(),
            outputs: vec![
                Property::required("name", PropertyType::String, "The app's name at Fly."),
                Property::required("network", PropertyType::String, "The name of its private network."),
            ],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        let (name, outputs) = (names::app(&inputs.owned.runtime_id), inputs.outputs());
        self.ensure(&inputs.owned, request.fence).await?;
        // From here on the app exists and must stay owned.
        let partial = |error: ProviderError| error.partial(&name, outputs.clone());
        self.reachable(&name, &inputs).await.map_err(partial)?;
        Ok(Created { id: name, outputs })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let found = self.fly.client()?.app(&request.id).await;
        let Some(app) = failure::optional(found, "read the app")? else { return Ok(None) };
        let owner = names::owner_by_network(&app.network);
        let mut inputs = match request.known::<Inputs>()? {
            None => match owner {
                Some(owner) => Inputs { owned: self.imported(owner).await?, reach: Some(self.fly.reach()?) },
                None => return Ok(None),
            },
            Some(known) => {
                names::must_own("app", &request.id, owner, &known.owned.runtime())?;
                known
            }
        };
        // Without its address it is not reached as the input says: that is a difference, which an update mends.
        if let Some(reach) = inputs.reach
            && self.fly.address(&request.id, reach).await?.is_none()
        {
            inputs.reach = None;
        }
        Ok(Some(ReadState { id: request.id, inputs: properties(&inputs), outputs: inputs.outputs() }))
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Inputs = parse(&request.new_inputs)?;
        let (runtime, name) =
            (inputs.owned.runtime().under(request.fence), names::app(&inputs.owned.runtime_id));
        // A hint is not enough to know that it is there.
        self.fly.app_gone(&runtime);
        if !self.fly.app_is_ours(&runtime).await? {
            return Err(ProviderError::gone(("app", &request.id)));
        }
        Instance::new(&self.fly, &runtime).may_write(inputs.owned.generation).await?;
        self.reachable(&name, &inputs).await?;
        Ok(inputs.outputs())
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let owned = parse::<Inputs>(&request.inputs)?.owned.removed_under(request.fence);
        let (runtime, name) = (owned.runtime().under(request.fence), names::app(&owned.runtime_id));
        // Everything in it goes too, so a hint is not enough to know whose it is.
        self.fly.app_gone(&runtime);
        if !self.fly.app_is_ours(&runtime).await? {
            return Ok(());
        }
        Instance::new(&self.fly, &runtime).may_write(owned.generation).await?;
        self.fly.app_gone(&runtime);
        match failure::optional(self.fly.client()?.delete_app(&name).await, "delete the app")? {
            Some(()) => self.is_gone(&name).await,
            None => Ok(()),
        }
    }
}
