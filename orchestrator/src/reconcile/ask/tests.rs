use std::time::Duration;

use async_trait::async_trait;
use contracts::ErrorCode;
use contracts::updates::{Change, Updates};
use contracts::workspace::Endpoint;
use provider_api::{
    Declared, Description, Lifecycle, ProviderError, Resource, RuntimeRef, RuntimeSpec, Statuses,
};

use super::*;

/// How a module answers, when it is asked for all.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Answers,
    /// Of the first alone.
    LeavesOut,
    Panics,
    NeverEnds,
    Fails,
}

struct Module(&'static str, Manner);

#[async_trait]
impl Provider for Module {
    fn describe(&self) -> Description {
        Description {
            name: self.0.parse().unwrap(),
            summary: "",
            isolation: "",
            unisolated: false,
            regions: Vec::new(),
            sizes: Vec::new(),
            suspend: false,
            persistent_home: false,
            updates: Updates { image: Change::Fixed, size: Change::Fixed },
            settings: Vec::new(),
        }
    }

    fn declare(&self, _: &RuntimeSpec) -> Result<Declared> {
        Ok(Declared::default())
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        Vec::new()
    }

    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        Arc::new(Module(self.0, self.1))
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Lifecycle for Module {
    async fn start(&self, _: &RuntimeRef) -> Result<()> {
        Ok(())
    }

    async fn stop(&self, _: &RuntimeRef, _: Duration) -> Result<()> {
        Ok(())
    }

    async fn status(&self, _: &RuntimeRef) -> Result<RunStatus> {
        Ok(RunStatus::Running)
    }

    fn status_many(&self, _: InstallationId, runtimes: Vec<RuntimeId>) -> Statuses<'_> {
        let all = stream::iter(runtimes).map(|id| (id, Ok(RunStatus::Running)));
        let manner = self.1;
        match manner {
            Manner::Answers => all.boxed(),
            Manner::LeavesOut => all.take(1).boxed(),
            Manner::Panics => all.inspect(|_| panic!("a flaw of the module")).boxed(),
            Manner::NeverEnds => all.take(1).chain(stream::pending()).boxed(),
            Manner::Fails => {
                let error = ProviderError::new(ErrorCode::ProviderUnreachable, "away");
                all.map(move |(id, _)| (id, Err(error.clone()))).boxed()
            }
        }
    }

    async fn endpoint(&self, _: &RuntimeRef) -> Result<Endpoint> {
        Ok(Endpoint::plain("h", 1))
    }
}

fn row(slug: &str, provider: &str) -> WorkspaceRow {
    WorkspaceRow::new(slug.parse().unwrap(), provider.parse().unwrap(), "small".to_owned())
}

/// Slugs in the order in which they were told of, and what was said: `Some(true)` of one that runs, `Some(false)` of one of
/// which nothing can be known.
async fn told(modules: &[(&'static str, Manner)], rows: Vec<WorkspaceRow>) -> Vec<(String, Option<bool>)> {
    let modules = modules.iter().map(|(name, manner)| Arc::new(Module(name, *manner)) as Arc<dyn Provider>);
    let asked = ask(&Providers::of(modules), &InstallationId::random(), rows);
    let said = |asked: Asked| (asked.row.slug.to_string(), asked.listed.map(|status| status.is_ok()));
    asked.map(said).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_module_that_panics_hangs_or_leaves_some_out_keeps_nobody_from_their_turn() {
    let modules = [
        ("good", Manner::Answers),
        ("short", Manner::LeavesOut),
        ("broken", Manner::Panics),
        ("slow", Manner::NeverEnds),
        ("away", Manner::Fails),
    ];
    let mut rows: Vec<_> = modules
        .iter()
        .flat_map(|(name, _)| [row(&format!("{name}-a"), name), row(&format!("{name}-b"), name)])
        .collect();
    rows.push(row("nowhere", "unknown"));
    rows.push(WorkspaceRow { desired: Desired::Deleted, ..row("leaving", "good") });
    let told = told(&modules, rows).await;
    let of = |name: &str| {
        let mut said: Vec<_> =
            told.iter().filter(|(slug, _)| slug.starts_with(name)).map(|(_, said)| *said).collect();
        said.sort();
        said
    };
    assert_eq!(of("good"), [Some(true), Some(true)]);
    assert_eq!(of("short"), [None, Some(true)]);
    assert_eq!(of("broken"), [None, None]);
    assert_eq!(of("slow"), [None, Some(true)]);
    assert_eq!(of("away"), [Some(false), Some(false)]);
    assert_eq!((of("nowhere"), of("leaving")), (vec![None], vec![None]), "by themselves");
    assert_eq!(told.len(), 12, "each once: {told:?}");
    assert!(told.last().unwrap().0.starts_with("slow"), "nobody has waited for it: {told:?}");
}
