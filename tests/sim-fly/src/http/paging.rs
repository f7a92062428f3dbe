//! Pages of a list. A cursor is the last id of the page before.

use std::collections::HashMap;

use crate::error::{Answer, Refusal};

/// Parameters of the query, the last value of each.
pub type Query = axum::extract::Query<HashMap<String, String>>;

/// One page of what is sorted by id, and the cursor of the next.
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

/// How many at most, and after which id.
pub struct Wanted {
    limit: Option<usize>,
    after: Option<String>,
}

impl Wanted {
    /// Reads `limit` and `cursor`.
    ///
    /// # Errors
    /// 400 for a limit out of 1 to `most`, or a cursor without a limit where one is needed.
    pub fn read(query: &HashMap<String, String>, most: usize, needs_limit: bool) -> Answer<Self> {
        let limit = match query.get("limit").filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => match text.parse::<usize>() {
                Ok(limit) if (1..=most).contains(&limit) => Some(limit),
                _ => return Err(Refusal::bad(format!("limit must be between 1 and {most}"))),
            },
        };
        let after = query.get("cursor").filter(|text| !text.is_empty()).cloned();
        if after.is_some() && limit.is_none() && needs_limit {
            return Err(Refusal::bad("cursor requires limit"));
        }
        let limit = if needs_limit { limit } else { limit.or(Some(most)) };
        Ok(Self { limit, after })
    }

    pub fn page<T>(&self, sorted: impl Iterator<Item = T>, id: impl Fn(&T) -> &str) -> Page<T> {
        let mut rest = sorted.filter(|item| self.after.as_deref().is_none_or(|after| id(item) > after));
        let Some(limit) = self.limit else { return Page { items: rest.collect(), next: None } };
        let items: Vec<T> = rest.by_ref().take(limit).collect();
        let more = rest.next().is_some();
        let next = items.last().filter(|_| more).map(|last| id(last).to_owned());
        Page { items, next }
    }
}

/// `true`, `1` and an empty value say yes.
pub fn says_yes(query: &HashMap<String, String>, name: &str) -> bool {
    query.get(name).is_some_and(|value| matches!(value.as_str(), "true" | "1" | ""))
}

/// The comma-separated words of a parameter.
pub fn words(query: &HashMap<String, String>, name: &str) -> Vec<String> {
    let text = query.get(name).map(String::as_str).unwrap_or_default();
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
