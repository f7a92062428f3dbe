//! How volumes are made: so that no prune removes them, and with a limit where homes have one.
//!
//! `docker volume prune` of engines before 23, its `-a` of newer ones and `docker system prune --volumes` remove each local volume that no container
//! refers to, and a prune of containers has removed that of a stopped workspace before. Engines leave volumes with options alone in all
//! of these. The option `size` is the only one that needs nothing else, and 0 is no limit.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};
use contracts::{ErrorCode, InstallationId};
use futures_util::future::join_all;
use provider_api::{Finding, ProviderError, Result, Settings};

use crate::engine::Engine;
use crate::failure::{Answer, Failure};
use crate::names;
use crate::settings::unusable;

const SIZE: &str = "size";
const LEAST_MIB: u32 = 64;

/// What each home may hold, when the operator limits it.
pub(crate) fn home_mib(settings: &Settings) -> Result<Option<u32>> {
    let number = |text: &str| {
        let mib = text.parse::<u32>().ok().filter(|mib| *mib >= LEAST_MIB);
        mib.ok_or_else(|| unusable("homeMib", &format!("{text:?} is no number from {LEAST_MIB} on")))
    };
    settings.get("homeMib").map(number).transpose()
}

/// A volume that only says something by its labels, or whose files nobody limits. Docker answers with the existing one when there is
/// one, whoever's it is.
pub(crate) async fn make(
    engine: &Engine,
    doing: &str,
    name: &str,
    labels: HashMap<String, String>,
) -> Answer<Volume> {
    match create(engine, doing, name, labels.clone(), Some("0".to_owned())).await {
        // An engine that does not know the option has not made anything.
        Err(Failure::Other(error)) if error.message.contains("option") => {
            tracing::debug!(%error, host = engine.host.name, "volumes here are not kept from a prune");
            create(engine, doing, name, labels, None).await
        }
        answer => answer,
    }
}

/// A home, or the files of one.
pub(crate) async fn make_home(
    engine: &Engine,
    doing: &str,
    name: &str,
    labels: HashMap<String, String>,
) -> Answer<Volume> {
    match engine.home_mib {
        Some(mib) => create(engine, doing, name, labels, Some(format!("{mib}m"))).await,
        None => make(engine, doing, name, labels).await,
    }
}

async fn create(
    engine: &Engine,
    doing: &str,
    name: &str,
    labels: HashMap<String, String>,
    size: Option<String>,
) -> Answer<Volume> {
    let docker = engine.docker().await?;
    let body = VolumeCreateRequest {
        name: Some(name.to_owned()),
        driver: Some("local".to_owned()),
        driver_opts: size.map(|size| HashMap::from([(SIZE.to_owned(), size)])),
        labels: Some(labels),
        ..Default::default()
    };
    engine.ask(doing, docker.create_volume(body)).await
}

/// What a volume that is there may hold, as it was made.
pub(crate) async fn limit(engine: &Engine, name: &str) -> Result<Option<String>> {
    let docker = engine.docker().await?;
    let found = engine.look("look at the volume", docker.inspect_volume(name)).await;
    let mut found = found.map_err(ProviderError::from)?;
    Ok(found.options.remove(SIZE).filter(|size| size != "0"))
}

/// What doctor says of the volumes of an installation.
pub(crate) async fn look(engines: &[Arc<Engine>], installation: &InstallationId) -> Vec<Finding> {
    let each = engines.iter().map(|engine| async move {
        let name = |what: &str| format!("{what} on host {}", engine.host.name);
        let failed = |name, error: ProviderError| Finding {
            name,
            ok: false,
            detail: error.message,
            action: error.action,
        };
        let kept = kept(engine, installation).await;
        let mut found = vec![match kept {
            Ok(finding) => Finding { name: name("homes"), ..finding },
            Err(error) => failed(name("homes"), error),
        }];
        if let Some(mib) = engine.home_mib {
            let can = can_limit(engine, installation, mib).await;
            let detail = format!("homes that are made from now on hold at most {mib} MiB");
            let fine = || Finding { name: name("home limit"), ok: true, detail, action: None };
            found.push(can.map_or_else(|error| failed(name("home limit"), error), |()| fine()));
        }
        found
    });
    join_all(each).await.concat()
}

/// Which homes and snapshots a prune would remove.
async fn kept(engine: &Engine, installation: &InstallationId) -> Result<Finding> {
    let docker = engine.docker().await?;
    let filters = names::owned_by(installation);
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let listed = engine.look("list volumes", docker.list_volumes(Some(options))).await?;
    let mut all = listed.volumes.unwrap_or_default();
    all.retain(|volume| !names::is_register(&volume.name));
    let total = all.len();
    all.retain(|volume| volume.options.is_empty());
    let mut prunable: Vec<_> = all.into_iter().map(|volume| volume.name).collect();
    prunable.sort();
    let name = String::new();
    let Some(first) = prunable.first() else {
        return Ok(Finding {
            name,
            ok: true,
            detail: format!("{total} volumes, which no prune removes"),
            action: None,
        });
    };
    let detail = format!(
        "of {total} volumes {} can be removed by `docker system prune --volumes` or `docker volume prune -a` while their workspace does not \
         run: {first}{}",
        prunable.len(),
        if prunable.len() > 1 { " and others" } else { "" }
    );
    Ok(Finding { name, ok: true, detail, action: Some(PRUNABLE.to_owned()) })
}

const PRUNABLE: &str = "An older Pilot made them. Prune with `--filter label!=pilot.installation`, or put \"pruneFilters\": [\"label!=pilot.installation\"] \
                        into ~/.docker/config.json of who prunes.";

/// Whether the engine's file system has quotas: it refuses a volume of a size at once where it has not.
async fn can_limit(engine: &Engine, installation: &InstallationId, mib: u32) -> Result<()> {
    let name = format!("pilot-{installation}-limit");
    let doing = "limit a volume";
    create(engine, doing, &name, HashMap::new(), Some(format!("{mib}m")))
        .await
        .map_err(ProviderError::from)?;
    let docker = engine.docker().await?;
    let removal = docker.remove_volume(&name, None::<RemoveVolumeOptions>);
    Failure::optional(engine.ask("remove the volume", removal).await).map(drop)
}

/// What a refused size means.
pub(crate) fn no_quota(message: &str) -> ProviderError {
    ProviderError::new(ErrorCode::ProviderFailed, message).with_action(
        "The file system of Docker's data cannot limit homes: unset PILOT_DOCKER_HOME_MIB, or keep Docker's data on xfs mounted with `pquota` \
         (a kernel with XFS_QUOTA) and restart Docker.",
    )
}
