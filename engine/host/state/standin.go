// Package state is a stand-in with the signatures of the real one.
package state

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/diy"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// Locked is another's lock.
type Locked struct{ Owner string }

func (l *Locked) Error() string {
	return "the stack is currently locked by 1 lock(s): created by " + l.Owner
}

// Corrupt is a state that cannot be read.
type Corrupt struct{ Stack, Reason string }

func (c *Corrupt) Error() string { return fmt.Sprintf("the state of %s %s", c.Stack, c.Reason) }

// Store is a backend.
type Store struct {
	backend diy.Backend
	mutex   sync.Mutex
	held    map[string]bool
}

// Open opens one.
func Open(ctx context.Context, url string, project *workspace.Project, keepHistory int) (*Store, error) {
	sink := diag.DefaultSink(io.Discard, io.Discard, diag.FormatOptions{Color: colors.Never})
	opened, err := diy.New(ctx, sink, url, project)
	if err != nil {
		return nil, err
	}
	return &Store{backend: opened, held: map[string]bool{}}, nil
}

// Backend is the stock one.
func (s *Store) Backend() diy.Backend { return s.backend }

// Lock excludes others.
func (s *Store) Lock(ctx context.Context, ref backend.StackReference) (*Held, error) {
	name := ref.FullyQualifiedName().String()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.held[name] {
		return nil, &Locked{Owner: "this process"}
	}
	if err := s.backend.Lock(ctx, ref); err != nil {
		return nil, &Locked{Owner: err.Error()}
	}
	s.held[name] = true
	return &Held{s, ref}, nil
}

// Settle does nothing.
func (s *Store) Settle(ctx context.Context, ref backend.StackReference) error { return nil }

// Held is a lock.
type Held struct {
	store *Store
	ref   backend.StackReference
}

// Release gives it back.
func (h *Held) Release() {
	h.store.mutex.Lock()
	defer h.store.mutex.Unlock()
	delete(h.store.held, h.ref.FullyQualifiedName().String())
	h.store.backend.(interface {
		Unlock(context.Context, backend.StackReference)
	}).Unlock(context.Background(), h.ref)
}

// Sync does nothing.
func (h *Held) Sync(ctx context.Context) error { return nil }

// Journal is a change.
type Journal struct {
	engine.SnapshotManager
	held *Held
}

type persister struct {
	held *Held
	ctx  context.Context
}

func (p persister) Save(deployment apitype.TypedDeployment) error {
	text, err := json.Marshal(deployment.Deployment)
	if err != nil {
		return err
	}
	found, err := p.held.store.backend.GetStack(p.ctx, p.held.ref)
	if err != nil {
		return err
	}
	return backend.ImportStackDeployment(p.ctx, found, &apitype.UntypedDeployment{
		Version: deployment.Version, Features: deployment.Features, Deployment: text,
	})
}

// Journal starts a change.
func (h *Held) Journal(ctx context.Context, base *deploy.Snapshot, sm secrets.Manager) (*Journal, error) {
	return &Journal{backend.NewSnapshotManager(persister{h, ctx}, sm, base, nil), h}, nil
}

// Finish ends it.
func (j *Journal) Finish(ctx context.Context, info backend.UpdateInfo) error { return j.Close() }
