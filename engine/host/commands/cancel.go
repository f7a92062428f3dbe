package commands

import (
	"fmt"
	"time"
)

// endTimeout is how long `cancel` waits for a run of this host to end.
const endTimeout = 30 * time.Second

// cancel ends the run that changes the stack here. When there is none, another process holds the stack: its lock is
// removed, or the service told to end its update, as the CLI does.
func cancel(c *call, options confirmed) error {
	if err := options.check(); err != nil {
		return err
	}
	ref, err := c.place.Reference(c.run.Stack)
	if err != nil {
		return err
	}
	if c.run.Table.CancelStack(c.place.Key(ref)) {
		return c.ended(c.place.Key(ref))
	}
	// Who makes a stack holds its lock before there is one.
	cancelled := c.place.Backend().CancelCurrentUpdate(c, ref)
	if _, err := c.place.Stack(c, ref); err != nil {
		return err
	}
	return cancelled
}

// ended waits until no run of this host changes the stack.
func (c *call) ended(stack string) error {
	timeout := time.After(endTimeout)
	for c.run.Table.IsChanged(stack) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-timeout:
			return fmt.Errorf("the update was told to end, and has not ended within %s", endTimeout)
		case <-c.run.Stop.Order().Done():
			return c.run.Stop.Order().Err()
		}
	}
	return nil
}
