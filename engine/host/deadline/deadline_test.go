package deadline

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

const short = 20 * time.Millisecond

func mute(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestACallThatMissesItsDeadlineIsNamed(t *testing.T) {
	err := Within(t.Context(), short, "the state", mute)
	if err == nil || err.Error() != "the state: the storage did not answer within 20ms: context deadline exceeded" {
		t.Error(err)
	}
}

func TestACallThatItsCallerEndsMissedNoDeadline(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	end()
	if err := Within(ctx, time.Minute, "the state", mute); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "answer") {
		t.Error(err)
	}
}

func TestWhatACallSaysInTimeIsLeftAsItIs(t *testing.T) {
	refused := errors.New("refused")
	for _, err := range []error{
		Within(t.Context(), time.Minute, "x", func(context.Context) error { return refused }),
		Without(time.Minute, "x", func() error { return refused }),
	} {
		if err != refused {
			t.Error(err)
		}
	}
}

func TestACallWithoutAContextIsLeftAloneAtItsDeadline(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	err := Without(short, "opening", func() error { <-release; return nil })
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "opening: the storage did not answer") {
		t.Error(err)
	}
}
