package service

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend/httpstate/client"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// limits of how events go to the service.
type limits struct {
	// batch is how many go together, and delay how long the first of them waits for others.
	batch int
	delay time.Duration
	// queue is how many wait while a batch is on its way; what comes then is left out.
	queue int
	// deadline is for one batch, and last for all that is left at the end of an update.
	deadline, last time.Duration
}

var ofService = limits{batch: 50, delay: time.Second, queue: 1000, deadline: 15 * time.Second, last: 30 * time.Second}

// recorder sends events to the service while the engine goes on: it waits for nobody. What cannot be sent in time is
// left out and counted: the log of an update is not worth the update.
type recorder struct {
	limits
	send    func(context.Context, []apitype.EngineEvent) error
	events  chan apitype.EngineEvent
	ended   chan struct{}
	dropped atomic.Int64
	// sending is done when the last deadline is over.
	sending context.Context
	stop    context.CancelFunc
}

func record(
	ctx context.Context, service *client.Client, id client.UpdateIdentifier, lease *lease,
) *recorder {
	next := 0
	return gather(ctx, func(ctx context.Context, batch []apitype.EngineEvent) error {
		for at := range batch {
			batch[at].Sequence = next
			next++
		}
		err := service.RecordEngineEvents(ctx, id, apitype.EngineEventBatch{Events: batch}, lease)
		lease.refuse(err)
		return err
	}, ofService)
}

func gather(ctx context.Context, send func(context.Context, []apitype.EngineEvent) error, limits limits) *recorder {
	r := &recorder{
		limits: limits, send: send, events: make(chan apitype.EngineEvent, limits.queue), ended: make(chan struct{}),
	}
	r.sending, r.stop = context.WithCancel(ctx)
	go r.run()
	return r
}

func (r *recorder) run() {
	defer close(r.ended)
	var batch []apitype.EngineEvent
	var late <-chan time.Time
	flush := func() {
		if len(batch) > 0 {
			r.deliver(batch)
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
				late = time.After(r.delay)
			}
			if len(batch) == r.batch {
				flush()
			}
		case <-late:
			flush()
		}
	}
}

func (r *recorder) deliver(batch []apitype.EngineEvent) {
	ctx, done := context.WithTimeout(r.sending, r.deadline)
	defer done()
	if ctx.Err() != nil || r.send(ctx, batch) != nil {
		r.dropped.Add(int64(len(batch)))
	}
}

// add never waits.
func (r *recorder) add(event apitype.EngineEvent) {
	select {
	case r.events <- event:
	default:
		r.dropped.Add(1)
	}
}

// end waits until everything is sent, or the last deadline is over, and tells how many events were left out.
func (r *recorder) end() int64 {
	close(r.events)
	over := time.AfterFunc(r.last, r.stop)
	<-r.ended
	over.Stop()
	r.stop()
	return r.dropped.Load()
}
