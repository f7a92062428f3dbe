package place

import (
	"context"

	"pilot/engine/host/state"
	"pilot/engine/host/store"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// storage is the store of files and buckets.
type storage struct{ *state.Store }

func (s storage) Backend() backend.Backend { return s.Store.Backend() }

func (s storage) Lock(ctx context.Context, ref backend.StackReference) (store.Held, error) {
	held, err := s.Store.Lock(ctx, ref)
	if err != nil {
		return nil, err
	}
	return held, nil
}

func (s storage) Overwrite(ctx context.Context, ref backend.StackReference) (store.Held, error) {
	held, err := s.Store.Overwrite(ctx, ref)
	if err != nil {
		return nil, err
	}
	return held, nil
}

func (s storage) Begin(_ context.Context, held store.Held, change store.Change) (store.Update, error) {
	update := &stored{stack: change.Stack, adopts: change.Adopts}
	if locked, is := held.(*state.Held); is && !change.Dry {
		update.held = locked
		locked.WhenLost(change.Lost)
	}
	return update, nil
}

// stored is an update of a stack that is kept in files or objects; one that is dry holds nothing.
type stored struct {
	stack   backend.Stack
	held    *state.Held
	journal *state.Journal
	adopts  []string
}

func (s *stored) Stack() backend.Stack { return s.stack }

func (s *stored) Journal(
	ctx context.Context, base *deploy.Snapshot, manager secrets.Manager,
) (engine.SnapshotManager, error) {
	if s.held == nil {
		return nil, nil
	}
	journal, err := s.held.Journal(ctx, base, manager, s.adopts)
	if err != nil {
		return nil, err
	}
	s.journal = journal
	return journal, nil
}

// Record does nothing: storage keeps no events.
func (*stored) Record(apitype.EngineEvent) {}

func (s *stored) Finish(ctx context.Context, info backend.UpdateInfo) error {
	if s.journal == nil {
		return nil
	}
	return s.journal.Finish(ctx, info)
}
