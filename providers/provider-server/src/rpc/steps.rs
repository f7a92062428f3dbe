//! What is done with one resource, translated to the traits of `provider-api`. No decision is made here.

use std::time::Duration;

use provider_api::{CreateRequest, DeleteRequest, DiffRequest, ReadRequest, ResourceSchema, UpdateRequest};
use rpc::property_diff::Kind;
use tracing::Instrument as _;

use super::*;
use crate::calls::Call;
use crate::convert::WireProperties;
use crate::failure;
use crate::ownership::must_be_of;

impl Service {
    pub(super) fn check_step(
        &self,
        registry: &Registry,
        request: rpc::CheckRequest,
    ) -> Result<rpc::CheckResponse, Status> {
        let of = registry.get(&request.r#type, &request.urn)?;
        let inputs = WireProperties::read(request.news.as_ref()).normalized(&of.schema);
        let unknown = inputs.unknown();
        let mut found = of.resource.check(&inputs.plain());
        found.retain(|failure| !unknown.contains(&failure.property));
        Ok(rpc::CheckResponse { inputs: Some(inputs.write()), failures: failures(found) })
    }

    pub(super) fn diff_step(
        &self,
        registry: &Registry,
        request: rpc::DiffRequest,
    ) -> Result<rpc::DiffResponse, Status> {
        let of = registry.get(&request.r#type, &request.urn)?;
        let news = WireProperties::read(request.news.as_ref());
        let old_inputs = WireProperties::read(request.old_inputs.as_ref()).plain();
        let new_inputs = news.plain();
        let mut diff = of.resource.diff(&DiffRequest {
            id: request.id,
            old_inputs: old_inputs.clone(),
            old_outputs: WireProperties::read(request.olds.as_ref()).plain(),
            new_inputs: new_inputs.clone(),
        });
        let unknown = news.unknown();
        diff.changed.extend(unknown.iter().cloned());
        diff.changed.sort();
        diff.changed.dedup();
        diff.changed.retain(|property| !request.ignore_changes.contains(property));
        diff.replaces.retain(|property| diff.changed.contains(property));
        let detail = |property: &String| {
            let replace = diff.replaces.contains(property);
            let there = new_inputs.contains_key(property) || unknown.contains(property);
            let kind = match (old_inputs.contains_key(property), there, replace) {
                (false, _, false) => Kind::Add,
                (false, _, true) => Kind::AddReplace,
                (true, false, false) => Kind::Delete,
                (true, false, true) => Kind::DeleteReplace,
                (true, true, false) => Kind::Update,
                (true, true, true) => Kind::UpdateReplace,
            };
            (property.clone(), rpc::PropertyDiff { kind: kind.into(), input_diff: true })
        };
        let changes = if diff.changed.is_empty() { DiffChanges::DiffNone } else { DiffChanges::DiffSome };
        let stays = |property: &&provider_api::Property| {
            property.replaces && !diff.changed.iter().any(|changed| changed == property.name)
        };
        Ok(rpc::DiffResponse {
            detailed_diff: diff.changed.iter().map(detail).collect(),
            has_detailed_diff: true,
            changes: changes.into(),
            stables: of.schema.inputs.iter().filter(stays).map(|input| input.name.to_owned()).collect(),
            delete_before_replace: !diff.replaces.is_empty(),
            diffs: diff.changed,
            replaces: diff.replaces,
        })
    }

    pub(super) async fn create_step(
        &self,
        registry: &Registry,
        request: rpc::CreateRequest,
    ) -> Result<rpc::CreateResponse, Status> {
        let of = registry.get(&request.r#type, &request.urn)?;
        let inputs = WireProperties::read(request.properties.as_ref());
        if request.preview {
            let properties = Some(inputs.previewed(&of.schema));
            return Ok(rpc::CreateResponse { properties, ..Default::default() });
        }
        let timeout = limit(request.timeout);
        let fence = self.fences.of(&request.urn);
        let create = CreateRequest { urn: request.urn.clone(), inputs: inputs.plain(), timeout, fence };
        let guard = registry.guard(&of);
        let work = async move {
            must_be_of(&create.urn, &create.inputs)?;
            guard.pass(&create.inputs).await?;
            of.resource.create(create).await
        };
        let result = self.change("create", &of.schema, &request.urn, timeout, work).await;
        let created = self.settle(&request.urn, result, &inputs, &of.schema)?;
        let properties = Some(inputs.outputs(&of.schema, created.outputs));
        Ok(rpc::CreateResponse { id: created.id, properties, refresh_before_update: false })
    }

    pub(super) async fn read_step(
        &self,
        registry: &Registry,
        request: rpc::ReadRequest,
    ) -> Result<rpc::ReadResponse, Status> {
        let of = registry.get(&request.r#type, &request.urn)?;
        let inputs = WireProperties::read(request.inputs.as_ref());
        let outputs = WireProperties::read(request.properties.as_ref()).plain();
        let read = ReadRequest { id: request.id, inputs: inputs.plain(), outputs };
        let guard = registry.guard(&of);
        let work = async move {
            guard.pass(&read.inputs).await?;
            of.resource.read(read).await
        };
        let result = self.call("read", &of.schema, &request.urn, None, work).await;
        // An object that is not well is no failure of this call.
        let told = result.map_err(|error| failure::status_of_read(&error, &inputs, &of.schema))?;
        let Some(state) = told else {
            // An empty id tells the engine that the object is gone.
            return Ok(rpc::ReadResponse::default());
        };
        Ok(rpc::ReadResponse {
            id: state.id,
            properties: Some(inputs.outputs(&of.schema, state.outputs)),
            inputs: Some(inputs.outputs(&of.schema, state.inputs)),
            refresh_before_update: false,
        })
    }

    pub(super) async fn update_step(
        &self,
        registry: &Registry,
        request: rpc::UpdateRequest,
    ) -> Result<rpc::UpdateResponse, Status> {
        let of = registry.get(&request.r#type, &request.urn)?;
        let inputs = WireProperties::read(request.news.as_ref());
        let olds = WireProperties::read(request.olds.as_ref());
        if request.preview {
            let properties = Some(inputs.previewed_over(&olds, &of.schema));
            return Ok(rpc::UpdateResponse { properties, refresh_before_update: false });
        }
        let update = UpdateRequest {
            id: request.id,
            urn: request.urn.clone(),
            old_inputs: WireProperties::read(request.old_inputs.as_ref()).plain(),
            old_outputs: olds.plain(),
            new_inputs: inputs.plain(),
            fence: self.fences.of(&request.urn),
        };
        let guard = registry.guard(&of);
        let work = async move {
            must_be_of(&update.urn, &update.old_inputs)?;
            must_be_of(&update.urn, &update.new_inputs)?;
            guard.pass(&update.new_inputs).await?;
            of.resource.update(update).await
        };
        let result = self.change("update", &of.schema, &request.urn, limit(request.timeout), work).await;
        let outputs = self.settle(&request.urn, result, &inputs, &of.schema)?;
        let properties = Some(inputs.outputs(&of.schema, outputs));
        Ok(rpc::UpdateResponse { properties, refresh_before_update: false })
    }

    pub(super) async fn delete_step(
        &self,
        registry: &Registry,
        request: rpc::DeleteRequest,
    ) -> Result<(), Status> {
        let of = registry.get(&request.r#type, &request.urn)?;
        let inputs = WireProperties::read(request.old_inputs.as_ref());
        let delete = DeleteRequest {
            id: request.id,
            urn: request.urn.clone(),
            inputs: inputs.plain(),
            outputs: WireProperties::read(request.properties.as_ref()).plain(),
            fence: self.fences.of(&request.urn),
        };
        let guard = registry.guard(&of);
        let work = async move {
            must_be_of(&delete.urn, &delete.inputs)?;
            guard.pass(&delete.inputs).await?;
            of.resource.delete(delete).await
        };
        let result = self.change("delete", &of.schema, &request.urn, limit(request.timeout), work).await;
        self.settle(&request.urn, result, &inputs, &of.schema)
    }

    /// What changes something: only while it may.
    async fn change<T: Send + 'static>(
        &self,
        method: &'static str,
        schema: &ResourceSchema,
        urn: &str,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T, ProviderError>> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let (fences, of) = (Arc::clone(&self.fences), urn.to_owned());
        let work = async move {
            fences.must_hold(&of)?;
            work.await
        };
        self.call(method, schema, urn, limit, work).await
    }

    /// The module's work, as a part of the operation that the engine does on the stack.
    async fn call<T: Send + 'static>(
        &self,
        method: &'static str,
        schema: &ResourceSchema,
        urn: &str,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T, ProviderError>> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let work = Call::resource(schema.token, method).traced(work);
        self.detached.run(urn, limit, work.instrument(self.fences.span_of(urn))).await
    }

    fn settle<T>(
        &self,
        urn: &str,
        result: Result<T, ProviderError>,
        inputs: &WireProperties,
        schema: &ResourceSchema,
    ) -> Result<T, Status> {
        self.failures.note(urn, &result);
        result.map_err(|error| failure::status(&error, inputs, schema))
    }
}

/// The engine's limit in seconds; 0 is none. What no clock can measure is none either.
fn limit(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_makes_no_sense_is_none() {
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(limit(seconds), None, "{seconds}");
        }
        assert_eq!(limit(1.5), Some(Duration::from_millis(1500)));
    }
}
