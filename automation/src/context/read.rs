//! Resources that exist and are not managed by the stack.

use super::Context;
use super::connection::refused;
use super::register::applied;
use super::request::place_to_wire;
use super::resource::{Resource, ResourceArgs, package_of, providers_of};
use crate::program_error::ProgramError;
use crate::value;
use crate::wire as rpc;

impl Context {
    /// Reads what exists in the cloud under this id (Pulumi: `get`). It becomes an external resource of
    /// the stack, which never changes or deletes it. The inputs are what the provider needs to find it
    /// besides the id. Of the options parent, dependencies, provider, version, download URL, additional
    /// secret outputs, package and source position count.
    ///
    /// [`ProgramError::Ended`] when there is none: the engine has told the user so.
    pub async fn read(&self, id: &str, args: ResourceArgs) -> Result<Resource, ProgramError> {
        let _underway = self.inner.requests.begin();
        let providers = providers_of(&args.options);
        let run = self.inner.request();
        let encoded = run.encode(args.inputs)?;
        let options = args.options;
        let (source_position, stack_trace) = place_to_wire(options.source_position);
        let mut dependencies = encoded.dependencies;
        dependencies.extend(run.family.expand(options.depends_on));
        let request = rpc::ReadResourceRequest {
            id: id.to_owned(),
            provider: providers.get(package_of(&args.resource_type)).cloned().unwrap_or_default(),
            r#type: args.resource_type,
            name: args.name,
            parent: options.parent.map_or_else(|| run.root.to_owned(), |parent| parent.urn),
            properties: Some(encoded.object),
            dependencies: dependencies.into_iter().collect(),
            version: options.version.unwrap_or_default(),
            plugin_download_url: options.plugin_download_url.unwrap_or_default(),
            additional_secret_outputs: options.additional_secret_outputs,
            package_ref: options.package.map(|package| package.0).unwrap_or_default(),
            accept_secrets: true,
            source_position,
            stack_trace,
            accept_resources: true,
            accepts_byte_string: true,
        };
        let parent = request.parent.clone();
        let response = self.inner.monitor.clone().read_resource(request).await.map_err(refused)?.into_inner();
        let urn = applied(response.result, response.urn)?;
        self.inner.family.add_child(&parent, &urn);
        let id = match response.id {
            // Nobody was asked: the id itself, or the provider, is not known yet.
            _ if response.unknown => String::new(),
            // Older engines tell none.
            found if found.is_empty() || value::is_unknown(&found) => id.to_owned(),
            found => found,
        };
        Ok(Resource {
            urn,
            id,
            outputs: value::properties_of(response.properties.as_ref()),
            output_dependencies: Default::default(),
            providers,
            unknown: self.is_preview() || response.unknown,
            custom: true,
        })
    }
}
