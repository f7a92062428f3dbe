package state

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

const byteString = "byteString"

// outcome is what a replay has to know besides the entries.
type outcome struct {
	// time goes into the manifest.
	time time.Time
	// destroyed: the operation was a destroy, and it succeeded.
	destroyed bool
	// adopts are the packages whose creates find what an earlier call has made.
	adopts []string
}

// replay gives the deployment that the entries make of a base. It changes the base.
func replay(base contents, entries []apitype.JournalEntry, end outcome) (out apitype.TypedDeployment, err error) {
	defer func() {
		// The library's replayer indexes by what the entries say.
		if r := recover(); r != nil {
			err = fmt.Errorf("the journal cannot be replayed: %v", r)
		}
	}()
	deployment := base.deployment
	if deployment == nil {
		deployment = &apitype.DeploymentV3{}
	}
	replayer := backend.NewJournalReplayer(deployment)
	for _, entry := range entries {
		if entry.Kind == apitype.JournalEntryKindSecretsManager && entry.SecretsProvider == nil {
			continue
		}
		if err := replayer.Add(entry); err != nil {
			return out, fmt.Errorf("replay the journal: %w", err)
		}
	}
	if out, err = replayer.GenerateDeployment(); err != nil {
		return out, fmt.Errorf("replay the journal: %w", err)
	}
	if out.Deployment == nil {
		return out, errors.New("the journal gives no deployment")
	}
	out.Deployment.Manifest.Time = end.time
	out.Deployment.PendingOperations = pendingAfter(out.Deployment, entries, end)
	dropExtensions(out.Deployment)
	// The replayer learns of such strings from the entries only; those of the base may be inside secrets.
	if slices.Contains(base.features, byteString) && !slices.Contains(out.Features, byteString) {
		out.Features = slices.Sorted(slices.Values(append(out.Features, byteString)))
		out.Version = apitype.DeploymentSchemaVersionLatest
	}
	return out, nil
}

// dropExtensions leaves those that are referred to, as the CLI does; the replayer carries all of them on for ever.
func dropExtensions(d *apitype.DeploymentV3) {
	maps.DeleteFunc(d.Extensions, func(ref apitype.ExtensionRef, _ apitype.Extension) bool {
		refers := func(r apitype.ResourceV3) bool { return r.ExtensionRef == ref }
		pending := func(op apitype.OperationV2) bool { return refers(op.Resource) }
		return !slices.ContainsFunc(d.Resources, refers) && !slices.ContainsFunc(d.PendingOperations, pending)
	})
}

// adopt says whether the create of a resource, called again, finds what it has made before. What Pulumi makes itself,
// such as a provider, is nowhere but in the state.
func (o outcome) adopt(r apitype.ResourceV3) bool {
	name := string(r.Type.Package())
	return name == "pulumi" || slices.Contains(o.adopts, name)
}

// pendingAfter gives the pending operations without the creates that are settled, in a fixed order.
//
// The stock code carries a pending create from state to state until a human removes it, since it cannot know whether
// the resource was made. Nor can we, but for packages that have said that their Create adopts what it finds: there a
// create is settled as soon as an operation has ended well for its URN and the resource is in the state, or when a
// destroy has emptied the stack.
func pendingAfter(d *apitype.DeploymentV3, entries []apitype.JournalEntry, end outcome) []apitype.OperationV2 {
	if len(d.PendingOperations) == 0 {
		return nil
	}
	present := map[resource.URN]bool{}
	left := 0
	for _, r := range d.Resources {
		if !r.Delete {
			present[r.URN] = true
		}
		if r.Type != resource.RootStackType {
			left++
		}
	}
	open := map[int64]resource.URN{}
	settled := map[resource.URN]bool{}
	for _, entry := range entries {
		switch entry.Kind {
		case apitype.JournalEntryKindBegin:
			if entry.Operation != nil {
				open[entry.OperationID] = entry.Operation.Resource.URN
			}
		case apitype.JournalEntryKindSuccess, apitype.JournalEntryKindRefreshSuccess:
			if entry.State != nil {
				settled[entry.State.URN] = present[entry.State.URN]
			}
			delete(open, entry.OperationID)
		case apitype.JournalEntryKindFailure:
			delete(open, entry.OperationID)
		}
	}
	for _, urn := range open {
		delete(settled, urn)
	}
	type operation struct {
		urn  resource.URN
		kind apitype.OperationType
	}
	var kept []apitype.OperationV2
	seen := map[operation]bool{}
	for _, op := range d.PendingOperations {
		this := operation{op.Resource.URN, op.Type}
		emptied := end.destroyed && left == 0 && len(open) == 0
		settledCreate := op.Type == apitype.OperationTypeCreating && end.adopt(op.Resource) && (settled[this.urn] || emptied)
		if !settledCreate && !seen[this] {
			kept = append(kept, op)
		}
		seen[this] = true
	}
	slices.SortStableFunc(kept, func(a, b apitype.OperationV2) int {
		return cmp.Or(cmp.Compare(a.Resource.URN, b.Resource.URN), cmp.Compare(a.Type, b.Type))
	})
	return kept
}
