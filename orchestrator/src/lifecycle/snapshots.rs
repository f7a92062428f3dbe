//! What is asked about snapshots of workspaces, and forks that begin with one.

use std::sync::Arc;
use std::time::Duration;

use contracts::egress::EgressChoice;
use contracts::operation::OperationKind;
use contracts::snapshot::{ForkWorkspace, Snapshot, SnapshotList, SnapshotWork, TakeSnapshot};
use contracts::workspace::{Accepted, CreateWorkspace, Desired};
use contracts::{ErrorCode, OperationId, Problem, WorkspaceRef};
use provider_api::{Provider, RuntimeRef, Snapshots};

use super::changes::{new_operation, new_row};
use super::request;
use super::service::{Caller, Lifecycle, slug_taken};
use crate::engine::provider_problem;
use crate::store::{NewOperation, StoreError, WorkspaceRow};

/// A list is a call that people wait for.
const LIMIT: Duration = Duration::from_secs(30);

impl Lifecycle {
    pub async fn snapshots(&self, name: &WorkspaceRef) -> Result<SnapshotList, Problem> {
        let row = self.row(name).await?;
        Ok(SnapshotList { snapshots: self.listed(&row).await?, limit: self.snapshot_limit })
    }

    /// Takes one. What runs goes on afterwards.
    pub async fn take_snapshot(
        &self,
        name: &WorkspaceRef,
        body: TakeSnapshot,
        caller: &Caller,
    ) -> Result<Accepted, Problem> {
        let digest = format!("snapshot {name} {}", serde_json::to_string(&body).unwrap_or_default());
        let ask = async {
            let called = body.name.map(called).transpose()?;
            let row = self.row(name).await?;
            self.must_have_room(&row).await?;
            let work = SnapshotWork { name: called, ..SnapshotWork::on(new_id()) };
            self.work(name, &row, None, (OperationKind::Snapshot, work), caller, &digest).await
        };
        self.once(caller.key(&digest).as_ref(), |id| self.accepted_before(id), ask).await
    }

    /// Brings its files back, after it has taken one of what is there.
    pub async fn restore_snapshot(
        &self,
        name: &WorkspaceRef,
        id: &str,
        caller: &Caller,
    ) -> Result<Accepted, Problem> {
        let digest = format!("rewind {name} {id}");
        let ask = async {
            let row = self.row(name).await?;
            let provider = self.providers.serving(&row)?;
            if !provider.capabilities().rewind {
                ability(provider.as_ref(), &row)?;
                let detail = format!(
                    "The provider {} takes snapshots and does not bring their files back into a workspace.",
                    row.provider
                );
                return Err(Problem::new(ErrorCode::CapabilityUnsupported, detail)
                    .with_action("`pilot provider ls --json` shows what each provider can."));
            }
            let snapshot = self.snapshot(&row, id).await?;
            self.must_have_room(&row).await?;
            let work =
                SnapshotWork { name: snapshot.name, safety: Some(new_id()), ..SnapshotWork::on(snapshot.id) };
            // Its memory is of other files.
            let desired = (row.desired == Desired::Suspended).then_some(Desired::Stopped);
            self.work(name, &row, desired, (OperationKind::Rewind, work), caller, &digest).await
        };
        self.once(caller.key(&digest).as_ref(), |id| self.accepted_before(id), ask).await
    }

    pub async fn remove_snapshot(
        &self,
        name: &WorkspaceRef,
        id: &str,
        caller: &Caller,
    ) -> Result<Accepted, Problem> {
        let digest = format!("discard {name} {id}");
        let ask = async {
            let row = self.row(name).await?;
            let snapshot = self.snapshot(&row, id).await?;
            let work = SnapshotWork::on(snapshot.id);
            self.work(name, &row, None, (OperationKind::Discard, work), caller, &digest).await
        };
        self.once(caller.key(&digest).as_ref(), |id| self.accepted_before(id), ask).await
    }

    /// A new workspace whose home begins with a snapshot of this one, without its secrets.
    pub async fn fork(
        &self,
        name: &WorkspaceRef,
        body: ForkWorkspace,
        caller: &Caller,
    ) -> Result<Accepted, Problem> {
        let digest = format!("fork {name} {}", serde_json::to_string(&body).unwrap_or_default());
        let ask = async {
            let of = self.row(name).await?;
            let (row, wanted) = self.forked(&of, body).await?;
            let work = match wanted {
                Some(id) => SnapshotWork::on(self.snapshot(&of, &id).await?.id),
                None => {
                    self.must_have_room(&of).await?;
                    let called = format!("for the fork {}", row.slug);
                    let work = SnapshotWork { name: Some(called), ..SnapshotWork::on(new_id()) };
                    let take = NewOperation {
                        snapshot: Some(work.clone()),
                        ..NewOperation::of(OperationKind::Snapshot, &caller.principal, &caller.request_id)
                    };
                    let taken = self.ask(name, &of, None, take).await?;
                    SnapshotWork { name: None, after: Some(taken.operation.id), ..work }
                }
            };
            let work = SnapshotWork { of: Some(of.runtime_id.clone()), ..work };
            let row = WorkspaceRow { source: Some(work.clone()), ..row };
            let create = new_operation(OperationKind::Create, caller, &digest);
            let create = NewOperation { snapshot: Some(work), if_match: None, ..create };
            match self.store.insert_workspace(&row, &create).await {
                Ok(operation) => self.accepted(&row.id.into(), operation).await,
                Err(StoreError::SlugTaken) => Err(slug_taken(&row.slug)),
                Err(error) => Err(error.into()),
            }
        };
        self.once(caller.key(&digest).as_ref(), |id| self.accepted_before(id), ask).await
    }

    /// The fork as it is to be, and the snapshot that was named for it.
    async fn forked(
        &self,
        of: &WorkspaceRow,
        body: ForkWorkspace,
    ) -> Result<(WorkspaceRow, Option<String>), Problem> {
        let provider = self.providers.serving(of)?;
        if !provider.capabilities().fork {
            let detail =
                format!("The provider {} begins no workspace with the files of another.", of.provider);
            return Err(Problem::new(ErrorCode::CapabilityUnsupported, detail)
                .with_action("`pilot provider ls --json` shows what each provider can."));
        }
        provider.ready().await.map_err(provider_problem)?;
        let owner = body.owner.or_else(|| Some(of.owner.clone()).filter(|owner| !owner.is_empty()));
        let create = CreateWorkspace {
            slug: body.slug,
            provider: Some(of.provider.to_string()),
            size: body.size.or_else(|| Some(of.size.clone())),
            region: of.region.clone(),
            git: of.git.clone(),
            // As its original has it now, which is perhaps not what new ones get.
            egress_allow: Some(EgressChoice::of(of.egress.clone()).texts()),
            owner,
            labels: body.labels.unwrap_or_else(|| of.labels.clone()),
        };
        let valid = request::validate(create, &self.providers, of.provider.as_str())?;
        if self.store.workspace(&valid.slug.clone().into()).await?.is_some() {
            return Err(slug_taken(&valid.slug));
        }
        let image = match body.image {
            Some(reference) => Some(request::image(&reference, provider.as_ref()).await?),
            None => of.image.clone(),
        };
        Ok((WorkspaceRow { image, ..new_row(valid) }, body.snapshot))
    }

    async fn work(
        &self,
        name: &WorkspaceRef,
        row: &WorkspaceRow,
        desired: Option<Desired>,
        (kind, work): (OperationKind, SnapshotWork),
        caller: &Caller,
        digest: &str,
    ) -> Result<Accepted, Problem> {
        let operation = NewOperation { snapshot: Some(work), ..new_operation(kind, caller, digest) };
        self.ask(name, row, desired, operation).await
    }

    async fn listed(&self, row: &WorkspaceRow) -> Result<Vec<Snapshot>, Problem> {
        let snapshots = ability(self.providers.serving(row)?.as_ref(), row)?;
        self.must_be_seen(row).await?;
        let runtime = RuntimeRef::new(row.runtime_id.clone(), self.installation.clone());
        let listed = tokio::time::timeout(LIMIT, snapshots.list(&runtime)).await.map_err(|_| {
            let detail = format!("The provider {} did not list the snapshots in time.", row.provider);
            Problem::new(ErrorCode::ProviderTimeout, detail).with_action("Try again.")
        })?;
        let told = |snapshot: provider_api::Snapshot| Snapshot {
            id: snapshot.id,
            name: snapshot.name,
            created_at: snapshot.created,
            size: snapshot.size,
            kept_until: snapshot.until,
        };
        Ok(listed.map_err(provider_problem)?.into_iter().map(told).collect())
    }

    /// Of this workspace.
    async fn snapshot(&self, row: &WorkspaceRow, id: &str) -> Result<Snapshot, Problem> {
        let found = self.listed(row).await?.into_iter().find(|snapshot| snapshot.id == id);
        found.ok_or_else(|| {
            let detail = format!("The workspace {} has no snapshot {id:?}.", row.slug);
            Problem::new(ErrorCode::SnapshotNotFound, detail)
                .with_action(format!("`pilot ws snapshot ls {}` lists those that it has.", row.slug))
        })
    }

    /// What a provider keeps and removes by itself is not counted: nobody else can remove it.
    async fn must_have_room(&self, row: &WorkspaceRow) -> Result<(), Problem> {
        let listed = self.listed(row).await?;
        let counted = listed.iter().filter(|snapshot| snapshot.kept_until.is_none()).count();
        if counted < self.snapshot_limit as usize {
            return Ok(());
        }
        let detail = format!(
            "The workspace {} has {counted} snapshots, and {} may be taken of one workspace; a restore takes one of what is there \
             now first.",
            row.slug, self.snapshot_limit
        );
        let action = format!(
            "Remove one: `pilot ws snapshot ls {slug}` lists them, `pilot ws snapshot rm {slug} ID` removes.",
            slug = row.slug
        );
        Err(Problem::new(ErrorCode::SnapshotLimit, detail).with_action(action))
    }
}

fn ability(provider: &dyn Provider, row: &WorkspaceRow) -> Result<Arc<dyn Snapshots>, Problem> {
    provider.snapshots().ok_or_else(|| {
        let detail = format!("The provider {} takes no snapshots.", row.provider);
        Problem::new(ErrorCode::CapabilityUnsupported, detail)
            .with_action("`pilot provider ls --json` shows what each provider can.")
    })
}

/// For people, and for a label at the provider.
fn called(name: String) -> Result<String, Problem> {
    let length = name.chars().count();
    if (1..=64).contains(&length) && !name.chars().any(char::is_control) && name.trim() == name {
        return Ok(name);
    }
    let detail = "A snapshot's name has 1 to 64 printable characters, and no space at its ends.";
    Err(Problem::new(ErrorCode::BadRequest, detail))
}

/// Short enough for the names of what is made from it.
fn new_id() -> String {
    let id = OperationId::random();
    let random = id.as_str().trim_start_matches("op-");
    // The time in the front makes it sort by age, and the rest is random.
    format!("sn-{}{}", &random[..12], &random[random.len().saturating_sub(8)..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_snapshots_are_what_a_label_and_a_line_can_hold() {
        for good in ["before the upgrade", "a", "Ä \"1\""] {
            assert!(called(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", " a", "a\n", "a\tb", &"x".repeat(65)] {
            assert!(called(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_of_snapshots_are_names_of_their_own() {
        let (one, two) = (new_id(), new_id());
        assert_ne!(one, two);
        assert!(one.len() == 23 && one.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{one}");
    }
}
