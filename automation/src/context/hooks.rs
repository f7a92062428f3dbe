//! Functions of the program that the engine calls around the steps of a resource.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;

use super::Context;
use super::callbacks::Handler;
use super::connection::{refused, unreadable};
use crate::program_error::ProgramError;
use crate::setters::setters;
use crate::value::{self, Value};
use crate::wire as rpc;
use rpc::register_resource_request::ResourceHooksBinding;

/// A function to be called around steps, known to the engine by its name (Pulumi: *resource hook*).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook(String);

/// A function to be asked after a failed step (Pulumi: *error hook*).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorHook(String);

/// Which functions are called when, in order. A failure before a step fails the step; one after it is a
/// warning. Those around a delete run only in operations that run the program. (Pulumi: `hooks`)
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Hooks {
    /// Before it is made.
    pub before_create: Vec<Hook>,
    /// After it was made.
    pub after_create: Vec<Hook>,
    /// Before it is changed.
    pub before_update: Vec<Hook>,
    /// After it was changed.
    pub after_update: Vec<Hook>,
    /// Before it is deleted.
    pub before_delete: Vec<Hook>,
    /// After it was deleted.
    pub after_delete: Vec<Hook>,
    /// After any of these failed.
    pub on_error: Vec<ErrorHook>,
}

setters!(Hooks {
    before_create(Vec<Hook>),
    after_create(Vec<Hook>),
    before_update(Vec<Hook>),
    after_update(Vec<Hook>),
    before_delete(Vec<Hook>),
    after_delete(Vec<Hook>),
    on_error(Vec<ErrorHook>),
});

/// A step around which a hook is called. What does not exist at that point of the step is empty.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// Of the resource.
    pub urn: String,
    /// Empty before a create.
    pub id: String,
    /// Of the resource.
    pub name: String,
    /// `package:module:Type`
    pub resource_type: String,
    /// What is wanted.
    pub new_inputs: BTreeMap<String, Value>,
    /// What was wanted.
    pub old_inputs: BTreeMap<String, Value>,
    /// What it is, after a create or update.
    pub new_outputs: BTreeMap<String, Value>,
    /// What it was.
    pub old_outputs: BTreeMap<String, Value>,
    /// Of a failed step: `create`, `read`, `update` or `delete`.
    pub failed_operation: String,
    /// Of a failed step: all errors so far, the newest first.
    pub errors: Vec<String>,
}

impl Context {
    /// Makes a function known under a name that is unique in the program, for
    /// [`super::ResourceOptions::hooks`]. In previews it is called only when `on_preview` says so.
    pub async fn hook<F, Fut>(&self, name: &str, on_preview: bool, function: F) -> Result<Hook, ProgramError>
    where
        F: Fn(Step) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ProgramError>> + Send + 'static,
    {
        let function = Arc::new(function);
        let handler: Handler = Arc::new(move |bytes| {
            let function = Arc::clone(&function);
            Box::pin(async move {
                let request = rpc::ResourceHookRequest::decode(bytes.as_slice()).map_err(unreadable)?;
                let error = match function(step(request)).await {
                    Ok(()) => String::new(),
                    Err(error) => error.to_string(),
                };
                Ok(rpc::ResourceHookResponse { error }.encode_to_vec())
            })
        });
        let request = rpc::RegisterResourceHookRequest {
            name: name.to_owned(),
            callback: Some(self.callbacks().await?.add(handler)),
            on_dry_run: on_preview,
            ignore_errors: false,
        };
        self.inner.monitor.clone().register_resource_hook(request).await.map_err(refused)?;
        Ok(Hook(name.to_owned()))
    }

    /// Makes a function known that is asked after a failed step whether to try again: true for yes.
    pub async fn error_hook<F, Fut>(&self, name: &str, function: F) -> Result<ErrorHook, ProgramError>
    where
        F: Fn(Step) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<bool, ProgramError>> + Send + 'static,
    {
        let function = Arc::new(function);
        let handler: Handler = Arc::new(move |bytes| {
            let function = Arc::clone(&function);
            Box::pin(async move {
                let request = rpc::ErrorHookRequest::decode(bytes.as_slice()).map_err(unreadable)?;
                let response = match function(failed_step(request)).await {
                    Ok(retry) => rpc::ErrorHookResponse { error: String::new(), retry },
                    Err(error) => rpc::ErrorHookResponse { error: error.to_string(), retry: false },
                };
                Ok(response.encode_to_vec())
            })
        });
        let callback = Some(self.callbacks().await?.add(handler));
        let request = rpc::RegisterErrorHookRequest { name: name.to_owned(), callback };
        self.inner.monitor.clone().register_error_hook(request).await.map_err(refused)?;
        Ok(ErrorHook(name.to_owned()))
    }
}

pub(super) fn hooks_to_wire(hooks: Hooks) -> Option<ResourceHooksBinding> {
    let names = |hooks: Vec<Hook>| hooks.into_iter().map(|hook| hook.0).collect();
    (hooks != Hooks::default()).then(|| ResourceHooksBinding {
        before_create: names(hooks.before_create),
        after_create: names(hooks.after_create),
        before_update: names(hooks.before_update),
        after_update: names(hooks.after_update),
        before_delete: names(hooks.before_delete),
        after_delete: names(hooks.after_delete),
        on_error: hooks.on_error.into_iter().map(|hook| hook.0).collect(),
    })
}

pub(super) fn hooks_from_wire(hooks: Option<ResourceHooksBinding>) -> Hooks {
    let Some(hooks) = hooks else { return Hooks::default() };
    let named = |names: Vec<String>| names.into_iter().map(Hook).collect();
    Hooks {
        before_create: named(hooks.before_create),
        after_create: named(hooks.after_create),
        before_update: named(hooks.before_update),
        after_update: named(hooks.after_update),
        before_delete: named(hooks.before_delete),
        after_delete: named(hooks.after_delete),
        on_error: hooks.on_error.into_iter().map(ErrorHook).collect(),
    }
}

fn step(request: rpc::ResourceHookRequest) -> Step {
    Step {
        urn: request.urn,
        id: request.id,
        name: request.name,
        resource_type: request.r#type,
        new_inputs: value::properties_of(request.new_inputs.as_ref()),
        old_inputs: value::properties_of(request.old_inputs.as_ref()),
        new_outputs: value::properties_of(request.new_outputs.as_ref()),
        old_outputs: value::properties_of(request.old_outputs.as_ref()),
        failed_operation: String::new(),
        errors: Vec::new(),
    }
}

fn failed_step(request: rpc::ErrorHookRequest) -> Step {
    Step {
        urn: request.urn,
        id: request.id,
        name: request.name,
        resource_type: request.r#type,
        new_inputs: value::properties_of(request.new_inputs.as_ref()),
        old_inputs: value::properties_of(request.old_inputs.as_ref()),
        new_outputs: BTreeMap::new(),
        old_outputs: value::properties_of(request.old_outputs.as_ref()),
        failed_operation: request.failed_operation,
        errors: request.errors,
    }
}
