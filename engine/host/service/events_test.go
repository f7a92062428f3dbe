package service

import (
	"context"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

func into(sent chan int) func(context.Context, []apitype.EngineEvent) error {
	return func(_ context.Context, batch []apitype.EngineEvent) error {
		sent <- len(batch)
		return nil
	}
}

func within(delay time.Duration) limits {
	changed := ofService
	changed.delay = delay
	return changed
}

func TestEventsGoTogetherAndTheLastOnesWithTheEnd(t *testing.T) {
	sent := make(chan int, 10)
	r := gather(t.Context(), into(sent), within(time.Hour))
	for range ofService.batch + 3 {
		r.add(apitype.EngineEvent{})
	}
	if full := <-sent; full != ofService.batch {
		t.Errorf("%d events in a full batch", full)
	}
	if dropped := r.end(); dropped != 0 {
		t.Errorf("%d events are lost", dropped)
	}
	if rest := <-sent; rest != 3 {
		t.Errorf("%d events at the end", rest)
	}
	if len(sent) != 0 {
		t.Error("an empty batch was sent")
	}
}

func TestAnEventDoesNotWaitForOthersForLong(t *testing.T) {
	sent := make(chan int, 10)
	r := gather(t.Context(), into(sent), within(soon))
	defer r.end()
	r.add(apitype.EngineEvent{})
	if alone := <-sent; alone != 1 {
		t.Errorf("%d events", alone)
	}
}

func TestAServiceThatDoesNotAnswerHoldsNeitherTheEngineNorTheEnd(t *testing.T) {
	hung := func(ctx context.Context, _ []apitype.EngineEvent) error {
		<-ctx.Done()
		return ctx.Err()
	}
	r := gather(t.Context(), hung, limits{batch: 2, delay: soon, queue: 10, deadline: time.Hour, last: soon})
	added := make(chan struct{})
	go func() {
		for range 100 {
			r.add(apitype.EngineEvent{})
		}
		close(added)
	}()
	told := make(chan int64)
	go func() {
		<-added
		told <- r.end()
	}()
	select {
	case dropped := <-told:
		if dropped != 100 {
			t.Errorf("%d events are counted as lost", dropped)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for the service")
	}
}

func TestABatchHasADeadlineAndTheNextOneIsTriedAgain(t *testing.T) {
	tries := 0
	once := func(ctx context.Context, _ []apitype.EngineEvent) error {
		if tries++; tries == 1 {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	r := gather(t.Context(), once, limits{batch: 1, delay: time.Hour, queue: 10, deadline: soon, last: time.Hour})
	r.add(apitype.EngineEvent{})
	r.add(apitype.EngineEvent{})
	if dropped := r.end(); dropped != 1 || tries != 2 {
		t.Errorf("%d events are lost in %d tries", dropped, tries)
	}
}
