//! Checkpoints that are told by what changed in the text of the one before.

use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::Refusal;

/// A whole checkpoint whose very text matters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verbatim<'a> {
    #[serde(borrow)]
    pub untyped_deployment: &'a RawValue,
    pub sequence_number: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delta {
    pub checkpoint_hash: String,
    pub sequence_number: u64,
    deployment_delta: Vec<Edit>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Edit {
    span: Span,
    new_text: String,
}

#[derive(Deserialize)]
struct Span {
    start: Point,
    #[serde(default)]
    end: Option<Point>,
}

#[derive(Deserialize)]
struct Point {
    #[serde(default)]
    offset: usize,
}

impl Delta {
    /// The text that it makes of the one before.
    pub fn apply(&self, before: &str) -> Result<String, Refusal> {
        let mut after = String::new();
        let mut at = 0;
        for edit in &self.deployment_delta {
            let start = edit.span.start.offset;
            let end = edit.span.end.as_ref().map_or(start, |end| end.offset);
            let kept = before.get(at..start).filter(|_| end <= before.len());
            after.push_str(kept.ok_or_else(|| Refusal::bad("The delta does not fit"))?);
            after.push_str(&edit.new_text);
            at = end;
        }
        after.push_str(before.get(at..).unwrap_or_default());
        let sum: String =
            digest(&SHA256, after.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect();
        if sum != self.checkpoint_hash {
            return Err(Refusal::bad("The delta gives another checkpoint"));
        }
        Ok(after)
    }
}
