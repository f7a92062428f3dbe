package place

import (
	"context"
	"strings"
	"testing"
	"time"

	"pilot/engine/host/deadline"
	"pilot/engine/host/store"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
)

// Storage that has stopped to answer.
type (
	muteStore   struct{ store.Store }
	muteBackend struct{ backend.Backend }
	muteStack   struct{ backend.Stack }
	dev         struct{ backend.StackReference }
)

func (muteStore) Backend() backend.Backend { return muteBackend{} }

func (muteBackend) GetStack(ctx context.Context, _ backend.StackReference) (backend.Stack, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (muteStack) Snapshot(ctx context.Context, _ secrets.Provider) (*deploy.Snapshot, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (muteStack) Ref() backend.StackReference { return dev{} }

func (dev) String() string { return "dev" }

func TestStorageThatDoesNotAnswerEndsTheSearchForAStackAndTheReadingOfIt(t *testing.T) {
	before := deadline.Call
	t.Cleanup(func() { deadline.Call = before })
	deadline.Call = 50 * time.Millisecond
	place := &Place{Store: muteStore{}}
	_, found := place.Stack(t.Context(), dev{})
	_, read := place.Snapshot(t.Context(), muteStack{})
	for name, err := range map[string]error{"stack": found, "snapshot": read} {
		if err == nil || !strings.Contains(err.Error(), "dev: the storage did not answer within 50ms") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
