//! Changes to registrations and invokes on their way to the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;

use super::Context;
use super::callbacks::{Handler, Server};
use super::connection::{Features, refused, unreadable};
use super::hooks::{hooks_from_wire, hooks_to_wire};
use super::options::{ProviderReference, ResourceOptions, Transform, Transformed};
use super::request::{alias_from_wire, alias_to_wire, timeouts_from_wire, timeouts_to_wire};
use crate::program_error::ProgramError;
use crate::value::Input;
use crate::value::{self, Value};
use crate::wire as rpc;

/// A call of a provider's function that can still be changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TransformedInvoke {
    /// `package:module:function`; a change has no effect.
    pub token: String,
    /// The arguments.
    pub args: BTreeMap<String, Value>,
    /// The provider to ask.
    pub provider: Option<ProviderReference>,
    /// Of the provider's plugin; empty for any.
    pub version: String,
    /// Where the plugin is downloaded from; empty for the usual place.
    pub plugin_download_url: String,
}

impl Context {
    /// Changes every registration of the stack from now on (Pulumi: *stack transform*). The transforms of
    /// a resource itself come first, those of the stack last.
    pub async fn transform(&self, transform: Transform) -> Result<(), ProgramError> {
        let callback = self.callbacks().await?.add(handler(&transform, self.inner.features));
        self.inner.monitor.clone().register_stack_transform(callback).await.map_err(refused)?;
        Ok(())
    }

    /// Changes every call of a provider's function from now on (Pulumi: *invoke transform*).
    pub async fn transform_invokes<F, Fut>(&self, change: F) -> Result<(), ProgramError>
    where
        F: Fn(TransformedInvoke) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<TransformedInvoke, ProgramError>> + Send + 'static,
    {
        let (change, features) = (Arc::new(change), self.inner.features);
        let handler: Handler = Arc::new(move |bytes| {
            let change = Arc::clone(&change);
            Box::pin(async move {
                let request = rpc::TransformInvokeRequest::decode(bytes.as_slice()).map_err(unreadable)?;
                let original = request.options.clone().unwrap_or_default();
                let changed = change(invoke_from_wire(request)).await?;
                features.check_all(&changed.args)?;
                Ok(invoke_to_wire(changed, original).encode_to_vec())
            })
        });
        let callback = self.callbacks().await?.add(handler);
        self.inner.monitor.clone().register_stack_invoke_transform(callback).await.map_err(refused)?;
        Ok(())
    }

    pub(super) async fn callbacks_of(
        &self,
        transforms: &[Transform],
    ) -> Result<Vec<rpc::Callback>, ProgramError> {
        if transforms.is_empty() {
            return Ok(Vec::new());
        }
        let server = self.callbacks().await?;
        Ok(transforms.iter().map(|transform| server.add(handler(transform, self.inner.features))).collect())
    }

    pub(super) async fn callbacks(&self) -> Result<&Server, ProgramError> {
        self.inner.callbacks.get_or_try_init(Server::start).await
    }
}

fn handler(transform: &Transform, features: Features) -> Handler {
    let transform = transform.clone();
    Arc::new(move |bytes| {
        let transform = transform.clone();
        Box::pin(async move {
            let request = rpc::TransformRequest::decode(bytes.as_slice()).map_err(unreadable)?;
            let original = request.options.clone().unwrap_or_default();
            let changed = transform.apply(from_wire(request)).await?;
            features.check_all(&changed.inputs)?;
            if let Some(trigger) = &changed.options.replacement_trigger {
                features.check("replacementTrigger", &trigger.value)?;
            }
            Ok(to_wire(changed, original).encode_to_vec())
        })
    })
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn from_wire(request: rpc::TransformRequest) -> Transformed {
    let options = request.options.unwrap_or_default();
    let trigger = options.replacement_trigger.as_ref();
    Transformed {
        resource_type: request.r#type,
        name: request.name,
        custom: request.custom,
        parent: request.parent,
        inputs: value::properties_of(request.properties.as_ref()),
        options: ResourceOptions {
            depends_on: options.depends_on.into_iter().collect(),
            protect: options.protect,
            aliases: options.aliases.into_iter().filter_map(alias_from_wire).collect(),
            ignore_changes: options.ignore_changes,
            replace_on_changes: options.replace_on_changes,
            delete_before_replace: options.delete_before_replace,
            retain_on_delete: options.retain_on_delete,
            deleted_with: some(options.deleted_with),
            replace_with: options.replace_with,
            replacement_trigger: trigger.map(|trigger| Input::from(value::from_wire(trigger))),
            import_id: some(options.import),
            custom_timeouts: timeouts_from_wire(options.custom_timeouts.as_ref()),
            provider: ProviderReference::parse(&options.provider),
            providers: options.providers.values().filter_map(|text| ProviderReference::parse(text)).collect(),
            version: some(options.version),
            plugin_download_url: some(options.plugin_download_url),
            additional_secret_outputs: options.additional_secret_outputs,
            hide_diffs: options.hide_diff,
            hooks: hooks_from_wire(options.hooks),
            ..ResourceOptions::default()
        },
    }
}

/// What has no place in [`ResourceOptions`] stays as it was.
fn to_wire(changed: Transformed, original: rpc::TransformResourceOptions) -> rpc::TransformResponse {
    let options = changed.options;
    let providers = options.providers.iter();
    rpc::TransformResponse {
        properties: Some(value::struct_of(&changed.inputs)),
        options: Some(rpc::TransformResourceOptions {
            depends_on: options.depends_on.into_iter().collect(),
            protect: options.protect,
            aliases: options.aliases.iter().map(alias_to_wire).collect(),
            ignore_changes: options.ignore_changes,
            replace_on_changes: options.replace_on_changes,
            delete_before_replace: options.delete_before_replace,
            retain_on_delete: options.retain_on_delete,
            deleted_with: options.deleted_with.unwrap_or_default(),
            replace_with: options.replace_with,
            replacement_trigger: options
                .replacement_trigger
                .map(|trigger| value::to_wire(&trigger.into_value())),
            import: options.import_id.unwrap_or_default(),
            custom_timeouts: timeouts_to_wire(options.custom_timeouts),
            provider: options.provider.map(|provider| provider.to_string()).unwrap_or_default(),
            providers: providers.map(|one| (one.package().to_owned(), one.to_string())).collect(),
            version: options.version.unwrap_or_default(),
            plugin_download_url: options.plugin_download_url.unwrap_or_default(),
            additional_secret_outputs: options.additional_secret_outputs,
            hide_diff: options.hide_diffs,
            hooks: hooks_to_wire(options.hooks),
            ..original
        }),
    }
}

fn invoke_from_wire(request: rpc::TransformInvokeRequest) -> TransformedInvoke {
    let options = request.options.unwrap_or_default();
    TransformedInvoke {
        token: request.token,
        args: value::properties_of(request.args.as_ref()),
        provider: ProviderReference::parse(&options.provider),
        version: options.version,
        plugin_download_url: options.plugin_download_url,
    }
}

fn invoke_to_wire(
    changed: TransformedInvoke,
    original: rpc::TransformInvokeOptions,
) -> rpc::TransformInvokeResponse {
    rpc::TransformInvokeResponse {
        args: Some(value::struct_of(&changed.args)),
        options: Some(rpc::TransformInvokeOptions {
            provider: changed.provider.map(|provider| provider.to_string()).unwrap_or_default(),
            version: changed.version,
            plugin_download_url: changed.plugin_download_url,
            ..original
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transform_that_changes_nothing_sends_back_what_it_was_sent() {
        let options = rpc::TransformResourceOptions {
            depends_on: vec!["urn:a".to_owned()],
            protect: Some(false),
            version: "1.0.0".to_owned(),
            provider: "urn:pulumi:s::p::pulumi:providers:cloud::mine::7".to_owned(),
            plugin_checksums: [("linux-amd64".to_owned(), vec![1])].into_iter().collect(),
            delete_before_replace: Some(true),
            ..Default::default()
        };
        let inputs = BTreeMap::from([("secret".to_owned(), Value::secret("x"))]);
        let request = rpc::TransformRequest {
            properties: Some(value::struct_of(&inputs)),
            options: Some(options.clone()),
            ..Default::default()
        };
        let response = to_wire(from_wire(request.clone()), options.clone());
        assert_eq!(response.properties, request.properties);
        assert_eq!(response.options, Some(options));
    }
}
