//! The cloud's registry. It has every image whose name begins with `fake:`, and none else.

use super::{Answer, CloudError};

/// What is made from it ends at its boot.
const BROKEN: &str = "fake:broken";

/// What a name means, for ever: this registry's names do not move. A digest is its own name.
pub(crate) fn digest(reference: &str) -> Answer<String> {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, digest.to_owned()),
        None => (reference, format!("{:016x}", contracts::hash::stable(reference))),
    };
    match name.strip_prefix("fake:") {
        Some(tag) if !tag.is_empty() => Ok(format!("{name}@{digest}")),
        _ => Err(CloudError::NotFound(format!("image {name}"))),
    }
}

/// An error when what is made from it cannot run.
pub(crate) fn boots(image: &str) -> Answer<()> {
    match image.split('@').next() {
        Some(BROKEN) => Err(CloudError::Refused(format!("{image} ends at once"))),
        _ => Ok(()),
    }
}
