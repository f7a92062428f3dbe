package commands

import (
	"errors"
	"fmt"
	"time"

	"pilot/engine/host/state"
)

// patience is how long `cancel` waits for a run of this host to release the stack.
const patience = 30 * time.Second

// cancel ends the run that changes the stack here. When there is none, what holds the stack is another
// process's lock, and that is removed as the CLI does.
func cancel(c *call) error {
	c.named()
	c.flags.BoolP("yes", "y", false, "")
	if err := c.parse(0, 1); err != nil {
		return err
	}
	if err := c.stackOrArgument(); err != nil {
		return err
	}
	found, err := c.found()
	if err != nil {
		return err
	}
	if c.run.Table.CancelStack(c.place.Key(found.Ref())) {
		err = c.released()
	} else {
		err = c.place.Backend().CancelCurrentUpdate(c, found.Ref())
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.run.Stdout, "The currently running update for '%s' has been canceled!\n", found.Ref().Name())
	return nil
}

// released waits until the lock can be had, and gives it back.
func (c *call) released() error {
	ref, err := c.place.Reference(c.stack)
	if err != nil {
		return err
	}
	for end := time.Now().Add(patience); ; {
		held, err := c.place.Store.Lock(c.run.Stop.Order(), ref)
		var locked *state.Locked
		if err == nil {
			held.Release()
			return nil
		}
		if !errors.As(err, &locked) || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-c.run.Stop.Order().Done():
			return c.run.Stop.Order().Err()
		}
	}
}
