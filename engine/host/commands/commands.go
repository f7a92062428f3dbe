// Package commands does what needs no engine: stacks, configuration and states. What it answers is JSON, for programs;
// what people read, and what is rare, the CLI does.
package commands

import (
	"context"
	"encoding/json"
	"errors"

	"pilot/engine/host/deadline"
	"pilot/engine/host/fault"
	"pilot/engine/host/operate"
	"pilot/engine/host/place"
	"pilot/engine/host/run"
	"pilot/engine/host/server"
	"pilot/engine/host/state"
	"pilot/engine/host/store"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
)

// call is one command being done.
type call struct {
	context.Context
	run   *run.Run
	place *place.Place
}

// command is what a call does, by its name.
type command struct {
	work func(*call) error
	turn server.Turn
	// takes is how many arguments there are; many is any number.
	takes int
}

const many = -1

var known = map[string]command{
	"stack init":                    {work: with(stackInit)},
	"stack ls":                      {work: with(stackList)},
	"stack rm":                      {work: with(stackRemove)},
	"stack rename":                  {work: with(stackRename), takes: 1},
	"stack select":                  {work: with(stackSelect)},
	"stack export":                  {work: with(stackExport)},
	"stack import":                  {work: with(stackImport)},
	"stack repair":                  {work: with(stackRepair)},
	"stack history":                 {work: with(stackHistory)},
	"stack change-secrets-provider": {work: with(changeSecrets), takes: 1},
	"config":                        {work: with(configList)},
	"config get":                    {work: with(configGet), takes: 1},
	"config set":                    {work: with(configSet), takes: 1},
	"config set-all":                {work: with(configSetAll)},
	"config rm":                     {work: with(configRemove), takes: 1},
	"config rm-all":                 {work: with(configRemove), takes: many},
	"cancel":                        {work: with(cancel), turn: server.Now},
	"whoami":                        {work: with(whoami)},
	"recover":                       {work: with(recoverState)},
}

// with reads a command's options and opens its place.
func with[T any](work func(*call, T) error) func(*call) error {
	return func(c *call) error {
		var options T
		if err := c.run.Decode(&options); err != nil {
			return err
		}
		return work(c, options)
	}
}

// none is for commands without options.
type none struct{}

// Find gives what has this name, among operations as well.
func Find(stores *place.Stores) func(name string) (server.Command, error) {
	return func(name string) (server.Command, error) {
		if operation, found := operate.Find(stores, name); found {
			return operation, nil
		}
		found, is := known[name]
		if !is {
			return server.Command{}, fault.LeaveToCLI("`%s` is not a command of the engine host", name)
		}
		return server.Command{Turn: found.turn, Work: func(run *run.Run) error {
			if found.takes != many && len(run.Arguments) != found.takes {
				return fault.Refuse("`%s` takes %d arguments, and was given %d", name, found.takes, len(run.Arguments))
			}
			opened, err := stores.Open(run)
			if err != nil {
				return err
			}
			ctx := context.WithoutCancel(run.Stop.Force())
			return deadline.Within(ctx, deadline.Command, name, func(ctx context.Context) error {
				return found.work(&call{ctx, run, opened})
			})
		}}, nil
	}
}

// asJSON is of commands that answer: the text for people is the CLI's.
type asJSON struct {
	JSON bool `json:"json"`
}

// answer writes JSON without escapes for the sake of HTML.
func (c *call) answer(value any) error {
	encoder := json.NewEncoder(c.run.Stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

func (a asJSON) answer(c *call, value any) error {
	if !a.JSON {
		return fault.LeaveToCLI("`%s` answers in JSON here", c.run.Command)
	}
	return c.answer(value)
}

// confirmed is of commands that ask people first.
type confirmed struct {
	Yes bool `json:"yes"`
}

func (c confirmed) check() error {
	if !c.Yes {
		return backenderr.NonInteractiveRequiresYesError{}
	}
	return nil
}

// reading finds the stack and makes sure that its state can be read.
func (c *call) reading() (backend.Stack, error) {
	ref, err := c.place.Reference(c.run.Stack)
	if err != nil {
		return nil, err
	}
	warnings, err := c.place.Store.Check(c, ref)
	c.run.Warn(warnings)
	if err != nil {
		return nil, err
	}
	return c.place.Stack(c, ref)
}

// found finds the stack for what does not read its state.
func (c *call) found() (backend.Stack, error) {
	ref, err := c.place.Reference(c.run.Stack)
	if err != nil {
		return nil, err
	}
	return c.place.Stack(c, ref)
}

// changing finds the stack and holds its lock while it is changed; what is written reaches the disk.
func (c *call) changing(change func(stack backend.Stack, held store.Held) error) error {
	ref, err := c.place.Reference(c.run.Stack)
	if err != nil {
		return err
	}
	return c.locked(ref, c.onStack(ref, change))
}

// onStack gives the stack to what changes it.
func (c *call) onStack(
	ref backend.StackReference, change func(stack backend.Stack, held store.Held) error,
) func(store.Held) error {
	return func(held store.Held) error {
		stack, err := c.place.Stack(c, ref)
		if err != nil {
			return err
		}
		return change(stack, held)
	}
}

// locked holds a stack's lock during a change.
func (c *call) locked(ref backend.StackReference, change func(held store.Held) error) error {
	return c.holding(ref, c.place.Store.Lock, change)
}

// overwriting holds a stack's lock while its state is replaced as a whole.
func (c *call) overwriting(ref backend.StackReference, change func(held store.Held) error) error {
	return c.holding(ref, c.place.Store.Overwrite, change)
}

func (c *call) holding(
	ref backend.StackReference, lock func(context.Context, backend.StackReference) (store.Held, error),
	change func(held store.Held) error,
) error {
	c.run.Changes(c.place.Key(ref))
	held, err := lock(c.run.Stop.Order(), ref)
	if err != nil {
		return err
	}
	defer held.Release()
	c.run.Warn(held.Warnings())
	err = change(held)
	// Also a stock call that fails leaves traces.
	if synced := held.Sync(c); err == nil || errors.As(synced, new(*state.LockLost)) {
		err = synced
	}
	return err
}
