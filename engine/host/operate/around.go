package operate

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"pilot/engine/host/deadline"
	"pilot/engine/host/fault"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
	pkgresource "github.com/pulumi/pulumi/pkg/v3/resource"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/graph"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// caught makes an error of a panic.
func caught(err *error) {
	if panicked := recover(); panicked != nil {
		*err = &fault.Bug{Panic: fmt.Sprint(panicked), Stack: string(debug.Stack())}
	}
}

// before does what an operation needs first. It is done when nothing is left to do.
func (o *operation) before(ctx context.Context) (done bool, err error) {
	switch {
	case o.ClearPending || len(o.ImportPending) > 0:
		return false, o.pending(ctx)
	case o.ExcludeProtected:
		return o.spareProtected(ctx)
	}
	return false, nil
}

// spareProtected excludes what is protected, and what that needs.
func (o *operation) spareProtected(ctx context.Context) (bool, error) {
	snapshot, err := o.place.Snapshot(ctx, o.stack)
	if err != nil {
		return false, err
	}
	if snapshot == nil {
		return false, backenderr.StackStateNotFoundError{StackName: o.ref.Name().String()}
	}
	needs := graph.NewDependencyGraph(snapshot.Resources)
	spared := map[resource.URN]bool{}
	for _, found := range snapshot.Resources {
		if found.Protect {
			spared[found.URN] = true
			for _, needed := range needs.TransitiveDependenciesOf(found).ToSlice() {
				spared[needed.URN] = true
			}
		}
	}
	for urn := range spared {
		o.Excludes = append(o.Excludes, string(urn))
	}
	o.spared = len(spared)
	if o.spared == len(snapshot.Resources) {
		fmt.Fprintf(o.run.Stdout, "There were no unprotected resources to destroy. There are still %d"+
			" protected resources associated with this stack.\n", o.spared)
	}
	return o.spared > 0 && o.spared == len(snapshot.Resources), nil
}

// pending settles creates that were cut off: those that are named become imports, and the others are
// dropped on request.
func (o *operation) pending(ctx context.Context) error {
	if o.dry() {
		return fault.Refuse("pending creates are not settled by a preview")
	}
	snapshot, err := o.place.Snapshot(ctx, o.stack)
	if err != nil || snapshot == nil {
		return err
	}
	ids := map[string]string{}
	for at := 0; at < len(o.ImportPending); at += 2 {
		ids[o.ImportPending[at]] = o.ImportPending[at+1]
	}
	changed := false
	kept := snapshot.PendingOperations[:0:0]
	for _, operation := range snapshot.PendingOperations {
		if operation.Type != pkgresource.OperationTypeCreating {
			kept = append(kept, operation)
			continue
		}
		urn := string(operation.Resource.URN)
		if id, named := ids[urn]; named {
			operation.Resource.ID, operation.Type = resource.ID(id), pkgresource.OperationTypeImporting
			delete(ids, urn)
			changed = true
		} else if o.ClearPending {
			changed = true
			continue
		}
		kept = append(kept, operation)
	}
	for urn := range ids {
		fmt.Fprintf(o.run.Stderr, "warning: %q did not correspond to a pending create\n", urn)
	}
	if !changed {
		return nil
	}
	snapshot.PendingOperations = kept
	return o.write(ctx, snapshot)
}

// write replaces the state.
func (o *operation) write(ctx context.Context, snapshot *deploy.Snapshot) error {
	deployment, err := stack.SerializeUntypedDeployment(ctx, snapshot, nil)
	if err != nil {
		return fmt.Errorf("serializing deployment: %w", err)
	}
	imported := deadline.Within(ctx, deadline.Call, o.ref.String(), func(ctx context.Context) error {
		return backend.ImportStackDeployment(ctx, o.stack, deployment)
	})
	// Also where it failed: the lock is to be taken again.
	if err := errors.Join(imported, o.held.Sync(ctx)); err != nil {
		return err
	}
	// The stack remembers the state that it has read.
	o.stack, err = o.place.Stack(ctx, o.ref)
	return err
}

// after does what follows a pass, and returns the pass's error if there is one.
func (o *operation) after(ctx context.Context, made *deploy.Plan, failed error) error {
	switch o.kind {
	case forPreview:
		if failed != nil {
			return failed
		}
		return o.writePlan(made)
	case forDestroy:
		if failed != nil {
			return failed
		}
		return o.afterDestroy(ctx)
	}
	return failed
}

func (o *operation) afterDestroy(ctx context.Context) error {
	say := func(format string, args ...any) {
		fmt.Fprintf(o.run.Stdout, format, args...)
	}
	switch {
	case o.spared > 0:
		say("All unprotected resources were destroyed. There are still %d protected resources"+
			" associated with this stack.\n", o.spared)
	case len(o.Targets) > 0 || o.dry():
	case !o.Remove:
		say("The resources in the stack have been deleted, but the history and configuration "+
			"associated with the stack are still maintained. \nIf you want to remove the stack "+
			"completely, run `pulumi stack rm %s`.\n", o.ref)
	default:
		_, err := o.held.Remove(ctx, o.stack, false, false)
		if err = errors.Join(err, o.held.Sync(ctx)); err != nil {
			return err
		}
		if err := o.removeSettings(); err != nil {
			return err
		}
		say("The resources in the stack have been deleted, and the history and configuration removed.\n")
	}
	return nil
}
