//! `pilot:cloudflare:Application`: the container application, that is image, size and number of all
//! instances. Image and size change by a rollout, which asks what runs to end and begins it anew.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::{ErrorCode, InstallationId};
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ProviderError, ReadRequest,
    ReadState, Resource, ResourceSchema, Result, UpdateRequest,
};
use provider_http::Call;
use provider_kit::inputs::installation_property;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Cloud;
use crate::api::Api;
use crate::config::{Policy, script};
use crate::declare::{APPLICATION, TYPES};
use crate::owner::{foreign, must_be};

pub(crate) struct ApplicationResource {
    pub cloud: Arc<Cloud>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inputs {
    name: String,
    installation: InstallationId,
    namespace_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheduling_policy: Option<String>,
    #[serde(flatten)]
    shared: Option<Shared>,
}

/// What all instances have, where the application decides it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shared {
    image: String,
    instance_type: String,
    max_instances: u64,
}

impl Inputs {
    fn policy(&self) -> &str {
        self.scheduling_policy.as_deref().unwrap_or(Policy::Default.word())
    }

    fn outputs(&self, id: &str) -> Properties {
        properties_with(self, [("applicationId", id.into())])
    }
}

impl Shared {
    fn configuration(&self) -> Value {
        json!({"image": self.image, "instance_type": self.instance_type})
    }
}

/// Absent in what older versions of Cloudflare's API tell.
fn policy_of(found: &Value) -> &str {
    found["scheduling_policy"].as_str().unwrap_or(Policy::Default.word())
}

/// It is chosen once, and nothing of an installation can be taken into another.
fn another_policy(name: &str, has: &str) -> ProviderError {
    let message = format!("the container application {name} has the scheduling policy {has} for ever");
    ProviderError::new(ErrorCode::ProviderNotConfigured, message).with_action(format!(
        "Set PILOT_CLOUDFLARE_SCHEDULING_POLICY={has}. To move: push what is to be kept, delete the workspaces of cloudflare, \
         `pilot provider teardown cloudflare`, then change the setting."
    ))
}

impl Cloud {
    /// Whether the application that is there, if one is, has the policy that is set.
    pub async fn has_policy(&self) -> Result<()> {
        let Ok(name) = self.config.script() else { return Ok(()) };
        let found = ApplicationResource::by_name(self, &name).await?;
        match found.as_ref().map(policy_of) {
            Some(has) if has != self.config.policy().word() => Err(another_policy(&name, has)),
            _ => Ok(()),
        }
    }
}

impl ApplicationResource {
    fn path(&self, rest: &str) -> Result<String> {
        Api::path(&self.cloud.config, &format!("/containers/applications{rest}"))
    }

    async fn by_name(cloud: &Cloud, name: &str) -> Result<Option<Value>> {
        let call = Call::get(Api::path(&cloud.config, "/containers/applications")?).query("name", name);
        let all = cloud.api.result(&cloud.config, "list container applications", call).await?;
        let all = all.as_array().cloned().unwrap_or_default();
        Ok(all.into_iter().find(|application| application["name"] == name))
    }

    async fn by_id(&self, id: &str) -> Result<Option<Value>> {
        let call = Call::get(self.path(&format!("/{id}"))?);
        self.cloud.api.found(&self.cloud.config, "read the container application", call).await
    }

    /// What the application's containers are made from, or will be: a rollout takes a while, and what it leads to is what was asked
    /// for.
    async fn configuration(&self, found: &Value) -> Result<Value> {
        let (Some(id), Some(rollout)) = (found["id"].as_str(), found["active_rollout_id"].as_str()) else {
            return Ok(found["configuration"].clone());
        };
        let call = Call::get(self.path(&format!("/{id}/rollouts/{rollout}"))?);
        let rollout = self.cloud.api.found(&self.cloud.config, "read the rollout", call).await?;
        Ok(rollout.map_or_else(
            || found["configuration"].clone(),
            |mut rollout| rollout["target_configuration"].take(),
        ))
    }

    /// Brings an application that exists to what the inputs say.
    async fn settle(&self, found: &Value, inputs: &Inputs) -> Result<String> {
        let name = &inputs.name;
        let id = found["id"].as_str().unwrap_or_default().to_owned();
        if found["durable_objects"]["namespace_id"] != inputs.namespace_id {
            return Err(foreign("container application", name, None));
        }
        if policy_of(found) != inputs.policy() {
            return Err(another_policy(name, policy_of(found)));
        }
        let Some(shared) = &inputs.shared else { return Ok(id) };
        let configuration = self.configuration(found).await?;
        let is_other =
            configuration["image"] != shared.image || !is_of_type(&configuration, &shared.instance_type);
        if is_other || found["max_instances"] != shared.max_instances {
            let mut change = json!({"max_instances": shared.max_instances});
            if is_other {
                change["configuration"] = shared.configuration();
            }
            let call = Call::patch(self.path(&format!("/{id}"))?).json(change).repeatable();
            self.cloud.api.result(&self.cloud.config, "change the container application", call).await?;
        }
        if is_other {
            let step = |percentage: u32| json!({"step_size": {"percentage": percentage}, "description": format!("{percentage} %")});
            let rollout = json!({
                "description": "Pilot",
                "strategy": "rolling",
                "kind": "full_auto",
                "target_configuration": shared.configuration(),
                "steps": [step(10), step(100)],
            });
            // A second rollout to the same target changes nothing.
            let call = Call::post(self.path(&format!("/{id}/rollouts"))?).json(rollout).repeatable();
            self.cloud.api.result(&self.cloud.config, "roll the image out", call).await?;
        }
        Ok(id)
    }

    async fn make(&self, inputs: &Inputs) -> Result<String> {
        if let Some(found) = Self::by_name(&self.cloud, &inputs.name).await? {
            return self.settle(&found, inputs).await;
        }
        let mut body = json!({
            "name": inputs.name,
            "scheduling_policy": inputs.policy(),
            "durable_objects": {"namespace_id": inputs.namespace_id},
        });
        if let Some(shared) = &inputs.shared {
            body["configuration"] = shared.configuration();
            body["instances"] = 0.into();
            body["max_instances"] = shared.max_instances.into();
            body["constraints"] = json!({"tiers": [1, 2]});
            body["rollout_active_grace_period"] = 0.into();
        }
        let call = Call::post(self.path("")?).json(body);
        let error =
            match self.cloud.api.result(&self.cloud.config, "create the container application", call).await {
                Ok(made) => return Ok(made["id"].as_str().unwrap_or_default().to_owned()),
                Err(error) => error,
            };
        // Made by another program meanwhile, or by us and the answer was lost.
        match Self::by_name(&self.cloud, &inputs.name).await {
            Ok(Some(found)) => self.settle(&found, inputs).await,
            _ => Err(error),
        }
    }
}

/// Cloudflare may tell a type by its measures.
fn is_of_type(configuration: &Value, name: &str) -> bool {
    if let Some(told) = configuration["instance_type"].as_str() {
        return told == name;
    }
    let measures = |each: &&crate::declare::InstanceType| {
        let millis = configuration["vcpu"].as_f64().unwrap_or_default() * 1000.0;
        (millis - f64::from(each.cpu_millis)).abs() < 1.0 && configuration["memory_mib"] == each.memory_mib
    };
    TYPES.iter().find(measures).is_some_and(|each| each.name == name)
}

#[async_trait]
impl Resource for ApplicationResource {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: APPLICATION,
            description: "The container application of an installation: image, size and number of instances.",
            inputs: vec![
                Property::required("name", PropertyType::String, "The application's name.")
                    .replaces()
                    .example("pilot-in-fedcba9876543210"),
                installation_property(),
                Property::required(
                    "namespaceId",
                    PropertyType::String,
                    "The namespace of the Durable Objects.",
                )
                .replaces()
                .example("0f2ac74b498b48028cb68387c421e279"),
                Property::optional(
                    "schedulingPolicy",
                    PropertyType::String,
                    "Who decides what a container begins with; it is chosen once. What follows is of the default one.",
                ),
                Property::optional("image", PropertyType::String, "The instance image.")
                    .example("registry.cloudflare.com/0123456789abcdef0123456789abcdef/pilot-instance:0.1.0"),
                Property::optional("instanceType", PropertyType::String, "The size of every instance.")
                    .example("standard-1"),
                Property::optional("maxInstances", PropertyType::Integer, "How many may run at once.")
                    .example("50"),
            ],
            outputs: vec![Property::required("applicationId", PropertyType::String, "Its id at Cloudflare.")],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        must_be(self.cloud.config.installation()?, &inputs.installation, "container application")?;
        let id = self.make(&inputs).await?;
        Ok(Created { outputs: inputs.outputs(&id), id })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let Some(found) = self.by_id(&request.id).await? else { return Ok(None) };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&found["name"]);
        let installation = self.cloud.config.installation()?;
        if name != script(installation) {
            return Err(foreign("container application", &name, None));
        }
        let policy = policy_of(&found);
        let is_default = policy == Policy::Default.word();
        let shared = if is_default {
            let configuration = self.configuration(&found).await?;
            let size = TYPES.iter().find(|each| is_of_type(&configuration, each.name));
            Some(Shared {
                image: text(&configuration["image"]),
                instance_type: size.map(|each| each.name.to_owned()).unwrap_or_default(),
                max_instances: found["max_instances"].as_u64().unwrap_or_default(),
            })
        } else {
            None
        };
        let inputs = Inputs {
            name,
            installation: installation.clone(),
            namespace_id: text(&found["durable_objects"]["namespace_id"]),
            scheduling_policy: (!is_default).then(|| policy.to_owned()),
            shared,
        };
        let outputs = inputs.outputs(&request.id);
        Ok(Some(ReadState { inputs: properties(&inputs), outputs, id: request.id }))
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Inputs = parse(&request.new_inputs)?;
        let Some(found) = self.by_id(&request.id).await? else {
            let message = format!("the container application {} is gone", inputs.name);
            return Err(ProviderError::new(ErrorCode::ProviderFailed, message)
                .with_action("Refresh the shared stack of cloudflare, then apply it again."));
        };
        Ok(inputs.outputs(&self.settle(&found, &inputs).await?))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let inputs: Inputs = parse(&request.inputs)?;
        must_be(self.cloud.config.installation()?, &inputs.installation, "container application")?;
        // By its name: an id of before, or of another account, says nothing about what is here.
        let Some(found) = Self::by_name(&self.cloud, &inputs.name).await? else { return Ok(()) };
        let call = Call::delete(self.path(&format!("/{}", found["id"].as_str().unwrap_or_default()))?);
        self.cloud.api.found(&self.cloud.config, "delete the container application", call).await.map(drop)
    }
}
