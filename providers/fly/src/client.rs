//! Every call to Fly that this module makes, each with the class that Fly limits it under.

mod machines;

use std::num::NonZeroU32;
use std::time::Duration;

use provider_api::{ProviderError, Result, RuntimeRef};
use provider_http::{Access, Call, Failure, Pace, Rate, Vendor, VendorConfig};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::settings::Config;
use crate::{Timing, names, wire};

pub(crate) use machines::Timeout;

pub(crate) type Answer<T> = std::result::Result<T, Failure>;

/// Most of what the vendor lets through at once, and a little slower than its rate: two clocks count.
const EACH: (Duration, u32) = (Duration::from_millis(1050), 3);
const CLASSES: [(&str, (Duration, u32)); 24] = [
    ("app_create", EACH),
    ("app_get", EACH),
    ("app_list", EACH),
    ("app_delete", (Duration::from_millis(620), 50)),
    ("ip_list", EACH),
    ("ip_assign", EACH),
    ("secret_list", EACH),
    ("secret_update", EACH),
    ("volume_list", EACH),
    ("volume_create", EACH),
    ("volume_extend", EACH),
    ("volume_delete", EACH),
    ("snapshot_list", EACH),
    ("snapshot_create", EACH),
    ("machine_list", EACH),
    ("machine_create", EACH),
    ("machine_get", (Duration::from_millis(210), 10)),
    ("machine_update", EACH),
    ("machine_start", EACH),
    ("machine_stop", EACH),
    ("machine_suspend", EACH),
    ("machine_destroy", EACH),
    ("machine_wait", EACH),
    ("platform", EACH),
];

pub(crate) struct Client {
    vendor: Vendor,
    org: String,
    call: Duration,
}

impl Client {
    pub fn new(config: &Config, timing: Timing) -> Result<Self> {
        // A macaroon has a scheme of its own; every other token is a bearer's.
        let access = match config.token.starts_with("FlyV1 ") {
            true => Access::header(config.token.clone()),
            false => Access::bearer(&config.token),
        };
        let rate = |(class, (interval, burst)): (&'static str, (Duration, u32))| {
            let interval = interval / timing.rates?.max(1);
            Some((class, Rate { interval, burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN) }))
        };
        let vendor = Vendor::new(VendorConfig {
            name: "Fly",
            base: config.api.clone(),
            access,
            request_id: "fly-request-id",
            words: &["/error", "/message"],
            pace: Pace::new(CLASSES.into_iter().filter_map(rate)),
            timeout: timing.timeout,
        });
        let vendor = vendor.map_err(|failure| crate::failure::error(failure, "call Fly"))?;
        Ok(Self { vendor, org: config.org.clone(), call: timing.call })
    }

    /// Sends a call of a class, counted for one object.
    async fn send(&self, call: Call, class: &'static str, object: &str) -> Answer<provider_http::Answer> {
        let limit = call.limit.min(self.call);
        self.vendor.send(call.action(class, object).limit(limit)).await
    }

    async fn read<T: DeserializeOwned>(&self, call: Call, class: &'static str, object: &str) -> Answer<T> {
        // A body that cannot be read is tried once more where that is safe: the next may be whole.
        let again = (call.repeat == provider_http::Repeat::Safe).then(|| call.clone());
        match (self.send(call, class, object).await?.json(), again) {
            (Err(_), Some(again)) => self.send(again, class, object).await?.json(),
            (read, _) => read,
        }
    }

    /// Refused credentials are told apart from a token of another organisation.
    pub async fn check_token(&self) -> Result<()> {
        let tokens: wire::Tokens = self
            .read(Call::get("/v1/tokens/current"), "platform", "token")
            .await
            .map_err(|failure| crate::failure::error(failure, "use the token"))?;
        let orgs: Vec<&str> = tokens.tokens.iter().map(|token| token.org_slug.as_str()).collect();
        if orgs.is_empty() || orgs.iter().any(|org| org.is_empty() || *org == self.org) {
            return Ok(());
        }
        let message = format!("the token is of {}, not of the organisation {}", orgs.join(", "), self.org);
        Err(ProviderError::new(contracts::ErrorCode::CredentialsRejected, message)
            .with_action("Give a token of the configured organisation, or correct PILOT_FLY_ORG."))
    }

    /// Made once for a runtime, however often it is asked for: the key says that it is the same wish.
    pub async fn create_app(&self, runtime: &RuntimeRef) -> Answer<wire::App> {
        let (name, network) = (names::app(&runtime.runtime_id), names::network(runtime));
        let body =
            json!({"name": name, "org_slug": self.org, "network": network, "idempotency_key": network});
        let call = Call::post("/v1/apps").query("wait", "true").json(body).repeatable();
        self.read(call, "app_create", "org").await
    }

    pub async fn app(&self, app: &str) -> Answer<wire::App> {
        self.read(Call::get(format!("/v1/apps/{app}")), "app_get", app).await
    }

    /// Everything in it goes too.
    pub async fn delete_app(&self, app: &str) -> Answer<()> {
        self.send(Call::delete(format!("/v1/apps/{app}")), "app_delete", "org").await.map(drop)
    }

    pub async fn addresses(&self, app: &str) -> Answer<Vec<wire::Address>> {
        let call = Call::get(format!("/v1/apps/{app}/ip_assignments"));
        self.read::<wire::Addresses>(call, "ip_list", app).await.map(|addresses| addresses.ips)
    }

    /// `network` is where a private address is reached from.
    pub async fn assign(&self, app: &str, kind: &str, network: Option<&str>) -> Answer<()> {
        let mut body = json!({"type": kind});
        if let Some(network) = network {
            body["network"] = network.into();
        }
        let call = Call::post(format!("/v1/apps/{app}/ip_assignments")).json(body);
        self.send(call, "ip_assign", app).await.map(drop)
    }

    /// Sets secrets and gives the version that has them.
    pub async fn set_secrets(&self, app: &str, values: &Value) -> Answer<u64> {
        let call = Call::post(format!("/v1/apps/{app}/secrets")).json(json!({"values": values})).repeatable();
        self.read::<wire::Secrets>(call, "secret_update", app).await.map(|secrets| secrets.version)
    }

    pub async fn secrets(&self, app: &str) -> Answer<Vec<wire::Secret>> {
        let call = Call::get(format!("/v1/apps/{app}/secrets"));
        self.read::<wire::Secrets>(call, "secret_list", app).await.map(|listed| listed.secrets)
    }

    pub async fn volumes(&self, app: &str) -> Answer<Vec<wire::Volume>> {
        self.read(Call::get(format!("/v1/apps/{app}/volumes")), "volume_list", app).await
    }

    pub async fn create_volume(&self, app: &str, body: Value) -> Answer<wire::Volume> {
        self.read(Call::post(format!("/v1/apps/{app}/volumes")).json(body), "volume_create", app).await
    }

    pub async fn extend_volume(&self, app: &str, id: &str, size_gb: u32) -> Answer<()> {
        let call = Call::put(format!("/v1/apps/{app}/volumes/{id}/extend")).json(json!({"size_gb": size_gb}));
        self.send(call, "volume_extend", id).await.map(drop)
    }

    pub async fn delete_volume(&self, app: &str, id: &str) -> Answer<()> {
        self.send(Call::delete(format!("/v1/apps/{app}/volumes/{id}")), "volume_delete", id).await.map(drop)
    }

    pub async fn snapshots(&self, app: &str, volume: &str) -> Answer<Vec<wire::Snapshot>> {
        let call = Call::get(format!("/v1/apps/{app}/volumes/{volume}/snapshots"));
        self.read(call, "snapshot_list", volume).await
    }

    pub async fn take_snapshot(&self, app: &str, volume: &str) -> Answer<()> {
        let call = Call::post(format!("/v1/apps/{app}/volumes/{volume}/snapshots"));
        self.send(call, "snapshot_create", volume).await.map(drop)
    }

    /// How many such machines would find room in a region now.
    pub async fn room(&self, region: &str, cpus: u32, memory_mib: u32) -> Answer<u64> {
        let body = json!({
            "org_slug": self.org, "region": region, "count": 1,
            "compute": {"cpu_kind": "shared", "cpus": cpus, "memory_mb": memory_mib},
        });
        let call = Call::post("/v1/platform/placements").json(body).repeatable();
        let placed: wire::Placements = self.read(call, "platform", "placements").await?;
        Ok(placed.regions.iter().filter(|placed| placed.region == region).map(|placed| placed.count).sum())
    }

    /// All apps of the organisation, with their networks.
    pub async fn all_apps(&self) -> Answer<Vec<wire::App>> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let call = Call::get("/v1/apps").query("org_slug", &self.org).query("limit", "1000");
            let call = if cursor.is_empty() { call } else { call.query("cursor", cursor) };
            let page: wire::AppPage = self.read(call, "app_list", "org").await?;
            all.extend(page.apps);
            cursor = page.next_cursor.unwrap_or_default();
            if cursor.is_empty() {
                return Ok(all);
            }
        }
    }

    /// All volumes of the organisation.
    pub async fn all_volumes(&self) -> Answer<Vec<wire::Volume>> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let call = Call::get(format!("/v1/orgs/{}/volumes", self.org)).query("limit", "1000");
            let call = if cursor.is_empty() { call } else { call.query("cursor", cursor) };
            let page: wire::OrgVolumes = self.read(call, "platform", "volumes").await?;
            all.extend(page.volumes);
            cursor = page.next_cursor.unwrap_or_default();
            if cursor.is_empty() {
                return Ok(all);
            }
        }
    }

    /// All machines of the organisation, and the regions that did not tell.
    pub async fn all_machines(&self) -> Answer<(Vec<wire::OrgMachine>, Vec<String>)> {
        let (mut all, mut silent) = (Vec::new(), Vec::new());
        let mut cursor = String::new();
        loop {
            let call = Call::get(format!("/v1/orgs/{}/machines", self.org)).query("limit", "1000");
            let call = if cursor.is_empty() { call } else { call.query("cursor", cursor) };
            let page: wire::OrgMachines = self.read(call, "platform", "machines").await?;
            all.extend(page.machines);
            silent.extend(page.error_regions.unwrap_or_default());
            cursor = page.next_cursor.unwrap_or_default();
            if cursor.is_empty() {
                return Ok((all, silent));
            }
        }
    }
}
