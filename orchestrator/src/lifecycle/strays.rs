//! What is outside and of no workspace that is known.

use contracts::Problem;
use contracts::stray::{Stray, StrayList};

use super::service::Lifecycle;
use crate::reconcile::Repair;
use crate::store;
use crate::sweep::due;

impl Lifecycle {
    /// As the last sweep has seen it, and what becomes of it.
    pub async fn strays(&self) -> Result<StrayList, Problem> {
        let (removes, strays) = (self.repair == Repair::Auto, self.store.strays().await?);
        // Those of one runtime have one time.
        let first = |stray: &store::Stray| {
            let of_it = |other: &&store::Stray| {
                (&other.provider, &other.object.runtime_id) == (&stray.provider, &stray.object.runtime_id)
            };
            strays.iter().find(of_it).map_or(stray.first_seen, |first| first.first_seen)
        };
        let strays = strays.iter().map(|stray| (stray.clone(), due(first(stray), self.stray_grace)));
        let strays = strays.map(|(stray, due)| Stray {
            provider: stray.provider,
            home: stray.object.stays_with_home(),
            removed_at: (removes && !stray.object.stays_with_home()).then_some(due),
            kind: stray.object.kind,
            id: stray.object.id,
            runtime_id: stray.object.runtime_id,
            first_seen: stray.first_seen,
            last_seen: stray.last_seen,
        });
        Ok(StrayList { strays: strays.collect() })
    }
}
