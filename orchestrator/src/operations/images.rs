//! Runtimes of before images were kept: what they are made from is in their stacks' states.

use contracts::Problem;
use contracts::workspace::Image;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::Parts;
use crate::store::WorkspaceRow;

const AT_ONCE: usize = 8;

/// Learns what is not known yet, once for each runtime, so that another usual image changes none of them. A state that cannot
/// be read is told, and tried again with the next start.
pub async fn learn(parts: &Parts) -> Result<(), Problem> {
    let has_images = |name: &str| parts.providers.get(name).is_ok_and(|provider| provider.images().is_some());
    let rows = parts.store.without_image().await?.into_iter();
    let unknown = rows.filter(|row| has_images(row.provider.as_str()));
    let looks = futures_util::stream::iter(unknown.map(|row| of_state(parts, row)));
    looks.buffer_unordered(AT_ONCE).try_collect().await
}

async fn of_state(parts: &Parts, row: WorkspaceRow) -> Result<(), Problem> {
    match parts.engine.image_of(row.runtime_id.as_str()).await {
        Ok(Some(image)) => {
            tracing::info!(slug = %row.slug, image, "the image of the workspace is known now");
            parts.store.learn_image(&row.runtime_id, &Image::named(image)).await?;
        }
        // Nothing was made of it.
        Ok(None) => {}
        Err(problem) => tracing::warn!(slug = %row.slug, %problem, "its image cannot be told from its state"),
    }
    Ok(())
}
