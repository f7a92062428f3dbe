//! The way to a cloud that another program serves: over HTTP, as vendors are reached. `provider-http` keeps to the rate, repeats
//! what may be repeated, and its failures know what may have happened.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use provider_http::{Access, Call, Failure, Kind, Pace, Rate, Vendor, VendorConfig};
use serde_json::Value;

use super::call::Request;
use super::{REQUEST_ID, TIMEOUT, WORDS};

/// What the cloud documents: so many writes of one object a second. Who keeps to it is never refused.
const WRITES: Rate = Rate { interval: Duration::from_millis(10), burst: NonZeroU32::MIN.saturating_add(99) };

/// The class of the cloud's limits that writes are counted under; looks have no limit.
const WRITE: &str = "write";

/// The header with the fence of the operation that asks. Only the cloud's journal wants it.
pub(super) const FENCE: &str = "pilot-fence";

#[derive(Clone)]
pub(crate) struct Remote(Result<Arc<Vendor>, Failure>);

impl Remote {
    /// An address that is none is told by the first call.
    pub fn new(url: &str, token: Option<&str>) -> Self {
        let unusable = |error| Failure::new(Kind::Unreachable, format!("{url:?} is no address: {error}"));
        let vendor = url.parse().map_err(unusable).and_then(|base| {
            Vendor::new(VendorConfig {
                name: "the fake cloud",
                base,
                access: token.map_or_else(Access::none, Access::bearer),
                request_id: REQUEST_ID,
                words: &[WORDS],
                pace: Pace::new([(WRITE, WRITES)]),
                timeout: TIMEOUT,
            })
        });
        Self(vendor.map(Arc::new))
    }

    pub async fn answer(&self, request: &Request) -> Result<Value, Failure> {
        let vendor = self.0.as_ref().map_err(Clone::clone)?;
        let body = serde_json::to_value(&request.call)
            .map_err(|error| Failure::new(Kind::NotSent, format!("a call that is no JSON: {error}")))?;
        let mut call = Call::post("/").json(body).limit(TIMEOUT);
        if let Some(fence) = request.fence {
            call = call.header(FENCE, fence.to_string());
        }
        call = match request.call.write() {
            // Twice could make two, or remove what came after: whoever asks looks first.
            Some((_, object)) => call.action(WRITE, object),
            None => call.repeatable(),
        };
        vendor.send(call).await?.json()
    }
}
