package service

import (
	"context"
	"errors"
	"net/http"

	"pilot/engine/host/fault"
	"pilot/engine/host/state"
	"pilot/engine/host/store"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
	"github.com/pulumi/pulumi/pkg/v3/backend/httpstate"
	"github.com/pulumi/pulumi/pkg/v3/backend/httpstate/client"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// Store is one run's view of a service, with the run's own token. It is not kept for others: what a service says
// about a user changes, and so do tokens.
type Store struct {
	backend httpstate.Backend
	sink    diag.Sink
}

var _ store.Store = (*Store)(nil)

// Open connects to a service.
func Open(
	ctx context.Context, sink diag.Sink, url, token string, project *workspace.Project,
) (*Store, error) {
	opened, err := connect(ctx, sink, url, token, project)
	if err != nil {
		return nil, err
	}
	return &Store{backend: opened, sink: sink}, nil
}

// Backend is the stock one.
func (s *Store) Backend() backend.Backend { return s.backend }

// Client speaks to the service.
func (s *Store) Client() *client.Client { return s.backend.Client() }

// Check has nothing to do: the service never shows half a state.
func (s *Store) Check(context.Context, backend.StackReference) ([]string, error) { return nil, nil }

// Repair is the service's own business.
func (s *Store) Repair(context.Context, backend.StackReference, bool) (*state.Repair, error) {
	return nil, fault.Refuse("a stack of a service is not repaired from here: the service keeps its states")
}

// Lock takes nothing: the service refuses what contradicts an update that runs.
func (s *Store) Lock(context.Context, backend.StackReference) (store.Held, error) { return held{}, nil }

// Overwrite is the same.
func (s *Store) Overwrite(context.Context, backend.StackReference) (store.Held, error) {
	return held{}, nil
}

type held struct{}

func (held) Warnings() []string         { return nil }
func (held) Sync(context.Context) error { return nil }
func (held) Release()                   {}

func (held) Remove(ctx context.Context, stack backend.Stack, force, backups bool) (bool, error) {
	return backend.RemoveStack(ctx, stack, force, backups)
}

// Begin starts an update at the service; from then on a lease excludes others, unless it is dry.
func (s *Store) Begin(ctx context.Context, _ store.Held, change store.Change) (store.Update, error) {
	stack, is := change.Stack.(httpstate.Stack)
	if !is {
		return nil, errors.New("the stack is not one of a service")
	}
	about := apitype.UpdateMetadata{Message: change.Message, Environment: change.Environment}
	id, details, err := s.Client().CreateUpdate(ctx, change.Kind, stack.StackIdentifier(), change.Project,
		change.Config, about, change.Options, change.Dry, "", client.UpdateRequestOptions{})
	if err != nil {
		return nil, conflict(err)
	}
	for _, message := range details.Messages {
		s.sink.Infof(diag.RawMessage("", message.Message))
	}
	if len(details.RequiredPolicies) > 0 {
		return nil, fault.LeaveToCLI("the organization requires policy packs")
	}
	tags, err := backend.GetMergedStackTags(ctx, stack, change.Root, change.Project, change.Config)
	if err != nil {
		return nil, err
	}
	_, token, journals, err := s.Client().StartUpdate(ctx, id, tags)
	if err != nil {
		return nil, conflict(err)
	}
	made := &update{store: s, id: id, dry: change.Dry, journals: journals}
	made.lease = hold(ctx, s.Client(), id, token, change.Lost)
	made.events = record(ctx, s.Client(), id, made.lease)
	// What was known of the stack is from before the lease.
	if made.stack, err = s.backend.GetStack(ctx, stack.Ref()); err == nil && made.stack == nil {
		err = backenderr.StackNotFoundError{StackName: stack.Ref().String()}
	}
	if err != nil {
		return nil, errors.Join(err, made.Finish(ctx, backend.UpdateInfo{Result: backend.FailedResult}))
	}
	return made, nil
}

// conflict tells the refusal of a second update from other refusals.
func conflict(err error) error {
	var refused *apitype.ErrorResponse
	if errors.As(err, &refused) && refused.Code == http.StatusConflict {
		return backenderr.ConflictingUpdateError{Err: err}
	}
	return err
}
