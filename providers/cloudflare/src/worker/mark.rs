//! The migration tag of the Worker's script: which classes it has, and the highest fence of who has uploaded it.
//!
//! Cloudflare refuses an upload that names another tag than the script has at that moment, so of two programs that looked at the
//! same time one is told that it comes too late. A tag alone, without a step, is a migration too.

use provider_api::{Result, fence};
use serde_json::{Value, json};

use super::bundle::{INDEX_CLASS, MIGRATION, RUNTIME_CLASS};

/// Between the migration and the fence.
const FENCE: &str = "-fence-";

/// The tag of a script, as it was seen. Without one there is no script, or its classes are not made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mark(Option<String>);

impl Mark {
    pub fn of(tag: Option<&str>) -> Self {
        Self(tag.filter(|tag| !tag.is_empty()).map(str::to_owned))
    }

    /// The newest migration that the script has had, which may be a newer Pilot's, and the fence.
    fn parts(&self) -> Option<(&str, Option<u64>)> {
        let tag = self.0.as_deref()?;
        match tag.rsplit_once(FENCE).map(|(migration, fence)| (migration, fence.parse().ok())) {
            Some((migration, Some(fence))) => Some((migration, Some(fence))),
            _ => Some((tag, None)),
        }
    }

    /// Passes unless who has a higher fence was there before.
    pub fn pass(&self, fence: Option<u64>, script: &str) -> Result<()> {
        fence::pass(fence, self.parts().and_then(|(_, seen)| seen), ("Worker script", script))
    }

    /// What an upload says: this tag and no other is to be there, and what it is afterwards. Who has no fence leaves it as it is.
    pub fn migrations(&self, fence: Option<u64>) -> Value {
        let steps = match self.0 {
            Some(_) => json!([]),
            None => json!([{"new_sqlite_classes": [RUNTIME_CLASS, INDEX_CLASS]}]),
        };
        let (migration, seen) = self.parts().unwrap_or((MIGRATION, None));
        let new_tag = match fence.or(seen) {
            Some(fence) => format!("{migration}{FENCE}{fence}"),
            None => migration.to_owned(),
        };
        let mut migrations = json!({"new_tag": new_tag, "steps": steps});
        if let Some(tag) = &self.0 {
            migrations["old_tag"] = tag.as_str().into();
        }
        migrations
    }
}

#[cfg(test)]
mod tests {
    use contracts::ErrorCode;

    use super::*;

    #[test]
    fn a_tag_keeps_the_highest_fence_and_the_classes_are_made_once() {
        let classes = json!([{"new_sqlite_classes": ["Runtime", "Index"]}]);
        let none = Mark::of(Some(""));
        assert_eq!(none.migrations(Some(3)), json!({"new_tag": "v1-fence-3", "steps": classes}));
        assert_eq!(none.migrations(None), json!({"new_tag": "v1", "steps": classes}));
        for (tag, fence, new) in [
            ("v1", Some(3), "v1-fence-3"),
            ("v1", None, "v1"),
            ("v1-fence-3", Some(4), "v1-fence-4"),
            ("v1-fence-3", None, "v1-fence-3"),
            ("v2-fence-3", Some(10), "v2-fence-10"),
            ("v1-fence-x", Some(1), "v1-fence-x-fence-1"),
        ] {
            let said = Mark::of(Some(tag)).migrations(fence);
            assert_eq!(said, json!({"old_tag": tag, "new_tag": new, "steps": []}), "{tag} {fence:?}");
        }
    }

    #[test]
    fn who_has_a_lower_fence_than_the_last_does_not_pass() {
        let mark = Mark::of(Some("v1-fence-10"));
        assert_eq!(mark.pass(Some(9), "s").unwrap_err().code, ErrorCode::Fenced);
        for fence in [Some(10), Some(11), None] {
            mark.pass(fence, "s").unwrap();
        }
        Mark::of(Some("v1")).pass(Some(1), "s").unwrap();
    }
}
