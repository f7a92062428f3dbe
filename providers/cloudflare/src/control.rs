//! Signed calls to the Worker. All of them may be repeated: the Worker finds the runtime by its id, and
//! brings it to where the call says.

use std::time::Duration;

use http::Method;
use provider_api::{ProviderError, Result};
use provider_http::{Access, Answer, Call, Failure, Kind, Pace, Vendor, VendorConfig};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::Cloud;
use crate::config::CloudflareConfig;
use crate::failure::{VENDOR, left_it, of_worker};
use crate::sign;

/// The Worker waits this long for an instance to answer, and a little more.
const LIMIT: Duration = Duration::from_secs(40);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

#[derive(Default)]
pub(crate) struct Control {
    vendor: OnceCell<Vendor>,
}

/// A refusal, and whether the runtime exists all the same.
pub(crate) struct Refused {
    pub error: ProviderError,
    pub exists: bool,
}

impl From<ProviderError> for Refused {
    fn from(error: ProviderError) -> Self {
        Self { error, exists: false }
    }
}

impl From<Refused> for ProviderError {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

impl Cloud {
    /// `path` below `/_pilot/runtimes`. `doing` completes "cannot ...".
    pub async fn control(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> std::result::Result<Value, Refused> {
        let path = format!("/_pilot/runtimes{path}");
        let deadline = Instant::now() + self.config.patience;
        let (mut pause, mut before) = (FIRST_PAUSE, None);
        loop {
            let limit = LIMIT.min(deadline.saturating_duration_since(Instant::now()));
            let answered = self.attempt(&method, &path, body.as_ref(), limit).await?;
            let mut failure = match answered.and_then(|answer| answer.json()) {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            // An attempt that our own patience cut short tells less than the one before.
            if failure.kind == Kind::Lost && limit < LIMIT {
                failure = before.unwrap_or(failure);
            }
            // A problem document is the Worker's own word, and saying the same again changes nothing.
            let is_word = failure.json().is_some_and(|problem| problem["code"].is_string());
            if is_word || !failure.may_have_happened() || Instant::now() + pause >= deadline {
                let exists = left_it(&failure);
                return Err(Refused { error: of_worker(failure, doing), exists });
            }
            before = Some(failure);
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<std::result::Result<Answer, Failure>> {
        let host = self.api.host(&self.config).await?;
        let vendor = self.control.vendor(&self.config, host).await?;
        let bytes = body.map(|body| serde_json::to_vec(body).unwrap_or_default()).unwrap_or_default();
        let now = jiff::Timestamp::now().as_second();
        let signed = sign::sign(
            &self.config.identity()?.control_key,
            method.as_str(),
            path,
            &bytes,
            now,
            sign::nonce(),
        );
        // The client repeats what was surely not received. Anything else is signed anew by our caller.
        let mut call = Call::post(path)
            .header("host", host)
            .header("x-pilot-time", signed.time)
            .header("x-pilot-nonce", signed.nonce)
            .header("x-pilot-signature", signed.signature)
            .limit(limit);
        call.method = method.clone();
        if let Some(body) = body {
            call = call.json(body.clone());
        }
        Ok(vendor.send(call).await)
    }
}

impl Control {
    async fn vendor(&self, config: &CloudflareConfig, host: &str) -> Result<&Vendor> {
        let make = || async {
            let base = match config.settings.get("workerUrl") {
                Some(_) => config.url("workerUrl")?,
                None => url::Url::parse(&format!("https://{host}")).map_err(|error| {
                    let message = format!("the Worker's host name {host} is not one: {error}");
                    ProviderError::new(contracts::ErrorCode::ProviderNotConfigured, message)
                })?,
            };
            let vendor = VendorConfig {
                name: VENDOR,
                base,
                access: Access::none(),
                request_id: "cf-ray",
                words: &["/detail"],
                pace: Pace::default(),
                patience: config.patience,
            };
            Vendor::new(vendor).map_err(|failure| of_worker(failure, "make a client"))
        };
        self.vendor.get_or_try_init(make).await
    }
}
