//! What a healthy installation needs, checked one by one, each with what to do about it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use contracts::stray::Stray;
use contracts::workspace::Workspace;
use contracts::{ErrorCode, InstallationId, Problem, ProviderName, RuntimeId};
use provider_api::{Finding, OwnedObject};
use rustix::fs::Access;

use crate::boot::DataFolderBoot;
use crate::data::Layout;
use crate::engine::provider_problem;
use crate::tools::ToolPaths;
use crate::wiring::{ProviderSettings, Providers};

/// What to look at. Nothing is changed and no lock is taken, so it runs beside a server.
#[derive(Debug, Clone)]
pub struct DoctorConfig {
    pub layout: Layout,
    pub tools: ToolPaths,
    pub settings: ProviderSettings,
}

/// One finding. `note` is what a reader should know even when all is well.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub name: String,
    pub ok: bool,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

impl Check {
    fn new(name: &str, result: Result<String, Problem>) -> Self {
        let name = name.to_owned();
        match result {
            Ok(detail) => Self { name, ok: true, detail, action: None },
            Err(problem) => Self { name, ok: false, detail: problem.detail, action: problem.action },
        }
    }

    fn of(provider: &ProviderName, found: Finding) -> Self {
        let Finding { name, ok, detail, action } = found;
        Self { name: format!("{provider}: {name}"), ok, detail, action }
    }
}

/// Every check, in the order in which a create needs them.
pub async fn run(config: &DoctorConfig) -> Vec<Check> {
    let mut checks = vec![data_folder(&config.layout)];
    checks.extend(engine(&config.tools).await);
    let boot = std::sync::Arc::new(DataFolderBoot::new(config.layout.clone(), None));
    let providers = match Providers::build(&config.layout, &config.tools, &config.settings, boot) {
        Ok(providers) => providers,
        Err(problem) => {
            checks.push(Check::new("settings of providers", Err(problem)));
            return checks;
        }
    };
    let installation = installation(&config.layout);
    for provider in providers.all() {
        let described = provider.describe();
        let result = provider.ready().await.map_err(provider_problem);
        let name = format!("provider {}", described.name);
        let is_ready = result.is_ok();
        checks.push(Check::new(&name, result.map(|()| format!("usable; {}", described.isolation))));
        if let (true, Some(installation)) = (is_ready, &installation) {
            checks.extend(
                provider
                    .examine(installation)
                    .await
                    .into_iter()
                    .map(|found| Check::of(&described.name, found)),
            );
        }
    }
    checks
}

/// Of a data folder that was used before.
fn installation(layout: &Layout) -> Option<InstallationId> {
    layout.read_secret("installation").and_then(|text| text.parse().ok())
}

/// What exists outside with the labels of this data folder's installation, by provider. One that cannot be asked is left
/// out: its own check says why.
pub async fn owned(config: &DoctorConfig) -> Vec<(ProviderName, Vec<OwnedObject>)> {
    let boot = std::sync::Arc::new(DataFolderBoot::new(config.layout.clone(), None));
    let providers = Providers::build(&config.layout, &config.tools, &config.settings, boot);
    let (Some(installation), Ok(providers)) = (installation(&config.layout), providers) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for provider in providers.all() {
        let Some(inventory) = provider.inventory() else { continue };
        if let Ok(owned) = inventory.list_installation(&installation).await {
            all.push((provider.describe().name, owned));
        }
    }
    all
}

/// Of what exists outside, what belongs to none of these runtimes. They have to be asked for later than what exists: what
/// was just made has a row before it has anything outside. `strays`: what the server knows of it.
pub fn left(
    owned: &[(ProviderName, Vec<OwnedObject>)],
    runtimes: &HashSet<RuntimeId>,
    strays: &[Stray],
) -> Vec<Check> {
    let of = |(provider, objects): &(ProviderName, Vec<OwnedObject>)| {
        let left = objects.iter().filter(|object| !runtimes.contains(&object.runtime_id));
        let what_follows = |object: &OwnedObject| {
            let is_it = |stray: &&Stray| {
                (&stray.provider, &stray.runtime_id, &stray.kind, &stray.id)
                    == (provider, &object.runtime_id, &object.kind, &object.id)
            };
            let Some(stray) = strays.iter().find(is_it) else {
                return " (the server has not noted it yet; it looks every ten minutes)".to_owned();
            };
            let since = stray.first_seen;
            match stray.removed_at {
                Some(at) => format!(" (since {since:.0}, is removed after {at:.0})"),
                None if stray.home => {
                    format!(" (since {since:.0}, stays: files of a user are never removed by itself)")
                }
                None => format!(" (since {since:.0}, stays)"),
            }
        };
        let left: Vec<String> = left
            .map(|object| {
                let (kind, id) = (&object.kind, short(&object.id));
                format!("{kind} {id} of {}{}", object.runtime_id, what_follows(object))
            })
            .collect();
        (!left.is_empty()).then(|| Check {
            name: format!("left {provider}"),
            ok: true,
            detail: format!("these are of no workspace that this server knows: {}", left.join(", ")),
            action: Some(LEFT.to_owned()),
        })
    };
    owned.iter().filter_map(of).collect()
}

/// Docker takes the beginning of an id for it, and shows no more itself.
fn short(id: &str) -> &str {
    let is_digest = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest { id.get(..12).unwrap_or(id) } else { id }
}

/// Of these workspaces, those that are at another place than the one that is reached, by provider.
pub fn elsewhere(workspaces: &[Workspace]) -> Vec<Check> {
    let mut by_provider: BTreeMap<&str, Vec<(&Workspace, &Problem)>> = BTreeMap::new();
    for workspace in workspaces {
        if let Some(problem) =
            workspace.error.as_ref().filter(|error| error.code == ErrorCode::RuntimeElsewhere)
        {
            by_provider.entry(workspace.provider.as_str()).or_default().push((workspace, problem));
        }
    }
    let check = |(provider, those): (&str, Vec<(&Workspace, &Problem)>)| {
        let (names, (_, first)) =
            (those.iter().map(|(workspace, _)| workspace.slug.as_str()).collect::<Vec<_>>(), those[0]);
        Check {
            name: format!("elsewhere {provider}"),
            ok: true,
            detail: format!("these cannot be seen: {}. {}", names.join(", "), first.detail),
            action: first.action.clone(),
        }
    };
    by_provider.into_iter().map(check).collect()
}

/// What is known is said first, and why it may be so after it, the likeliest first.
const LEFT: &str = "\
    Likely one of these. A backup was restored that is older than they are: with a newer one their workspaces are back. Another \
    Pilot has this installation's secrets, as a copy of its data folder does, and they are its own: serve one of the two alone, or \
    the copy with `pilot serve --repair report`, which removes nothing. Or an answer of the provider was lost, and they are left \
    over. What is no home is removed by itself after a time; `pilot serve --stray-grace 7d` gives you more. A home stays: take \
    what you need of it, and remove it at the provider.";

const SLOWER: &str = "not warm: each create, delete and preview starts the Pulumi CLI, which takes one to three \
     seconds and 100 MB more.";
const FOR_PEOPLE: &str = "not here. No workspace needs it: stacks that `pilot stack export NAME` writes are used with it, \
     and `pulumi up` installs Pilot itself.";
const BUILD: &str = "When you need it: `cargo xtask tools` builds it once, about 6 min on 2 cores.";

/// What runs stacks: the engine host or the CLI. One is enough, and this is where it says what the other is for.
async fn engine(tools: &ToolPaths) -> [Check; 2] {
    let cli = tools.pulumi().await;
    let host = tools.host(cli.as_ref().ok()).await;
    let named =
        |name: &str, detail: String, action| Check { name: name.to_owned(), ok: true, detail, action };
    let pulumi = match (&cli, &host) {
        (Err(_), Ok(_)) => named("pulumi", FOR_PEOPLE.to_owned(), Some(BUILD.to_owned())),
        _ => Check::new(
            "pulumi",
            cli.clone().map(|cli| format!("{} at {}", cli.version(), cli.path().display())),
        ),
    };
    let engine = match (host, cli) {
        (Err(problem), Ok(_)) => named("engine", format!("{SLOWER} {}", problem.detail), problem.action),
        (host, _) => Check::new("engine", host.map(|host| format!("warm, {}", host.path().display()))),
    };
    [pulumi, engine]
}

/// With less room than this a create does not come to its end.
const NO_ROOM: u64 = 32 << 20;

fn data_folder(layout: &Layout) -> Check {
    Check::new("data folder", room(layout))
}

/// Where it is or will be, and how much can be written there.
fn room(layout: &Layout) -> Result<String, Problem> {
    let root = layout.root.display();
    let there = layout.root.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let unusable =
        |error| Problem::new(ErrorCode::DataFolderUnusable, format!("{root} cannot be used: {error}."));
    // What is no folder, and a link to nothing, would be met by the first start.
    if layout.root.symlink_metadata().is_ok() && !layout.root.is_dir() {
        return Err(unusable(rustix::io::Errno::NOTDIR)
            .with_action("Name a folder with --data or PILOT_DATA, or put away what has its name."));
    }
    rustix::fs::access(there, Access::WRITE_OK).map_err(unusable)?;
    let disk = rustix::fs::statvfs(there).map_err(unusable)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    // Some file systems do not count files.
    if free < NO_ROOM || (disk.f_files > 0 && disk.f_favail == 0) {
        let detail = format!("{root}: its disk is full, {} MiB are free", free >> 20);
        return Err(crate::data::full(&detail, crate::data::DISK));
    }
    let first = if there == layout.root { "" } else { " will be made at the first start" };
    Ok(format!("{root}{first}, {} MiB free", free >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_folder_that_is_a_file_or_a_link_to_nothing_is_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| room(&Layout { root: folder.path().join(name) });
        std::fs::write(folder.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
        for name in ["file", "link"] {
            let problem = at(name).unwrap_err();
            assert_eq!(problem.code.known(), Some(ErrorCode::DataFolderUnusable), "{name}");
        }
        assert!(at("later").unwrap().contains("will be made"));
    }

    #[test]
    fn what_no_row_knows_is_told_by_its_runtime_and_nothing_else() {
        let [known, lost] = [RuntimeId::random(), RuntimeId::random()];
        let object = |runtime_id: &RuntimeId| OwnedObject {
            runtime_id: runtime_id.clone(),
            kind: "container".to_owned(),
            id: format!("c-{runtime_id}"),
            home: provider_api::Home::No,
        };
        let name: ProviderName = "docker".parse().unwrap();
        let runtimes = HashSet::from([known.clone()]);
        let stray = |home, removed_at| Stray {
            provider: name.clone(),
            kind: "container".to_owned(),
            id: format!("c-{lost}"),
            runtime_id: lost.clone(),
            home,
            first_seen: "2026-11-29T10:00:00Z".parse().unwrap(),
            last_seen: "2026-11-29T11:00:00Z".parse().unwrap(),
            removed_at,
        };
        let owned = [(name.clone(), vec![object(&known), object(&lost)])];
        let tomorrow = "2026-11-30T10:00:00Z".parse().unwrap();
        for (stray, words) in [
            (
                stray(false, Some(tomorrow)),
                "since 2026-11-29T10:00:00Z, is removed after 2026-11-30T10:00:00Z",
            ),
            (stray(true, None), "since 2026-11-29T10:00:00Z, stays: files of a user"),
        ] {
            let checks = left(&owned, &runtimes, &[stray]);
            assert!(checks[0].detail.contains(words), "{checks:?}");
        }
        let checks = left(&owned, &runtimes, &[]);
        assert_eq!(checks.len(), 1);
        assert!(checks[0].detail.contains(&format!("container c-{lost} of {lost}")), "{checks:?}");
        assert!(!checks[0].detail.contains("backup"), "why it is so is not known: {checks:?}");
        let action = checks[0].action.as_deref().unwrap();
        let at = ["A backup", "Another Pilot", "was lost", "`pilot serve --stray-grace"]
            .map(|word| action.find(word));
        assert!(at.is_sorted() && at[0].is_some(), "{action}");
        assert!(checks[0].detail.contains("not noted it yet"), "{checks:?}");
        assert!(!checks[0].detail.contains(known.as_str()), "{checks:?}");
        let container = OwnedObject { id: "0123456789ab".to_owned() + &"c".repeat(52), ..object(&lost) };
        let checks = left(&[(name.clone(), vec![container])], &runtimes, &[]);
        assert!(checks[0].detail.contains("container 0123456789ab of "), "{checks:?}");
        assert!(left(&[(name, vec![object(&known)])], &runtimes, &[]).is_empty());
    }

    #[test]
    fn what_is_at_another_place_is_told_by_name_with_what_to_do() {
        let workspace = |slug: &str, code: ErrorCode| {
            let problem = Problem::new(code, "Engine a, not b.").with_action("Go back.");
            let shown = serde_json::json!({
                "id": "ws_1", "slug": slug, "runtimeId": "rt-1", "provider": "docker", "size": "small", "labels": {},
                "desired": "running", "state": "unknown", "since": "2026-11-29T10:00:00Z", "error": problem,
                "createdAt": "2026-11-29T10:00:00Z",
            });
            serde_json::from_value::<Workspace>(shown).unwrap()
        };
        let all = [
            workspace("one", ErrorCode::RuntimeElsewhere),
            workspace("two", ErrorCode::RuntimeElsewhere),
            workspace("three", ErrorCode::DockerUnavailable),
        ];
        let checks = elsewhere(&all);
        let [check] = checks.as_slice() else { panic!("{checks:?}") };
        assert_eq!(check.name, "elsewhere docker");
        assert_eq!(check.detail, "these cannot be seen: one, two. Engine a, not b.");
        assert_eq!(check.action.as_deref(), Some("Go back."));
    }

    #[test]
    fn a_data_folder_is_usable_where_there_is_room_or_will_be() {
        let folder = tempfile::tempdir().unwrap();
        for root in [folder.path().to_owned(), folder.path().join("a/b")] {
            let check = data_folder(&Layout { root: root.clone() });
            assert!(check.ok && check.detail.ends_with("MiB free"), "{check:?}");
        }
        let check = data_folder(&Layout { root: "/proc/none".into() });
        assert!(!check.ok && check.detail.contains("/proc/none"), "{check:?}");
    }

    #[tokio::test]
    async fn without_anything_that_runs_stacks_both_are_missing_and_say_what_to_do() {
        let tools = ToolPaths {
            pulumi: Some("/nonexistent/pulumi".into()),
            host: Some("/nonexistent/host".into()),
            ..ToolPaths::default()
        };
        for check in engine(&tools).await {
            assert!(!check.ok && check.action.is_some(), "{check:?}");
        }
    }
}
