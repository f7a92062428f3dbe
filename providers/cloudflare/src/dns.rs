//! `pilot:cloudflare:DnsRecord`: one record of a zone. Its comment says whose it is; a record that says the
//! same and is not ours is used as it is, and never changed or deleted.

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
use crate::declare::DNS_RECORD;
use crate::failure::is_identical_record;
use crate::owner::must_be;

/// In seconds; 1 would let Cloudflare choose.
const TTL: u32 = 120;

pub(crate) struct DnsRecordResource {
    pub cloud: Arc<Cloud>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Inputs {
    zone: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    content: String,
    installation: InstallationId,
}

impl Inputs {
    fn comment(&self) -> String {
        format!("pilot-installation:{}", self.installation)
    }

    fn body(&self) -> Value {
        let (kind, name, content) = (&self.kind, &self.name, &self.content);
        json!({"type": kind, "name": name, "content": content, "ttl": TTL, "comment": self.comment()})
    }

    /// The id holds the zone's, because records are read below their zone.
    fn outputs(&self, id: &str) -> Properties {
        properties_with(self, [("recordId", id.into())])
    }
}

impl DnsRecordResource {
    async fn zone(&self, name: &str) -> Result<String> {
        let call = Call::get("/zones").query("name", name).query("per_page", "1");
        let zones = self.cloud.api.result(&self.cloud.config, "look for the zone", call).await?;
        zones[0]["id"].as_str().map(str::to_owned).ok_or_else(|| {
            let message = format!("the account has no zone {name}");
            ProviderError::new(ErrorCode::ProviderNotConfigured, message)
                .with_action("Correct the setting dnsZone, or let the token read and edit that zone.")
        })
    }

    async fn find(&self, zone: &str, inputs: &Inputs) -> Result<Option<Value>> {
        let call = Call::get(format!("/zones/{zone}/dns_records"))
            .query("type", &inputs.kind)
            .query("name", &inputs.name)
            .query("content", &inputs.content);
        let found = self.cloud.api.result(&self.cloud.config, "look for the DNS record", call).await?;
        Ok(found.get(0).cloned())
    }

    async fn one(&self, id: &str) -> Result<Option<Value>> {
        let Some((zone, record)) = id.split_once('/') else { return Ok(None) };
        let call = Call::get(format!("/zones/{zone}/dns_records/{record}"));
        self.cloud.api.found(&self.cloud.config, "read the DNS record", call).await
    }
}

#[async_trait]
impl Resource for DnsRecordResource {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: DNS_RECORD,
            description: "A DNS record of a zone at Cloudflare.",
            inputs: vec![
                Property::required("zone", PropertyType::String, "The zone's domain.")
                    .replaces()
                    .example("example.com"),
                Property::required("name", PropertyType::String, "The whole name of the record.")
                    .replaces()
                    .example("*.ws.example.com"),
                Property::required("type", PropertyType::String, "For example CNAME.")
                    .replaces()
                    .example("CNAME"),
                Property::required("content", PropertyType::String, "What it says.")
                    .replaces()
                    .example("gateway.example.com"),
                installation_property(),
            ],
            outputs: vec![Property::required(
                "recordId",
                PropertyType::String,
                "Zone and record at Cloudflare.",
            )],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        must_be(self.cloud.config.installation()?, &inputs.installation, "DNS record")?;
        let zone = self.zone(&inputs.zone).await?;
        // Cloudflare refuses an identical record, so a lost answer makes no second one.
        let call = Call::post(format!("/zones/{zone}/dns_records")).json(inputs.body()).repeatable();
        let record = match self.cloud.api.ask(&self.cloud.config, call).await {
            Ok(record) => Some(record),
            Err(asked) if asked.is(is_identical_record) => self.find(&zone, &inputs).await?,
            Err(asked) => return Err(asked.into_error("create the DNS record")),
        };
        let Some(record) = record.as_ref().and_then(|record| record["id"].as_str()) else {
            let message = format!("Cloudflare has the DNS record {} and does not list it", inputs.name);
            return Err(ProviderError::unknown(ErrorCode::ProviderFailed, message)
                .with_action("Try again in a minute."));
        };
        let id = format!("{zone}/{record}");
        Ok(Created { outputs: inputs.outputs(&id), id })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let Some(found) = self.one(&request.id).await? else { return Ok(None) };
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        let known: Option<Inputs> = parse(&request.inputs).ok();
        let inputs = Inputs {
            zone: known.map(|inputs| inputs.zone).unwrap_or_else(|| text("zone_name")),
            name: text("name"),
            kind: text("type"),
            content: text("content"),
            installation: self.cloud.config.installation()?.clone(),
        };
        let outputs = inputs.outputs(&request.id);
        Ok(Some(ReadState { inputs: properties(&inputs), outputs, id: request.id }))
    }

    /// Every input replaces.
    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        Ok(parse::<Inputs>(&request.new_inputs)?.outputs(&request.id))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let inputs: Inputs = parse(&request.inputs)?;
        must_be(self.cloud.config.installation()?, &inputs.installation, "DNS record")?;
        let Some((zone, record)) = request.id.split_once('/') else { return Ok(()) };
        match self.one(&request.id).await? {
            Some(found) if found["comment"] == inputs.comment() => {}
            _ => return Ok(()),
        }
        let call = Call::delete(format!("/zones/{zone}/dns_records/{record}"));
        self.cloud.api.found(&self.cloud.config, "delete the DNS record", call).await.map(drop)
    }
}
