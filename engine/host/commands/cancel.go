package commands

import (
	"fmt"
	"github.com/spf13/pflag"
	"time"
)

// patience is how long `cancel` waits for a run of this host to end.
const patience = 30 * time.Second

// cancel ends the run that changes the stack here. When there is none, another process holds the stack: its lock is
// removed, or the service told to end its update, as the CLI does.
func cancel(c *call) error {
	c.named()
	c.flags.Idle(func(flags *pflag.FlagSet) {
		// Nobody is asked.
		flags.BoolP("yes", "y", false, "")
	})
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
		err = c.ended(c.place.Key(found.Ref()))
	} else {
		err = c.place.Backend().CancelCurrentUpdate(c, found.Ref())
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.run.Stdout, "The currently running update for '%s' has been canceled!\n", found.Ref().Name())
	return nil
}

// ended waits until no run of this host changes the stack.
func (c *call) ended(stack string) error {
	late := time.After(patience)
	for c.run.Table.IsChanged(stack) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-late:
			return fmt.Errorf("the update was told to end, and has not ended within %s", patience)
		case <-c.run.Stop.Order().Done():
			return c.run.Stop.Order().Err()
		}
	}
	return nil
}
