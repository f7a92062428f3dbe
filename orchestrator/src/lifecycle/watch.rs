//! Routes as they change, for whoever keeps a table of them.

use std::collections::{HashMap, VecDeque};

use contracts::workspace::{Route, RouteEvent};
use contracts::{Problem, RuntimeId};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::service::route;
use crate::store::{Store, WorkspaceRow};

/// One reader's view of them.
pub struct Routes {
    store: Store,
    changed: Receiver<String>,
    /// What it was told of each runtime; nothing before the first snapshot.
    told: Option<HashMap<RuntimeId, Route>>,
    /// What follows from the last change.
    next: VecDeque<RouteEvent>,
}

impl Routes {
    pub fn of(store: &Store) -> Self {
        Self { changed: store.changed(), store: store.clone(), told: None, next: VecDeque::new() }
    }

    pub async fn all(&self) -> Result<Vec<Route>, Problem> {
        Ok(self.store.workspaces().await?.into_iter().map(route).collect())
    }

    /// The next change; first all there is, and again after something was missed.
    pub async fn next(&mut self) -> Result<RouteEvent, Problem> {
        loop {
            if let Some(event) = self.next.pop_front() {
                return Ok(event);
            }
            let Some(told) = &mut self.told else {
                let routes = self.all().await?;
                self.told =
                    Some(routes.iter().map(|route| (route.runtime_id.clone(), route.clone())).collect());
                return Ok(RouteEvent::Snapshot { routes });
            };
            let runtime: RuntimeId = match self.changed.recv().await {
                Ok(id) => match id.parse() {
                    Ok(id) => id,
                    Err(_) => {
                        self.told = None;
                        continue;
                    }
                },
                Err(RecvError::Lagged(_)) => {
                    self.told = None;
                    continue;
                }
                Err(RecvError::Closed) => {
                    return Err(crate::store::StoreError::from(sqlx::Error::PoolClosed).into());
                }
            };
            let row = self.store.workspace_of(&runtime).await?.filter(|row| row.home_until.is_none());
            self.next.extend(differences(told, &runtime, row));
        }
    }
}

fn differences(
    told: &mut HashMap<RuntimeId, Route>,
    runtime: &RuntimeId,
    row: Option<WorkspaceRow>,
) -> Vec<RouteEvent> {
    let (before, now) = (told.remove(runtime), row.map(route));
    if before == now {
        told.extend(now.map(|route| (runtime.clone(), route)));
        return Vec::new();
    }
    let mut events = Vec::new();
    if let Some(slug) = before.map(|route| route.slug)
        && now.as_ref().is_none_or(|route| route.slug != slug)
        // Another may have the name by now.
        && told.values().all(|route| route.slug != slug)
    {
        events.push(RouteEvent::Gone { slug });
    }
    if let Some(route) = now {
        told.insert(runtime.clone(), route.clone());
        events.push(RouteEvent::Changed { route });
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(slug: &str) -> WorkspaceRow {
        WorkspaceRow::new(slug.parse().unwrap(), "fake".parse().unwrap(), "small".to_owned())
    }

    #[test]
    fn a_route_that_is_another_is_told_once_and_one_that_is_gone_by_its_name() {
        let (mut told, first) = (HashMap::new(), row("demo"));
        let runtime = first.runtime_id.clone();
        let changed = |row: &WorkspaceRow| vec![RouteEvent::Changed { route: route(row.clone()) }];
        assert_eq!(differences(&mut told, &runtime, Some(first.clone())), changed(&first));
        assert_eq!(differences(&mut told, &runtime, Some(first.clone())), []);
        let renamed = WorkspaceRow { slug: "other".parse().unwrap(), ..first.clone() };
        let gone = RouteEvent::Gone { slug: first.slug.clone() };
        let events = differences(&mut told, &runtime, Some(renamed.clone()));
        assert_eq!(events, [vec![gone], changed(&renamed)].concat());
        let gone = RouteEvent::Gone { slug: renamed.slug.clone() };
        assert_eq!(differences(&mut told, &runtime, None), [gone]);
        assert_eq!(differences(&mut told, &runtime, None), []);
    }

    #[test]
    fn a_name_that_a_successor_has_already_is_not_told_as_gone() {
        let (mut told, first, second) = (HashMap::new(), row("demo"), row("demo"));
        for one in [&first, &second] {
            differences(&mut told, &one.runtime_id, Some(one.clone()));
        }
        assert_eq!(differences(&mut told, &first.runtime_id, None), []);
        assert_eq!(told.len(), 1);
    }
}
