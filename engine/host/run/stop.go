package run

import (
	"context"

	"github.com/pulumi/pulumi/pkg/v3/util/cancel"
)

// Stop ends a run: first in order, then by force.
type Stop struct {
	order, force             context.Context
	orderCancel, forceCancel context.CancelFunc
}

// NewStop makes one for a run.
func NewStop() *Stop {
	stop := &Stop{}
	stop.force, stop.forceCancel = context.WithCancel(context.Background())
	stop.order, stop.orderCancel = context.WithCancel(stop.force)
	return stop
}

// InOrder asks for the end; asked again, it does not wait any more.
func (s *Stop) InOrder() {
	if s.Asked() {
		s.forceCancel()
	}
	s.orderCancel()
}

// ByForce does not wait for what has begun.
func (s *Stop) ByForce() { s.forceCancel() }

// Asked is true once somebody asked for the end.
func (s *Stop) Asked() bool { return s.order.Err() != nil }

// Order is done when somebody has asked for the end: for what can be left at any time.
func (s *Stop) Order() context.Context { return s.order }

// Force is done when nothing may go on.
func (s *Stop) Force() context.Context { return s.force }

// Engine gives the engine's form of this. What is returned last must be called when the engine is done:
// the engine's own watchers live until they are told to end, which in a CLI nobody notices.
func (s *Stop) Engine() (*cancel.Context, func()) {
	engine, source := cancel.NewContext(context.WithoutCancel(s.force))
	ended, end := context.WithCancel(context.Background())
	go func() {
		select {
		case <-s.order.Done():
			source.Cancel()
		case <-ended.Done():
			return
		}
		select {
		case <-s.force.Done():
			source.Terminate()
		case <-ended.Done():
		}
	}()
	return engine, func() {
		end()
		source.Cancel()
		source.Terminate()
	}
}
