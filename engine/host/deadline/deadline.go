// Package deadline ends calls to storage that has stopped to answer. Calls go on when a run is to end, also by force,
// so nothing else would end one.
package deadline

import (
	"context"
	"fmt"
	"time"
)

// Tests shorten them.
var (
	// Call is for one call: long enough for a large state over a slow line, and short of forever.
	Call = 2 * time.Minute
	// Command is for a command that is no operation of the engine, with all its calls.
	Command = 10 * time.Minute
)

// Within gives a call its deadline, and names what did not meet it.
func Within(ctx context.Context, limit time.Duration, what string, call func(context.Context) error) error {
	limited, done := context.WithTimeout(ctx, limit)
	defer done()
	err := call(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return passed(what, limit, err)
	}
	return err
}

// Without is for a call whose context is kept by what it makes, and must not end: past the deadline it is left alone.
func Without(limit time.Duration, what string, call func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- call() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(limit):
		return passed(what, limit, context.DeadlineExceeded)
	}
}

func passed(what string, limit time.Duration, err error) error {
	return fmt.Errorf("%s: the storage did not answer within %s: %w", what, limit, err)
}
