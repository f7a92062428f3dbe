// Package store is what commands and operations need of the place that keeps stacks: a folder, a bucket or a
// service. Each keeps its own promises about locks and crashes.
package store

import (
	"context"

	"pilot/engine/host/state"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// Store keeps the stacks of one backend.
type Store interface {
	// Backend is the stock one, for all that is neither an operation nor about its lock.
	Backend() backend.Backend
	// Check makes sure, for a reader, that the state can be read. It changes nothing and gives warnings.
	Check(ctx context.Context, ref backend.StackReference) (warnings []string, err error)
	// Repair finds a good copy of a state that cannot be read, and with apply puts it in its place.
	Repair(ctx context.Context, ref backend.StackReference, apply bool) (*state.Repair, error)
	// Lock excludes other changes of a stack, where the store knows of changes that are not updates.
	Lock(ctx context.Context, ref backend.StackReference) (Held, error)
	// Overwrite is Lock for who replaces the whole state, which need not be readable.
	Overwrite(ctx context.Context, ref backend.StackReference) (Held, error)
	// Begin starts an update. Nothing is held for one that is dry.
	Begin(ctx context.Context, held Held, change Change) (Update, error)
}

// Held is the lock of a stack.
type Held interface {
	// Warnings tells what was brought in or put aside, in sentences.
	Warnings() []string
	// Sync belongs behind a stock call that changed the stack.
	Sync(ctx context.Context) error
	// Remove removes the stack; hasResources is why it refuses without force.
	Remove(ctx context.Context, stack backend.Stack, force, backups bool) (hasResources bool, err error)
	Release()
}

// Change says what an update is about to do.
type Change struct {
	Kind    apitype.UpdateKind
	Dry     bool
	Stack   backend.Stack
	Root    string
	Project *workspace.Project
	Config  config.Map
	// Message and Environment are for the history.
	Message     string
	Environment map[string]string
	Options     engine.UpdateOptions
	// Adopts are the packages whose creates find what an earlier call has made.
	Adopts []string
	// Lost is called when the update is no longer ours: somebody has cancelled it, or taken its lock away.
	Lost func()
}

// Update is one run of the engine, as its store sees it. After Begin comes Finish, whatever happens.
type Update interface {
	// Stack is the stack as it is now that nobody else changes it.
	Stack() backend.Stack
	// Journal is what the engine writes to; nil for an update that is dry. The base must be the snapshot that the
	// engine gets, by pointer.
	Journal(ctx context.Context, base *deploy.Snapshot, manager secrets.Manager) (engine.SnapshotManager, error)
	// Record keeps an event where people can see it later.
	Record(event apitype.EngineEvent)
	// Finish writes what is left to write, and how it ended.
	Finish(ctx context.Context, info backend.UpdateInfo) error
}
