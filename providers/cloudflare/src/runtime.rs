//! `pilot:cloudflare:Runtime`: one Durable Object with its container. Each call is one signed call to the
//! Worker, which finds the object by the runtime's id; so a create that is repeated adopts.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::{InstallationId, RuntimeId};
use http::Method;
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    BootFile, CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ReadRequest,
    ReadState, Resource, ResourceSchema, Result, UpdateRequest,
};
use provider_kit::inputs::{Git, Owned};
use provider_kit::instance::{self, Ports};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Cloud;
use crate::declare::RUNTIME;

pub(crate) struct RuntimeResource {
    pub cloud: Arc<Cloud>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inputs {
    #[serde(flatten)]
    owned: Owned,
    #[serde(flatten)]
    spec: Spec,
}

/// What the object keeps besides its owner, and gives back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    size: String,
    #[serde(flatten)]
    git: Git,
}

/// What the Worker says of a runtime.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    pub status: String,
    pub exit_code: Option<i32>,
    runtime: Option<RuntimeId>,
    installation: Option<InstallationId>,
    generation: Option<u64>,
    spec: Option<Spec>,
}

/// Paths to base64, as the Worker hands them on to the instance.
pub(crate) fn boot(files: &[BootFile]) -> Value {
    let file = |file: &BootFile| (file.path.clone(), STANDARD.encode(&file.content).into());
    Value::Object(files.iter().map(file).collect::<Map<_, _>>())
}

impl Cloud {
    pub async fn state(&self, runtime: &RuntimeId, installation: &InstallationId) -> Result<State> {
        let path = format!("/{runtime}/state?installation={installation}");
        let state = self.control("read the runtime", Method::GET, &path, None).await?;
        parse(&properties(&state))
    }
}

impl RuntimeResource {
    fn env(inputs: &Inputs) -> BTreeMap<&'static str, String> {
        let mut env = instance::variables(&inputs.owned.runtime(), &inputs.spec.git, Ports::inside());
        env.insert(instance::GENERATION, inputs.owned.generation.to_string());
        env
    }

    async fn outputs(&self, inputs: &Inputs) -> Result<Properties> {
        let host = self.cloud.api.host(&self.cloud.config).await?;
        Ok(properties_with(inputs, [("host", host.into())]))
    }

    /// `fence` is null for who has none.
    fn body(inputs: &Inputs, fence: Option<u64>) -> Value {
        json!({
            "installation": inputs.owned.installation,
            "generation": inputs.owned.generation,
            "fence": fence,
            "spec": inputs.spec,
            "env": Self::env(inputs),
        })
    }
}

#[async_trait]
impl Resource for RuntimeResource {
    fn schema(&self) -> ResourceSchema {
        let size = "The size of all instances of the installation.";
        let [url, reference] = Git::properties();
        let url = Property { description: "Cloned into the workspace at each boot.", ..url };
        let mut inputs = Owned::properties();
        inputs.extend([
            Property::required("size", PropertyType::String, size).example("standard-1"),
            url,
            reference,
        ]);
        ResourceSchema {
            token: RUNTIME,
            description: "One runtime: a Durable Object with its container.",
            inputs,
            outputs: vec![Property::required("host", PropertyType::String, "The host name of the Worker.")],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        let files = provider_kit::boot::files(&*self.cloud.config.boot, &inputs.owned.runtime_id).await?;
        let mut body = Self::body(&inputs, request.fence);
        body["boot"] = boot(&files);
        body["start"] = true.into();
        let (id, path) = (inputs.owned.runtime_id.to_string(), format!("/{}", inputs.owned.runtime_id));
        if let Err(refused) = self.cloud.control("create the runtime", Method::PUT, &path, Some(body)).await {
            return Err(match refused.exists && is_ours(&refused.error) {
                true => refused.error.partial(&id, self.outputs(&inputs).await?),
                false => refused.error,
            });
        }
        Ok(Created { outputs: self.outputs(&inputs).await?, id })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let installation = match request.known::<Inputs>()? {
            None => self.cloud.config.installation()?.clone(),
            Some(known) => known.owned.installation,
        };
        let Ok(runtime) = request.id.parse::<RuntimeId>() else { return Ok(None) };
        let state = self.cloud.state(&runtime, &installation).await?;
        let State { runtime: Some(runtime_id), installation: Some(installation), generation, spec, .. } =
            state
        else {
            return Ok(None);
        };
        let (Some(generation), Some(spec)) = (generation, spec) else { return Ok(None) };
        let inputs = Inputs { owned: Owned { runtime_id, installation, generation }, spec };
        let outputs = self.outputs(&inputs).await?;
        Ok(Some(ReadState { inputs: properties(&inputs), outputs, id: request.id }))
    }

    /// Applies to the next start; what runs goes on.
    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Inputs = parse(&request.new_inputs)?;
        let (path, mut body) = (format!("/{}", inputs.owned.runtime_id), Self::body(&inputs, request.fence));
        body["update"] = true.into();
        self.cloud.control("change the runtime", Method::PUT, &path, Some(body)).await?;
        self.outputs(&inputs).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let inputs: Inputs = parse(&request.inputs)?;
        let body = json!({
            "installation": inputs.owned.installation,
            "generation": inputs.owned.generation,
            "fence": request.fence,
        });
        let path = format!("/{}", inputs.owned.runtime_id);
        self.cloud.control("delete the runtime", Method::DELETE, &path, Some(body)).await?;
        Ok(())
    }
}

/// A runtime that another program or installation owns is not left behind by us.
fn is_ours(error: &provider_api::ProviderError) -> bool {
    !matches!(error.code, contracts::ErrorCode::Fenced | contracts::ErrorCode::ForeignObject)
}
