//! Images that Pilot itself brings to a provider, from an archive.
//!
//! Where an image ends up is the module's matter: on each of its hosts, or in a registry of its vendor. What is answered is the
//! reference by which instances are made from it there, and nothing else has to be known of the place. Nothing that runs is
//! changed by a push, and no name but the one that is given means something else afterwards.

use std::path::Path;

use async_trait::async_trait;
use contracts::workspace::Image;

use crate::error::Result;
use crate::snapshots::Told;

/// Where images are brought to.
#[async_trait]
pub trait ImageStore: Send + Sync {
    /// Brings the one image of `archive` there, so that instances can be made from it by the reference that is given back. The
    /// archive is as `docker save` writes it, or an OCI layout as tar. `name` is with a tag, such as `team/app:2`: the module makes a reference
    /// of its own place from it, the same every time, and takes one of that place as it is.
    ///
    /// Idempotent: what is there is not sent again where that can be told. `image_unusable` before anything is sent when the archive
    /// says that nothing there can run it. After an error, and when the call is dropped, the name means
    /// on each place what it did before, or the new image.
    async fn push(&self, name: &str, archive: &Path, told: &Told) -> Result<Image>;
}
