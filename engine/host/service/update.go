package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/httpstate/client"
	"github.com/pulumi/pulumi/pkg/v3/backend/httpstate/journal"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
)

// journalVersion is the newest form of journals that this engine writes; it asks for that and takes older ones.
const journalVersion = 2

// completing is how long the service has for the end of an update. After that the lease runs out by itself.
const completing = leaseLength

// update is one that has started at the service.
type update struct {
	store *Store
	id    client.UpdateIdentifier
	stack backend.Stack
	dry   bool
	// journals is the form of journals that the service has chosen, if it takes any.
	journals int64
	lease    *lease
	events   *recorder
	manager  engine.SnapshotManager
}

func (u *update) Stack() backend.Stack { return u.stack }

func (u *update) Record(event apitype.EngineEvent) { u.events.add(event) }

// Journal sends each step by itself where the service takes that, and else the whole state after each.
func (u *update) Journal(
	ctx context.Context, base *deploy.Snapshot, manager secrets.Manager,
) (engine.SnapshotManager, error) {
	if u.dry {
		return nil, nil
	}
	if u.journals < 1 || u.journals > journalVersion {
		u.manager = backend.NewSnapshotManager(&persister{ctx, u}, manager, base, nil)
		return u.manager, nil
	}
	journaler := journal.NewJournaler(ctx, u.store.Client(), u.id, u.lease, manager)
	made, err := engine.NewJournalSnapshotManagerWithVersion(journaler, base, manager, u.journals)
	if err != nil {
		return nil, errors.Join(err, journaler.Close())
	}
	u.manager = made
	return made, nil
}

// Finish tells the service how it ended, which makes the lease void.
func (u *update) Finish(ctx context.Context, info backend.UpdateInfo) error {
	defer u.lease.end()
	if dropped := u.events.end(); dropped > 0 {
		u.store.sink.Warningf(diag.RawMessage("", fmt.Sprintf(
			"the service was too slow for %d of this update's events; its log there has gaps", dropped)))
	}
	var failed error
	if u.manager != nil {
		failed = u.manager.Close()
	}
	status := apitype.UpdateStatusSucceeded
	if info.Result != backend.SucceededResult || failed != nil {
		status = apitype.UpdateStatusFailed
	}
	if u.lease.isLost() {
		// The service has ended it already.
		return failed
	}
	ctx, done := context.WithTimeout(ctx, completing)
	defer done()
	if err := u.store.Client().CompleteUpdate(ctx, u.id, status, u.lease, nil); err != nil {
		failed = errors.Join(failed, fmt.Errorf("complete the update: %w", err))
	}
	return failed
}

// persister sends the whole state to a service that takes no journal.
type persister struct {
	ctx    context.Context
	update *update
}

// oldSchema is the schema that every service knows.
const oldSchema = 3

func (p *persister) Save(deployment apitype.TypedDeployment) error {
	service := p.update.store
	if deployment.Version > oldSchema && service.backend.Capabilities(p.ctx).DeploymentSchemaVersion <= oldSchema {
		deployment.Version, deployment.Features = oldSchema, nil
	}
	whole, err := deployment.Deployment.ToUntypedDeployment(deployment.Version, deployment.Features)
	if err != nil {
		return fmt.Errorf("serialize the state: %w", err)
	}
	return service.Client().PatchUpdateCheckpoint(p.ctx, p.update.id, whole, p.update.lease)
}
