//! Cloudflare's API: the envelope, the token and the rate, and the calls that more than one resource makes.

use std::num::NonZeroU32;
use std::time::Duration;

use contracts::ErrorCode;
use provider_api::{ProviderError, Result};
use provider_http::{Access, Call, Failure, Pace, Rate, Vendor, VendorConfig};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::config::CloudflareConfig;
use crate::failure::{VENDOR, of_api};

/// 1200 calls in five minutes are allowed; who asks for more is blocked for five minutes. Other programs
/// use the token too, so half of that is ours.
const INTERVAL: Duration = Duration::from_millis(500);
const BURST: u32 = 100;
const CLASS: &str = "api";

#[derive(Default)]
pub(crate) struct Api {
    vendor: OnceCell<Vendor>,
    domain: OnceCell<String>,
}

impl Api {
    async fn vendor(&self, config: &CloudflareConfig) -> Result<&Vendor> {
        let make = || async {
            let burst = NonZeroU32::new(BURST).unwrap_or(NonZeroU32::MIN);
            let vendor = VendorConfig {
                name: VENDOR,
                base: config.url("apiUrl")?,
                access: Access::bearer(config.settings.require("apiToken")?),
                request_id: "cf-ray",
                words: &["/errors/0/message", "/error"],
                pace: Pace::new([(CLASS, Rate { interval: INTERVAL, burst })]),
                timeout: config.timeout,
            };
            Vendor::new(vendor).map_err(|failure| of_api(failure, "make a client"))
        };
        self.vendor.get_or_try_init(make).await
    }

    /// The `result` of the answer, for callers that tell failures apart.
    pub async fn ask(&self, config: &CloudflareConfig, call: Call) -> std::result::Result<Value, Asked> {
        let vendor = self.vendor(config).await?;
        let answer = vendor.send(call.action(CLASS, "")).await?;
        let mut envelope: Value = answer.json()?;
        Ok(envelope["result"].take())
    }

    /// The `result` of the answer. `doing` completes "cannot ...".
    pub async fn result(&self, config: &CloudflareConfig, doing: &str, call: Call) -> Result<Value> {
        self.ask(config, call).await.map_err(|asked| asked.into_error(doing))
    }

    /// The same of what may be gone: `None` when the API says that there is none.
    pub async fn found(&self, config: &CloudflareConfig, doing: &str, call: Call) -> Result<Option<Value>> {
        match self.ask(config, call).await {
            Err(asked) if asked.is(Failure::is_absent) => Ok(None),
            answer => answer.map(Some).map_err(|asked| asked.into_error(doing)),
        }
    }

    /// Below the account.
    pub fn path(config: &CloudflareConfig, rest: &str) -> Result<String> {
        Ok(format!("/accounts/{}{rest}", config.account()?))
    }

    /// Refused credentials, and a token that may only read, are told apart from one that may do what a create does: it is asked to
    /// delete what is not there, because no read says what a token may write.
    pub async fn may_write(&self, config: &CloudflareConfig) -> Result<()> {
        let nothing = [
            "/workers/scripts/pilot-in-none",
            "/containers/applications/00000000-0000-4000-8000-000000000000",
        ];
        let asked = nothing.map(|path| async move {
            self.found(config, "use the token", Call::delete(Self::path(config, path)?)).await.map(drop)
        });
        let [scripts, containers] = asked;
        let (scripts, containers) = tokio::join!(scripts, containers);
        scripts.and(containers)
    }

    /// The name of the account in front of `workers.dev`.
    async fn subdomain(&self, config: &CloudflareConfig) -> Result<String> {
        let call = Call::get(Self::path(config, "/workers/subdomain")?);
        // An account begins without one.
        let result =
            self.found(config, "read the account's workers.dev name", call).await?.unwrap_or_default();
        let name = result["subdomain"].as_str().filter(|name| !name.is_empty());
        name.map(str::to_owned).ok_or_else(|| {
            let message = "the account has no name on workers.dev, and the setting host is not set";
            ProviderError::new(ErrorCode::ProviderNotConfigured, message).with_action(
                "Choose one in Cloudflare's dashboard (Workers & Pages), or give the Worker a name in a zone of the account with \
                 PILOT_CLOUDFLARE_HOST.",
            )
        })
    }

    /// What the Worker's host name ends with: a domain of the operator's, else the account's on workers.dev, asked for once.
    pub async fn domain(&self, config: &CloudflareConfig) -> Result<&str> {
        let find = || async {
            match config.settings.get("host") {
                Some(host) => Ok(host.to_owned()),
                None => Ok(format!("{}.workers.dev", self.subdomain(config).await?)),
            }
        };
        self.domain.get_or_try_init(find).await.map(String::as_str)
    }

    /// The host name of the Worker.
    pub async fn host(&self, config: &CloudflareConfig) -> Result<String> {
        let domain = self.domain(config).await?;
        match config.settings.get("host") {
            Some(host) => Ok(host.to_owned()),
            None => Ok(format!("{}.{domain}", config.script()?)),
        }
    }
}

/// Why there is no result: the call failed, or could not be made.
pub(crate) enum Asked {
    Failed(Failure),
    Impossible(ProviderError),
}

impl Asked {
    pub fn into_error(self, doing: &str) -> ProviderError {
        match self {
            Asked::Failed(failure) => of_api(failure, doing),
            Asked::Impossible(error) => error,
        }
    }

    pub fn is(&self, what: impl Fn(&Failure) -> bool) -> bool {
        matches!(self, Asked::Failed(failure) if what(failure))
    }
}

impl From<Failure> for Asked {
    fn from(failure: Failure) -> Self {
        Asked::Failed(failure)
    }
}

impl From<ProviderError> for Asked {
    fn from(error: ProviderError) -> Self {
        Asked::Impossible(error)
    }
}
