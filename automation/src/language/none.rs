//! Without the feature `inline` every program is that of the project's folder, and the engine starts it.

use std::net::SocketAddr;

use crate::error::Result;
use crate::gather::Observed;
use crate::source::Source;

/// There is never one.
pub(crate) enum Server {}

impl Server {
    pub async fn of(source: &Source) -> Result<Option<Self>> {
        match source {
            Source::Project => Ok(None),
        }
    }

    pub fn address(&self) -> SocketAddr {
        match *self {}
    }

    pub fn observed(&self) -> Observed {
        match *self {}
    }
}
