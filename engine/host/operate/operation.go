// Package operate runs the engine: up, preview, refresh and destroy.
package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"pilot/engine/host/fault"
	"pilot/engine/host/place"
	"pilot/engine/host/run"
	"pilot/engine/host/server"
	"pilot/engine/host/state"
	"pilot/engine/host/store"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
	"github.com/pulumi/pulumi/pkg/v3/display"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/pkg/v3/pluginstorage"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// operation is one run of the engine.
type operation struct {
	*options
	kind     int
	run      *run.Run
	place    *place.Place
	ref      backend.StackReference
	stack    backend.Stack
	held     store.Held
	settings config.Map
	secrets  secrets.Manager
	// spared counts what destroy spares.
	spared   int
	redactor *redactor
	// stdout and stderr are the run's own while it prints blindly.
	stdout, stderr io.Writer
}

// Operations as bits, so that several can be named at once.
const (
	forUp = 1 << iota
	forPreview
	forRefresh
	forDestroy
)

var kinds = map[int]struct {
	name   string
	update apitype.UpdateKind
	// cancelled is how the CLI calls it when it ends early.
	cancelled string
}{
	forUp:      {"up", apitype.UpdateUpdate, "update"},
	forPreview: {"preview", apitype.PreviewUpdate, "preview"},
	forRefresh: {"refresh", apitype.RefreshUpdate, "refresh"},
	forDestroy: {"destroy", apitype.DestroyUpdate, "destroy"},
}

// Find gives the operation of this name.
func Find(stores *place.Stores, name string) (server.Command, bool) {
	for kind, about := range kinds {
		if about.name == name {
			return server.Command{Turn: server.Long, Work: func(run *run.Run) error {
				return work(stores, run, kind)
			}}, true
		}
	}
	return server.Command{}, false
}

func work(stores *place.Stores, run *run.Run, kind int) error {
	options, err := parse(run)
	if err != nil {
		return err
	}
	opened, err := stores.Open(run)
	if err != nil {
		return err
	}
	o := &operation{options: options, kind: kind, run: run, place: opened}
	defer o.plainly()
	err = o.do()
	if errors.As(err, new(*fault.Unwritten)) || errors.As(err, new(*state.LockLost)) {
		return o.redactor.error(err)
	}
	if errors.Is(err, context.Canceled) || (err != nil && run.Stop.Asked() && !isLocked(err)) {
		return backenderr.CancelledError{Operation: kinds[kind].cancelled}
	}
	return o.redactor.error(err)
}

func isLocked(err error) bool {
	var locked *state.Locked
	return errors.As(err, &locked)
}

// dry is true when nothing may change.
func (o *operation) dry() bool { return o.kind == forPreview || o.PreviewOnly }

func (o *operation) do() error {
	// State is read and written until the end, also when the run is to end: it is short.
	ctx := context.WithoutCancel(o.run.Stop.Force())
	var err error
	if o.ref, err = o.place.Reference(o.run.Stack); err != nil {
		return err
	}
	if o.dry() {
		var warnings []string
		warnings, err = o.place.Store.Check(ctx, o.ref)
		o.run.Warn(warnings)
	} else {
		o.run.Changes(o.place.Key(o.ref))
		if o.held, err = o.place.Store.Lock(o.run.Stop.Order(), o.ref); err == nil {
			defer o.held.Release()
			o.run.Warn(o.held.Warnings())
		}
	}
	if err != nil {
		return err
	}
	if o.stack, err = o.place.Stack(ctx, o.ref); err != nil {
		return err
	}
	if err := o.project(); err != nil {
		return err
	}
	if err := o.configure(ctx); err != nil {
		return err
	}
	if done, err := o.before(ctx); done || err != nil {
		return err
	}
	options, err := o.engineOptions()
	if err != nil {
		return err
	}
	plan, changes, err := o.pass(ctx, options, o.dry())
	if err := o.after(ctx, plan, err); err != nil {
		return err
	}
	if o.ExpectNoChanges && changes != nil && engine.HasChanges(changes) {
		return backenderr.NoChangesExpectedError{Operation: kinds[o.kind].cancelled}
	}
	return nil
}

// pass runs the engine once, as one update.
func (o *operation) pass(
	ctx context.Context, options engine.UpdateOptions, dry bool,
) (*deploy.Plan, display.ResourceChanges, error) {
	update, err := o.place.Store.Begin(ctx, o.held, store.Change{
		Kind: kinds[o.kind].update, Dry: dry, Stack: o.stack, Root: o.place.Root, Project: o.place.Project,
		Config: o.settings, Message: o.Message, Environment: o.environment(), Options: options,
		Lost: o.run.Stop.InOrder, Adopts: o.run.Place.Adopts,
	})
	if err != nil {
		return nil, nil, err
	}
	o.stack = update.Stack()
	start := time.Now().Unix()
	plan, changes, err := o.within(ctx, update, options, dry)
	finished := update.Finish(ctx, o.history(start, changes, err))
	if finished != nil {
		err = &fault.Unwritten{Err: finished, Run: err}
	}
	return plan, changes, err
}

// within runs the engine within an update.
func (o *operation) within(
	ctx context.Context, update store.Update, options engine.UpdateOptions, dry bool,
) (*deploy.Plan, display.ResourceChanges, error) {
	printed, err := o.options.display()
	if err != nil {
		return nil, nil, err
	}
	snapshot, err := o.place.Snapshot(ctx, o.stack)
	if err != nil {
		return nil, nil, err
	}
	kind := kinds[o.kind].update
	label := backend.ActionLabel(kind, dry)
	fmt.Fprintf(o.run.Stdout, "%s (%s):\n", label, o.ref)
	decrypter := &later{Decrypter: o.secrets.Decrypter()}
	registry := o.place.Backend().GetReadOnlyCloudRegistry()
	options.HostFactory = hosts(registry, o.run.Place.Attached, o.program(), func() {
		decrypter.told.Store(true)
	})
	info := engine.UpdateInfo{
		Root:    o.place.Root,
		Project: o.place.Project,
		Target: &deploy.Target{
			Name: o.ref.Name(), Organization: o.organization(), Config: o.settings, Decrypter: decrypter,
			Snapshot: snapshot, Tags: o.stack.Tags(),
		},
	}
	stop, ended := o.run.Stop.Engine()
	defer ended()
	engineContext := &engine.Context{
		Cancel:        stop,
		BackendClient: references{backend.NewBackendClient(o.place.Backend(), o.place.Secrets)},
		PluginManager: plugins{
			Context: pluginstorage.Instance, attached: o.run.Place.Attached, credentials: options.CloudCredentialEnv,
		},
	}
	if engineContext.SnapshotManager, err = update.Journal(ctx, snapshot, o.secrets); err != nil {
		return nil, nil, err
	}
	shown := pass{
		run: o.run, kind: kind, label: label, stack: o.ref.Name(), project: o.place.Project.Name, dry: dry,
		options: printed, redactor: o.redactor, record: update.Record,
	}
	stream := shown.start()
	engineContext.Events = stream.events
	return o.engine(info, engineContext, options, dry, stream)
}

// organization is whose stack it is; storage knows one only.
func (o *operation) organization() tokens.Name {
	if owned, is := o.ref.(interface{ Organization() (string, bool) }); is {
		if name, has := owned.Organization(); has {
			return tokens.Name(name)
		}
	}
	return "organization"
}

// engine calls the engine; a panic comes back as an error, so that what was done is still written.
func (o *operation) engine(
	info engine.UpdateInfo, ctx *engine.Context, options engine.UpdateOptions, dry bool, stream *stream,
) (plan *deploy.Plan, changes display.ResourceChanges, err error) {
	defer stream.end()
	defer caught(&err)
	switch o.kind {
	case forRefresh:
		do := engine.Refresh
		if options.RefreshProgram {
			do = engine.RefreshV2
		}
		return do(info, ctx, options, dry)
	case forDestroy:
		do := engine.Destroy
		if options.DestroyProgram {
			do = engine.DestroyV2
		}
		return do(info, ctx, options, dry)
	}
	return engine.Update(info, ctx, options, dry)
}

func (o *operation) history(start int64, changes display.ResourceChanges, err error) backend.UpdateInfo {
	result := backend.SucceededResult
	if err != nil {
		result = backend.FailedResult
	}
	return backend.UpdateInfo{
		Kind: kinds[o.kind].update, StartTime: start, EndTime: time.Now().Unix(), Message: o.Message,
		Environment: o.environment(), Config: o.settings, Result: result, ResourceChanges: changes,
	}
}

// removeSettings removes the stack's settings file, if it has one.
func (o *operation) removeSettings() error {
	err := os.Remove(o.place.SettingsPath(o.ref))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
