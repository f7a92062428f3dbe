//! `pilot:cloudflare:Worker`: the script of an installation, with its classes and its secret. There is one,
//! and a new version of Pilot uploads a new one in its place; objects and containers stay. Who comes late leaves the newer one as
//! it is: the script's migration tag keeps the fence, and Cloudflare compares it (`worker/mark.rs`).

use std::sync::Arc;

use async_trait::async_trait;
use contracts::{ErrorCode, InstallationId};
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ProviderError, ReadRequest,
    ReadState, Resource, ResourceSchema, Result, UpdateRequest,
};
use provider_http::{Call, Part};
use provider_kit::inputs::installation_property;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Cloud;
use crate::api::Api;
use crate::config::Identity;
use crate::declare::WORKER;
use crate::failure::is_no_script;
use crate::owner::{Tags, foreign, must_be};
use mark::Mark;

pub(crate) mod bundle;
mod mark;

pub(crate) struct WorkerResource {
    pub cloud: Arc<Cloud>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Inputs {
    script: String,
    installation: InstallationId,
    version: String,
    keys: String,
}

/// A script of ours, as it is.
struct Found {
    tags: Tags,
    mark: Mark,
}

impl WorkerResource {
    fn path(&self, rest: &str) -> Result<String> {
        Api::path(&self.cloud.config, rest)
    }

    /// The script, if there is one; an error if it is another's.
    async fn find(&self, script: &str, installation: Option<&InstallationId>) -> Result<Option<Found>> {
        let call = Call::get(self.path(&format!("/workers/services/{script}"))?);
        let service = match self.cloud.api.ask(&self.cloud.config, call).await {
            Ok(service) => service,
            Err(asked) if asked.is(is_no_script) => return Ok(None),
            Err(asked) => return Err(asked.into_error("look for the Worker")),
        };
        let known = &service["default_environment"]["script"];
        let tags = Tags::of(&known["tags"]).ok_or_else(|| foreign("Worker script", script, None))?;
        if installation.is_some_and(|ours| *ours.as_str() != tags.installation) {
            return Err(foreign("Worker script", script, Some(&tags.installation)));
        }
        Ok(Some(Found { tags, mark: Mark::of(known["migration_tag"].as_str()) }))
    }

    /// Looks and uploads, unless somebody with a higher fence has done so. Where another was faster, it looks again.
    async fn upload(&self, identity: &Identity, inputs: &Inputs, fence: Option<u64>) -> Result<()> {
        let mut attempt = 1;
        loop {
            let found = self.find(&inputs.script, Some(&inputs.installation)).await?;
            let mark = found.map(|found| found.mark).unwrap_or_default();
            mark.pass(fence, &inputs.script)?;
            let parts = self.parts(identity, inputs, mark.migrations(fence));
            let upload = Call::put(self.path(&format!("/workers/scripts/{}", inputs.script))?).form(parts);
            match self.cloud.api.ask(&self.cloud.config, upload).await {
                Ok(_) => return Ok(()),
                // Also this call itself may have been the other one: its answer was lost, and it was sent again.
                Err(asked)
                    if asked.is(|failure| crate::failure::number(failure) == STALE_MIGRATION)
                        && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                Err(asked) => return Err(asked.into_error("upload the Worker")),
            }
        }
    }

    /// Uploads the script, makes its classes if that was not done, and opens its host name.
    async fn put(&self, inputs: &Inputs, fence: Option<u64>) -> Result<Properties> {
        let config = &self.cloud.config;
        let identity = config.identity()?;
        must_be(&identity.installation, &inputs.installation, "Worker script")?;
        self.upload(identity, inputs, fence).await?;
        match config.settings.get("host") {
            Some(host) => self.cloud.open_domain(host, &inputs.script).await?,
            None => {
                let open = Call::post(self.path(&format!("/workers/scripts/{}/subdomain", inputs.script))?)
                    .json(json!({"enabled": true, "previews_enabled": false}))
                    .repeatable();
                self.cloud.api.result(config, "open the Worker's host name", open).await?;
            }
        }
        let outputs = self.outputs(inputs).await?;
        // From here on it exists and must stay owned. A new host name is known after seconds, or minutes.
        let partial = |error: ProviderError| error.partial(&inputs.script, outputs.clone());
        self.cloud.appears().await.map_err(partial)?;
        Ok(outputs)
    }

    fn parts(&self, identity: &Identity, inputs: &Inputs, migrations: Value) -> Vec<Part> {
        let tags = Tags {
            installation: inputs.installation.to_string(),
            version: inputs.version.clone(),
            keys: inputs.keys.clone(),
        };
        let object = |name: &str, class: &str| json!({"name": name, "type": "durable_object_namespace", "class_name": class});
        let text = |name: &str, text: &str| json!({"name": name, "type": "plain_text", "text": text});
        let metadata = json!({
            "main_module": bundle::MAIN,
            "compatibility_date": bundle::COMPATIBILITY_DATE,
            "compatibility_flags": [],
            "tags": tags.list(),
            "migrations": migrations,
            "containers": [{"class_name": bundle::RUNTIME_CLASS}],
            "bindings": [
                object("RUNTIMES", bundle::RUNTIME_CLASS),
                object("INDEX", bundle::INDEX_CLASS),
                text("INSTALLATION", inputs.installation.as_str()),
                text("GATEWAY_KEY", identity.gateway_key.trim()),
                {"name": "CONTROL_KEY", "type": "secret_text", "text": identity.control_key.text()},
            ],
        });
        let module = |(name, text): (&str, &str)| Part {
            name: name.to_owned(),
            file: Some(name.to_owned()),
            media_type: "application/javascript+module",
            content: text.as_bytes().to_vec(),
        };
        let metadata = Part {
            name: "metadata".to_owned(),
            file: None,
            media_type: "application/json",
            content: metadata.to_string().into_bytes(),
        };
        std::iter::once(metadata).chain(bundle::MODULES.into_iter().map(module)).collect()
    }

    async fn outputs(&self, inputs: &Inputs) -> Result<Properties> {
        let host = self.cloud.api.host(&self.cloud.config).await?;
        let namespace = self.namespace(&inputs.script).await?;
        Ok(properties_with(inputs, [("host", host.into()), ("namespaceId", namespace.into())]))
    }

    async fn namespace(&self, script: &str) -> Result<String> {
        let call = Call::get(self.path("/workers/durable_objects/namespaces")?).query("per_page", "1000");
        let all = self.cloud.api.result(&self.cloud.config, "list Durable Object namespaces", call).await?;
        let ours = |each: &&Value| each["script"] == script && each["class"] == bundle::RUNTIME_CLASS;
        let found = all.as_array().and_then(|all| all.iter().find(ours)?["id"].as_str());
        found.map(str::to_owned).ok_or_else(|| {
            let message = format!("Cloudflare lists no namespace of {} for {script}", bundle::RUNTIME_CLASS);
            ProviderError::new(ErrorCode::ProviderFailed, message).with_action("Try again in a minute.")
        })
    }
}

/// "Actor migration tag precondition failed."
const STALE_MIGRATION: u64 = 10079;
/// A look may be older than what was uploaded just now.
const ATTEMPTS: u32 = 3;

#[async_trait]
impl Resource for WorkerResource {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: WORKER,
            description: "The Worker script of an installation: the way to all of its runtimes.",
            inputs: vec![
                Property::required("script", PropertyType::String, "The name of the script.")
                    .replaces()
                    .example("pilot-in-fedcba9876543210"),
                installation_property(),
                Property::required("version", PropertyType::String, "A fingerprint of its source.")
                    .example("1f0c9a41"),
                Property::required("keys", PropertyType::String, "A fingerprint of the keys that it trusts.")
                    .example("9b2d6e70"),
            ],
            outputs: vec![
                Property::required("host", PropertyType::String, "Its host name."),
                Property::required(
                    "namespaceId",
                    PropertyType::String,
                    "The Durable Object namespace of the runtimes.",
                ),
            ],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        let outputs = self.put(&inputs, request.fence).await?;
        Ok(Created { id: inputs.script, outputs })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let known: Option<Inputs> = request.known()?;
        let owner = known.as_ref().map(|inputs| &inputs.installation);
        let Some(Found { tags, .. }) = self.find(&request.id, owner).await? else { return Ok(None) };
        let installation =
            tags.installation.parse().map_err(|_| foreign("Worker script", &request.id, None))?;
        let inputs =
            Inputs { script: request.id.clone(), installation, version: tags.version, keys: tags.keys };
        let outputs = self.outputs(&inputs).await?;
        Ok(Some(ReadState { id: request.id, inputs: properties(&inputs), outputs }))
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        self.put(&parse(&request.new_inputs)?, request.fence).await
    }

    /// With all runtimes of the installation, so this comes last.
    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let inputs: Inputs = parse(&request.inputs)?;
        let Some(found) = self.find(&inputs.script, Some(&inputs.installation)).await? else {
            return Ok(());
        };
        found.mark.pass(request.fence, &inputs.script)?;
        if let Some(host) = self.cloud.config.settings.get("host") {
            self.cloud.close_domain(host, &inputs.script).await?;
        }
        let path = self.path(&format!("/workers/scripts/{}", inputs.script))?;
        let call = Call::delete(path).query("force", "true");
        match self.cloud.api.ask(&self.cloud.config, call).await {
            Ok(_) => Ok(()),
            Err(asked) if asked.is(is_no_script) => Ok(()),
            Err(asked) => Err(asked.into_error("delete the Worker")),
        }
    }
}
