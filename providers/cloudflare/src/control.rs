//! Signed calls to the Worker. All of them may be repeated: the Worker finds the runtime by its id, and
//! brings it to where the call says.

use std::time::Duration;

use http::Method;
use provider_api::{ProviderError, Result};
use provider_http::{Access, Answer, Call, Failure, Kind, Pace, Vendor, VendorConfig};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};

use crate::Cloud;
use crate::config::CloudflareConfig;
use crate::failure::{VENDOR, is_nobody, is_provisioning, is_word, left_it, not_known_yet, of_worker};
use crate::sign;

/// The Worker waits this long for an instance to answer, and a little more.
const LIMIT: Duration = Duration::from_secs(40);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// What is there answers by then.
const GLANCE: Duration = Duration::from_secs(3);

#[derive(Default)]
pub(crate) struct Control {
    vendor: OnceCell<Vendor>,
}

/// A refusal, and whether the runtime exists all the same.
pub(crate) struct Refused {
    pub error: ProviderError,
    pub exists: bool,
    /// Whether the Worker itself said it.
    pub is_word: bool,
}

impl From<ProviderError> for Refused {
    fn from(error: ProviderError) -> Self {
        Self { error, exists: false, is_word: false }
    }
}

impl From<Refused> for ProviderError {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

impl Cloud {
    /// `path` below `/_pilot/runtimes`. `doing` completes "cannot ...". A change waits for a Worker that is new and not known
    /// everywhere yet; whoever only reads is told at once, and asks again.
    pub async fn control(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> std::result::Result<Value, Refused> {
        let waits = method != Method::GET;
        self.call(doing, method, path, body, waits).await
    }

    /// Returns when the Worker answers at its host name, whatever it says.
    pub async fn appears(&self) -> Result<()> {
        self.greet(true).await.map_err(|error| self.soon(not_known_yet(error)))
    }

    /// Whether the Worker answers at its host name now. Of a name that nobody knows yet there may be no answer at all.
    pub async fn answers(&self) -> bool {
        timeout(GLANCE, self.greet(false)).await.is_ok_and(|greeted| greeted.is_ok())
    }

    async fn greet(&self, waits: bool) -> Result<()> {
        let path = format!("?installation={}", self.config.installation()?);
        let host = self.api.host(&self.config).await?;
        let doing =
            format!("reach the new Worker at {host}, a name that is known everywhere after some minutes");
        match self.call(&doing, Method::GET, &path, None, waits).await {
            Err(Refused { error, is_word: false, .. }) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn call(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
        waits: bool,
    ) -> std::result::Result<Value, Refused> {
        let path = format!("/_pilot/runtimes{path}");
        // Finding it out has a timeout of its own.
        self.api.host(&self.config).await?;
        let deadline = Instant::now() + self.config.timeout;
        let (mut pause, mut before) = (FIRST_PAUSE, None);
        loop {
            let limit = LIMIT.min(deadline.saturating_duration_since(Instant::now()));
            let answered = self.attempt(&method, &path, body.as_ref(), limit).await?;
            let mut failure = match answered.and_then(|answer| answer.json()) {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            // An attempt that our own timeout cut short tells less than the one before.
            if failure.kind == Kind::Lost && limit < LIMIT {
                failure = before.unwrap_or(failure);
            }
            // A problem document is the Worker's own word, and saying the same again changes nothing, but where it is about what
            // comes by itself.
            let is_word = is_word(&failure);
            let passes = match is_word {
                true => is_provisioning(&failure),
                false => failure.may_have_happened() || (waits && is_nobody(&failure)),
            };
            if !passes || Instant::now() + pause >= deadline {
                let exists = left_it(&failure);
                return Err(Refused { error: self.soon(of_worker(failure, doing)), exists, is_word });
            }
            before = Some(failure);
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Who waits in a call for a shorter time comes again sooner.
    fn soon(&self, mut error: ProviderError) -> ProviderError {
        error.retry_after = error.retry_after.map(|after| after.min(self.config.timeout));
        error
    }

    async fn attempt(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<std::result::Result<Answer, Failure>> {
        let host = self.api.host(&self.config).await?;
        let vendor = self.control.vendor(&self.config, &host).await?;
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
                timeout: config.timeout,
            };
            Vendor::new(vendor).map_err(|failure| of_worker(failure, "make a client"))
        };
        self.vendor.get_or_try_init(make).await
    }
}
