//! The Worker at a host name of the operator's: a custom domain of Cloudflare's, for which it keeps record and certificate.

use contracts::ErrorCode;
use provider_api::{ProviderError, Result};
use provider_http::Call;
use serde_json::{Value, json};

use crate::Cloud;
use crate::api::Api;
use crate::failure::number;
use crate::owner::foreign;

/// "Hostname already has externally managed DNS records."
const HAS_RECORDS: u64 = 100_117;

impl Cloud {
    fn domains(&self, rest: &str) -> Result<String> {
        Api::path(&self.config, &format!("/workers/domains{rest}"))
    }

    async fn find_domain(&self, host: &str) -> Result<Option<Value>> {
        let call = Call::get(self.domains("")?).query("hostname", host);
        let all = self.api.result(&self.config, "list the Workers' domains", call).await?;
        let all = all.as_array().cloned().unwrap_or_default();
        Ok(all.into_iter().find(|domain| domain["hostname"] == host))
    }

    /// Leads the host name to the script. A route that an operator has made, and that leads there already, is left as it is.
    pub async fn open_domain(&self, host: &str, script: &str) -> Result<()> {
        match self.find_domain(host).await? {
            Some(domain) if domain["service"] == script => return Ok(()),
            Some(domain) => return Err(foreign("domain", host, domain["service"].as_str())),
            None if self.answers().await => return Ok(()),
            None => {}
        }
        let zone = self.zone_of(host).await?;
        let body = json!({"hostname": host, "service": script, "environment": "production", "zone_id": zone});
        let call = Call::put(self.domains("")?).json(body);
        match self.api.ask(&self.config, call).await {
            Ok(_) => Ok(()),
            Err(asked) if asked.is(|failure| number(failure) == HAS_RECORDS) => {
                let message =
                    format!("{host} has DNS records already, so Cloudflare gives the Worker no domain there");
                Err(ProviderError::new(ErrorCode::ForeignObject, message).with_action(
                    "Remove those records in that zone, or choose another name in the setting host.",
                ))
            }
            Err(asked) => Err(asked.into_error("give the Worker its domain")),
        }
    }

    /// Whether the host name can be had: with its zone in the account comes its certificate.
    pub async fn may_have_domain(&self) -> Result<()> {
        match self.config.settings.get("host") {
            Some(host) => self.zone_of(host).await.map(drop),
            None => Ok(()),
        }
    }

    /// Takes it back, if it leads to the script.
    pub async fn close_domain(&self, host: &str, script: &str) -> Result<()> {
        let found = self.find_domain(host).await?.filter(|domain| domain["service"] == script);
        let Some(id) = found.as_ref().and_then(|domain| domain["id"].as_str()) else { return Ok(()) };
        let call = Call::delete(self.domains(&format!("/{id}"))?);
        self.api.found(&self.config, "remove the Worker's domain", call).await.map(drop)
    }

    /// The zone that a host name is in: that of the longest of its ends that is one.
    async fn zone_of(&self, host: &str) -> Result<String> {
        let labels: Vec<&str> = host.split('.').collect();
        for begin in 0..labels.len().saturating_sub(1) {
            let call = Call::get("/zones").query("name", labels[begin..].join(".")).query("per_page", "1");
            let zones = self.api.result(&self.config, "look for the zone", call).await?;
            if let Some(id) = zones[0]["id"].as_str() {
                return Ok(id.to_owned());
            }
        }
        let message = format!("no zone of the account has the name {host} in it");
        Err(ProviderError::new(ErrorCode::ProviderNotConfigured, message)
            .with_action("Correct the setting host, or let the token read and edit that zone."))
    }
}
