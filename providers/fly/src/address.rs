//! The address by which the gateway reaches an app: one of Fly's proxy, public or private.

use provider_api::Result;

use crate::failure::error;
use crate::fly::Fly;
use crate::settings::Reach;
use crate::wire;

impl Fly {
    /// The app's address for this way, if it has one.
    pub async fn address(&self, app: &str, reach: Reach) -> Result<Option<String>> {
        let network = self.settings.require("gatewayNetwork")?;
        let listed = self.client()?.addresses(app).await;
        let listed = listed.map_err(|failure| error(failure, "list the app's addresses"))?;
        Ok(listed.into_iter().find(|found| fits(found, reach, network)).map(|found| found.ip))
    }

    /// Gives the app its address, unless it has one.
    pub async fn ensure_address(&self, app: &str, reach: Reach) -> Result<()> {
        if self.address(app, reach).await?.is_some() {
            return Ok(());
        }
        let (kind, network) = match reach {
            Reach::Edge => ("shared_v4", None),
            Reach::Flycast => ("private_v6", Some(self.settings.require("gatewayNetwork")?)),
        };
        match self.client()?.assign(app, kind, network).await {
            Ok(()) => Ok(()),
            // It may have one all the same.
            Err(failure) if failure.may_have_happened() && self.address(app, reach).await?.is_some() => {
                Ok(())
            }
            Err(failure) => Err(error(failure, "give the app an address")),
        }
    }
}

fn fits(found: &wire::Address, reach: Reach, network: &str) -> bool {
    match reach {
        Reach::Edge => found.shared,
        Reach::Flycast => found.ip.starts_with("fdaa:") && found.network.name == network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_address_counts_in_the_gateways_network_only() {
        let private = |network: &str| {
            let json =
                serde_json::json!({"ip": "fdaa:0:1::2", "shared": false, "network": {"name": network}});
            serde_json::from_value::<wire::Address>(json).unwrap()
        };
        assert!(fits(&private("default"), Reach::Flycast, "default"));
        assert!(!fits(&private("of-the-app"), Reach::Flycast, "default"));
        assert!(!fits(&private("default"), Reach::Edge, "default"));
        let public = serde_json::json!({"ip": "66.1.2.3", "shared": true, "network": null});
        assert!(fits(&serde_json::from_value(public).unwrap(), Reach::Edge, "default"));
    }
}
