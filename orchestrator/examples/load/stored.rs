//! Many workspaces that are stored and do not run: what lists, rounds of the reconciler and memory cost.

use std::path::Path;
use std::time::{Duration, Instant};

use contracts::operation::OperationKind;
use futures_util::StreamExt as _;
use orchestrator::store::{NewOperation, Store, WorkspaceRow};

use super::clients;
use super::server::Server;

/// Rounds of ten seconds, of which each sixth looks at what does not run.
const LONG: Duration = Duration::from_secs(120);

pub async fn measure(pilot: &Path, count: usize, metrics: &mut super::Metrics) {
    let folder = tempfile::tempdir().unwrap();
    // Makes the database and the secrets.
    Server::start(pilot, folder.path(), None).await.end();
    let store = Store::open(&folder.path().join("pilot.db")).await.unwrap();
    let inserts = (0..count).map(|index| {
        let store = &store;
        async move {
            let slug = format!("s{index:05}").parse().unwrap();
            let row = WorkspaceRow::new(slug, "fake".parse().unwrap(), "small".to_owned());
            let new = NewOperation::of(OperationKind::Create, "admin", "fill");
            store.insert_workspace(&row, &new).await.unwrap();
            // Then nobody wants it to run.
            store.cancel(&new.id).await.unwrap();
        }
    });
    futures_util::stream::iter(inserts).buffer_unordered(256).for_each(|()| async {}).await;
    store.close().await;
    let began = Instant::now();
    let mut server = Server::start(pilot, folder.path(), None).await;
    metrics.insert("restart_stored_ms", began.elapsed().as_secs_f64() * 1000.0);
    // The first round notes what all of them are.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let (before, began) = (server.processor_seconds(), Instant::now());
    tokio::time::sleep(LONG).await;
    let used = server.processor_seconds() - before;
    metrics.insert("reconcile_core_percent", 100.0 * used / began.elapsed().as_secs_f64());
    metrics.insert("list_p99_ms", clients::pages(&server, 1000).await.percentile(99));
    metrics.insert("rss_mb", server.rss_mb());
    server.end();
}
