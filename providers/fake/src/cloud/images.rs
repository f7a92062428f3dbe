//! The cloud's registry. It has every image whose name begins with `fake:`, and those that were pushed.

use std::collections::BTreeMap;

use super::{Answer, CloudError};

/// What was pushed: names and digests. A name that is pushed again means what came last; every digest stays.
#[derive(Default)]
pub(crate) struct Pushed {
    names: BTreeMap<String, String>,
    digests: Vec<(String, String)>,
}

impl Pushed {
    pub fn keep(&mut self, name: &str, digest: &str) {
        let image = (name.to_owned(), digest.to_owned());
        self.names.insert(name.to_owned(), digest.to_owned());
        if !self.digests.contains(&image) {
            self.digests.push(image);
        }
    }

    /// What a reference means now.
    pub fn find(&self, reference: &str) -> Answer<String> {
        self.pushed(reference).map_or_else(|| digest(reference), Ok)
    }

    /// The name of one that was pushed, or one with its digest.
    fn pushed(&self, reference: &str) -> Option<String> {
        match reference.split_once('@') {
            Some((name, digest)) => {
                let is_known = self.digests.iter().any(|known| known.0 == name && known.1 == digest);
                is_known.then(|| reference.to_owned())
            }
            None => self.names.get(reference).map(|digest| format!("{reference}@{digest}")),
        }
    }
}

/// What is made from it ends at its boot.
const BROKEN: &str = "fake:broken";

/// What a name means, for ever: this registry's names do not move. A digest is its own name.
fn digest(reference: &str) -> Answer<String> {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, digest.to_owned()),
        None => (reference, format!("sha256:{:064x}", contracts::hash::stable(reference))),
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
