//! From a workspace's row, or from what a provider's runtimes share, to a stack.

use contracts::snapshot::SnapshotWork;
use contracts::{ErrorCode, InstallationId, Problem};
use provider_api::{Declared, Provider, RuntimeRef, RuntimeSpec, Source};
use stacks::Stack;

use super::provider_problem;
use crate::store::WorkspaceRow;
use crate::wiring::Providers;

/// The stack of a workspace: everything in its row that decides it, and no slug.
pub fn stack_of(
    row: &WorkspaceRow,
    providers: &Providers,
    installation: &InstallationId,
) -> Result<Stack, Problem> {
    compile(providers.serving(row)?.as_ref(), &spec_of(row, installation))
}

fn spec_of(row: &WorkspaceRow, installation: &InstallationId) -> RuntimeSpec {
    // Each field by name: what a row decides is not forgotten here.
    RuntimeSpec {
        runtime_id: row.runtime_id.clone(),
        installation: installation.clone(),
        generation: row.generation,
        size: row.size.clone(),
        region: row.region.clone(),
        image: row.image.clone(),
        git: row.git.clone(),
        source: row.source.as_ref().and_then(source),
        egress: row.egress.clone(),
    }
}

fn source(work: &SnapshotWork) -> Option<Source> {
    Some(Source { runtime_id: work.of.clone()?, snapshot: work.id.clone() })
}

/// The same for a delete: a size or a region that the provider does not offer any more keeps nothing from going. What is
/// deleted is what the state has and what the labels find.
pub fn stack_to_delete(
    row: &WorkspaceRow,
    provider: &dyn Provider,
    installation: &InstallationId,
) -> Result<Stack, Problem> {
    without_offers(provider, spec_of(row, installation))
}

/// The same of a runtime of which nobody knows more than its id: no generation is newer than this one.
pub fn stack_of_stray(provider: &dyn Provider, runtime: &RuntimeRef) -> Result<Stack, Problem> {
    let spec = RuntimeSpec {
        generation: u32::MAX.into(),
        ..RuntimeSpec::new(runtime.runtime_id.clone(), runtime.installation.clone(), String::new())
    };
    without_offers(provider, spec)
}

fn without_offers(provider: &dyn Provider, spec: RuntimeSpec) -> Result<Stack, Problem> {
    let (described, refused) = match compile(provider, &spec) {
        Ok(stack) => return Ok(stack),
        Err(refused) => (provider.describe(), refused),
    };
    let size = described.sizes.first().map(|size| size.name.clone()).unwrap_or_default();
    let region = described.regions.first().map(|region| region.name.clone());
    let regions = [spec.region.clone(), region];
    let offered =
        regions.into_iter().map(|region| RuntimeSpec { size: size.clone(), region, ..spec.clone() });
    offered.into_iter().find_map(|spec| compile(provider, &spec).ok()).ok_or(refused)
}

/// A provider's declarations for a runtime as a stack.
pub fn compile(provider: &dyn Provider, spec: &RuntimeSpec) -> Result<Stack, Problem> {
    let declared = provider.declare(spec).map_err(provider_problem)?;
    checked(provider, spec.runtime_id.as_str(), declared)
}

/// What all runtimes of an installation share at this provider; `None` when there is nothing.
pub fn shared_stack(
    provider: &dyn Provider,
    installation: &InstallationId,
) -> Result<Option<Stack>, Problem> {
    let declared = provider.shared(installation).map_err(provider_problem)?;
    if declared.resources.is_empty() {
        return Ok(None);
    }
    checked(provider, &format!("shared-{}", provider.describe().name), declared).map(Some)
}

fn checked(provider: &dyn Provider, name: &str, declared: Declared) -> Result<Stack, Problem> {
    stacks::compile(name, declared).map_err(|error| {
        let provider = provider.describe().name;
        Problem::new(
            ErrorCode::Internal,
            format!("The provider {provider} declared an unusable stack: {error}."),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::Layout;

    fn providers(root: &std::path::Path) -> Providers {
        let layout = Layout { root: root.to_owned() };
        let boot = Arc::new(crate::boot::DataFolderBoot::new(layout.clone(), None));
        Providers::build(&layout, &Default::default(), &Default::default(), boot).unwrap()
    }

    /// By it a module refuses what an older export of the same stack says.
    #[test]
    fn each_part_of_a_runtime_carries_the_generation_of_its_row() {
        let root = tempfile::tempdir().unwrap();
        let providers = providers(root.path());
        for name in ["fake", "docker", "cloudflare", "local"] {
            let size = providers.get(name).unwrap().describe().sizes[0].name.clone();
            let row = WorkspaceRow {
                generation: 7,
                ..WorkspaceRow::new("demo".parse().unwrap(), name.parse().unwrap(), size)
            };
            let stack = stack_of(&row, &providers, &InstallationId::random()).unwrap();
            for resource in &stack.resources {
                let said = resource.inputs.get("generation");
                assert_eq!(said, Some(&7.into()), "{name}: {}", resource.name);
            }
        }
    }

    #[test]
    fn a_size_or_region_that_is_not_offered_any_more_keeps_nothing_from_being_deleted() {
        let root = tempfile::tempdir().unwrap();
        let providers = providers(root.path());
        let installation = InstallationId::random();
        for name in ["fake", "fly", "docker", "cloudflare", "local"] {
            let slug = "demo".parse().unwrap();
            let mut row = WorkspaceRow::new(slug, name.parse().unwrap(), "of-before".to_owned());
            row.region = Some("of-before".to_owned());
            let provider = providers.get(name).unwrap();
            match stack_to_delete(&row, provider.as_ref(), &installation) {
                Ok(stack) => assert_eq!(stack.name, row.runtime_id.as_str(), "{name}"),
                Err(problem) => assert_eq!(problem.code, ErrorCode::ProviderNotConfigured, "{problem}"),
            }
        }
        let row = WorkspaceRow::new("demo".parse().unwrap(), "fake".parse().unwrap(), "of-before".to_owned());
        assert!(stack_of(&row, &providers, &installation).is_err(), "what is made is judged");
    }
}
