//! Runtimes of before images were kept: what they are made from is in their stacks' states.

use contracts::Problem;
use contracts::workspace::Image;

use super::Parts;

/// Learns what is not known yet, once for each runtime, so that another usual image changes none of them. A state that cannot
/// be read is told, and tried again with the next start.
pub async fn learn(parts: &Parts) -> Result<(), Problem> {
    for row in parts.store.workspaces().await? {
        let has_images =
            |name: &str| parts.providers.get(name).is_ok_and(|provider| provider.images().is_some());
        if row.image.is_some() || !has_images(row.provider.as_str()) {
            continue;
        }
        match parts.engine.image_of(row.runtime_id.as_str()).await {
            Ok(Some(image)) => {
                tracing::info!(slug = %row.slug, image, "the image of the workspace is known now");
                parts.store.learn_image(&row.runtime_id, &Image::named(image)).await?;
            }
            // Nothing was made of it.
            Ok(None) => {}
            Err(problem) => {
                tracing::warn!(slug = %row.slug, %problem, "its image cannot be told from its state")
            }
        }
    }
    Ok(())
}
