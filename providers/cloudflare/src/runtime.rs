//! `pilot:cloudflare:Runtime`: one Durable Object with its container. Each call is one signed call to the
//! Worker, which finds the object by the runtime's id; so a create that is repeated adopts.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::{ErrorCode, InstallationId, RuntimeId};
use http::Method;
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    BootFile, CreateRequest, Created, DeleteRequest, Images as _, Properties, Property, PropertyType,
    ReadRequest, ReadState, Resource, ResourceSchema, Result, UpdateRequest,
};
use provider_kit::inputs::{Git, Owned};
use provider_kit::instance::{self, Ports};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Cloud;
use crate::control::Refused;
use crate::declare::RUNTIME;
use crate::images::CloudflareImages;

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
    /// Where each start chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    /// Where files are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    home: Option<String>,
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
    pub home: Option<StateOfHome>,
}

/// What the Worker says of a home.
#[derive(Debug, Deserialize)]
pub(crate) struct StateOfHome {
    runtime: RuntimeId,
    installation: InstallationId,
    generation: u64,
}

impl StateOfHome {
    pub fn into_owned(self) -> Owned {
        Owned { runtime_id: self.runtime, installation: self.installation, generation: self.generation }
    }
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

    /// The runtime as the call says it. An image that nobody has had prepared yet is prepared, and then the call is made again.
    async fn put(&self, doing: &str, inputs: &Inputs, body: Value) -> std::result::Result<(), Refused> {
        let path = format!("/{}", inputs.owned.runtime_id);
        let first = self.cloud.control(doing, Method::PUT, &path, Some(body.clone())).await;
        let image = match (&first, &inputs.spec.image) {
            (Err(refused), Some(image)) if refused.error.code == ErrorCode::ImageMissing => image,
            _ => return first.map(drop),
        };
        CloudflareImages { cloud: self.cloud.clone() }.resolve(image).await?;
        self.cloud.control(doing, Method::PUT, &path, Some(body)).await.map(drop)
    }

    /// `fence` is null for who has none.
    fn body(inputs: &Inputs, fence: Option<u64>) -> Value {
        let mut body = json!({
            "installation": inputs.owned.installation,
            "generation": inputs.owned.generation,
            "fence": fence,
            "spec": inputs.spec,
            "env": Self::env(inputs),
        });
        if let Some(image) = &inputs.spec.image {
            body["machine"] = json!({"image": image, "instance": inputs.spec.size});
        }
        body
    }
}

#[async_trait]
impl Resource for RuntimeResource {
    fn schema(&self) -> ResourceSchema {
        let size = "Its size; that of all instances where the scheduling policy is default.";
        let [url, reference] = Git::properties();
        let url = Property { description: "Cloned into the workspace at each boot.", ..url };
        let mut inputs = Owned::properties();
        inputs.extend([
            Property::required("size", PropertyType::String, size).example("standard-1"),
            Property::optional(
                "image",
                PropertyType::String,
                "What it is made from, where the scheduling policy is durable_object.",
            )
            .example("registry.cloudflare.com/0123456789abcdef0123456789abcdef/pilot-instance@sha256:0a1b"),
            Property::optional("home", PropertyType::String, "What keeps its files, where they are kept.")
                .replaces(),
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
        let id = inputs.owned.runtime_id.to_string();
        if let Err(refused) = self.put("create the runtime", &inputs, body).await {
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

    /// Another image or size begins what runs anew. Anything else applies to the next start, and what runs goes on.
    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Inputs = parse(&request.new_inputs)?;
        let mut body = Self::body(&inputs, request.fence);
        body["update"] = true.into();
        self.put("change the runtime", &inputs, body).await?;
        self.outputs(&inputs).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let owned = parse::<Inputs>(&request.inputs)?.owned.removed_under(request.fence);
        let body = json!({
            "installation": owned.installation,
            "generation": owned.generation,
            "fence": request.fence,
        });
        let path = format!("/{}", owned.runtime_id);
        self.cloud.control("delete the runtime", Method::DELETE, &path, Some(body)).await?;
        Ok(())
    }
}

/// A runtime that another program or installation owns is not left behind by us.
fn is_ours(error: &provider_api::ProviderError) -> bool {
    !matches!(error.code, ErrorCode::Fenced | ErrorCode::ForeignObject)
}
