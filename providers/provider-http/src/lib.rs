//! How provider modules call a vendor's HTTP API: within its rate limits, repeated only where that is
//! safe, and with a failure that says what is now true outside.
//!
//! - [`Call`] is one request, and whether it may be repeated after it was sent.
//! - [`Vendor`] sends it: waits for the vendor's documented rate, keeps to a deadline, tries again.
//! - [`Failure`] is what went wrong, and whether the vendor may have acted; a module turns it into a
//!   stable code with the vendor's own words and request id.
//! - [`registry::Registry`] looks at images of an OCI registry, and pushes them there.
//!
//! A vendor's credential is in [`Access`] only, which is never shown.

mod answer;
mod call;
mod failure;
mod pace;
pub mod registry;
mod retry;
mod vendor;

pub use answer::Answer;
pub use call::{Body, Call, Part, Repeat};
pub use failure::{Failure, Kind, words};
pub use pace::{Pace, Rate};
pub use vendor::{Access, Vendor, VendorConfig};
