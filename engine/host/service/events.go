package service

import (
	"context"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend/httpstate/client"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// Limits of a batch of events: how many it holds, and how long the first of them waits for others.
const (
	batchSize  = 50
	batchDelay = time.Second
	waiting    = 1000
)

// recorder sends events to the service while the engine goes on. What cannot be sent is left out: the log of an
// update is not worth the update.
type recorder struct {
	send   func([]apitype.EngineEvent)
	events chan apitype.EngineEvent
	ended  chan struct{}
}

func record(
	ctx context.Context, service *client.Client, id client.UpdateIdentifier, lease *lease,
) *recorder {
	next := 0
	return gather(func(batch []apitype.EngineEvent) {
		for at := range batch {
			batch[at].Sequence = next
			next++
		}
		lease.refuse(service.RecordEngineEvents(ctx, id, apitype.EngineEventBatch{Events: batch}, lease))
	}, batchDelay)
}

func gather(send func([]apitype.EngineEvent), delay time.Duration) *recorder {
	r := &recorder{send: send, events: make(chan apitype.EngineEvent, waiting), ended: make(chan struct{})}
	go r.run(delay)
	return r
}

func (r *recorder) run(delay time.Duration) {
	defer close(r.ended)
	var batch []apitype.EngineEvent
	var late <-chan time.Time
	flush := func() {
		if len(batch) > 0 {
			r.send(batch)
		}
		batch, late = nil, nil
	}
	for {
		select {
		case event, more := <-r.events:
			if !more {
				flush()
				return
			}
			if batch = append(batch, event); len(batch) == 1 {
				late = time.After(delay)
			}
			if len(batch) == batchSize {
				flush()
			}
		case <-late:
			flush()
		}
	}
}

func (r *recorder) add(event apitype.EngineEvent) { r.events <- event }

// end waits until everything is sent.
func (r *recorder) end() {
	close(r.events)
	<-r.ended
}
