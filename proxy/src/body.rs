//! The one body type of the data path. It is boxed so that a server's incoming body, a client's
//! response and a document of ours can take each other's place; frames pass through as they come.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body on its way through a hop.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Wraps any streaming body (hyper's `Incoming`, axum's `Body`) without reading from it.
pub fn body<B>(inner: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    inner.map_err(Into::into).boxed_unsync()
}

/// A body of no bytes.
pub fn empty() -> Body {
    body(Empty::new())
}

/// A body that is known as a whole.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    body(Full::new(bytes.into()))
}
