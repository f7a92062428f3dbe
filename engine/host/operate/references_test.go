package operate

import (
	"context"
	"strings"
	"testing"
	"time"

	"pilot/engine/host/deadline"

	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// mute is storage that has stopped to answer.
type mute struct{ deploy.BackendClient }

func (mute) GetStackOutputs(ctx context.Context, _ string, _ func(error) error) (property.Map, error) {
	<-ctx.Done()
	return property.Map{}, ctx.Err()
}

func (mute) GetStackResourceOutputs(ctx context.Context, _ string) (property.Map, error) {
	<-ctx.Done()
	return property.Map{}, ctx.Err()
}

func TestStorageThatDoesNotAnswerEndsTheReadingOfOtherStacks(t *testing.T) {
	before := deadline.Call
	t.Cleanup(func() { deadline.Call = before })
	deadline.Call = 50 * time.Millisecond
	others := references{mute{}}
	_, outputs := others.GetStackOutputs(t.Context(), "other", nil)
	_, resources := others.GetStackResourceOutputs(t.Context(), "other")
	for name, err := range map[string]error{"outputs": outputs, "resources": resources} {
		if err == nil || !strings.Contains(err.Error(), "other: the storage did not answer within 50ms") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
