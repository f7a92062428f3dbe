//! What can be ordered to go wrong, once for each order.

use http::{Method, StatusCode};

use crate::error::Refusal;
use crate::path::Object;

/// Each breaks the next request that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Whatever is asked next of a repository is answered with this status.
    Status(u16),
    /// The next upload's end is refused, and what was uploaded is gone.
    LosesUpload,
    /// The next blob that is asked for has another content than its digest says.
    CorruptsBlob,
}

impl Fault {
    /// Takes the first order that is about this request.
    pub(crate) fn take(orders: &mut Vec<Fault>, method: &Method, object: &Object) -> Option<Fault> {
        let concerns = |fault: &Fault| match fault {
            Fault::Status(_) => *object != Object::Base,
            Fault::LosesUpload => matches!(object, Object::Upload(..)) && *method == Method::PUT,
            Fault::CorruptsBlob => matches!(object, Object::Blob(..)) && *method == Method::GET,
        };
        let at = orders.iter().position(concerns)?;
        Some(orders.remove(at))
    }

    /// What is answered instead; `None` where the answer is made first.
    pub(crate) fn refusal(self) -> Option<Refusal> {
        match self {
            Fault::Status(status) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                let code =
                    if status == StatusCode::TOO_MANY_REQUESTS { "TOOMANYREQUESTS" } else { "UNAVAILABLE" };
                Some(Refusal::new(status, code, "as ordered"))
            }
            Fault::LosesUpload => Some(Refusal::unknown("BLOB_UPLOAD_UNKNOWN", "the upload")),
            Fault::CorruptsBlob => None,
        }
    }
}
