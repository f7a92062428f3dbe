// Package commands does what needs no engine: stacks, configuration and states.
package commands

import (
	"context"
	"strings"

	"pilot/engine/host/fault"
	"pilot/engine/host/flags"
	"pilot/engine/host/operate"
	"pilot/engine/host/place"
	"pilot/engine/host/run"
	"pilot/engine/host/server"
	"pilot/engine/host/store"

	"github.com/pulumi/pulumi/pkg/v3/backend"
)

// call is one command being done.
type call struct {
	context.Context
	run    *run.Run
	stores *place.Stores
	place  *place.Place
	// args are those after the command's words, and rest those that are no flags.
	args, rest []string
	flags      *flags.Set
	// stack is what `--stack` says.
	stack string
}

// command is found by its words; where two words say the same, both are here.
type command struct {
	work func(*call) error
	turn server.Turn
}

var known = map[string]command{
	"stack init": {work: stackInit}, "stack new": {work: stackInit}, "stack create": {work: stackInit},
	"stack ls": {work: stackList}, "stack list": {work: stackList},
	"stack rm": {work: stackRemove}, "stack remove": {work: stackRemove}, "stack delete": {work: stackRemove},
	"stack rename":   {work: stackRename},
	"stack select":   {work: stackSelect},
	"stack unselect": {work: stackUnselect},
	"stack export":   {work: stackExport},
	"stack repair":   {work: stackRepair},
	"stack import":   {work: stackImport},
	"stack output":   {work: stackOutput},
	"stack history":  {work: stackHistory}, "stack hist": {work: stackHistory},
	"stack change-secrets-provider": {work: changeSecrets},
	"stack tag get":                 {work: tagGet},
	"stack tag ls":                  {work: tagList}, "stack tag list": {work: tagList},
	"stack tag set": {work: tagSet},
	"stack tag rm":  {work: tagRemove}, "stack tag remove": {work: tagRemove}, "stack tag delete": {work: tagRemove},
	"config":     {work: configList},
	"config get": {work: configGet}, "config set": {work: configSet}, "config set-all": {work: configSetAll},
	"config rm": {work: configRemove}, "config remove": {work: configRemove}, "config delete": {work: configRemove},
	"config rm-all": {work: configRemoveAll}, "config remove-all": {work: configRemoveAll},
	"config delete-all": {work: configRemoveAll},
	"config refresh":    {work: configRefresh},
	"config cp":         {work: configCopy}, "config copy": {work: configCopy},
	"cancel":  {work: cancel, turn: server.Now},
	"whoami":  {work: whoami},
	"recover": {work: recoverState},
}

// elsewhere are the CLI's commands that need the CLI: they install, log in or talk to Pulumi Cloud.
var elsewhere = []string{
	"about", "ai", "api", "auth", "cloud", "completion", "config env", "console", "convert", "deployment", "do",
	"env", "esc", "events", "gen-completion", "import", "install", "insights", "login", "logout", "logs", "neo", "new", "org",
	"package", "plugin", "policy", "project", "schema", "stack", "stack graph", "stack get", "stack migrate",
	"stack schedule", "stack webhook", "stack drift", "state", "template", "version", "view-trace", "watch",
}

// Find gives what the words name, among operations as well.
func Find(stores *place.Stores) func(args []string) (server.Command, error) {
	return func(args []string) (server.Command, error) {
		if operation, found := operate.Find(stores, args); found {
			return operation, nil
		}
		words := leading(args)
		for count := len(words); count > 0; count-- {
			name := strings.Join(words[:count], " ")
			if found, is := known[name]; is && !isElsewhere(words, count) {
				rest := args[count:]
				return server.Command{Turn: found.turn, Work: func(run *run.Run) error {
					return found.work(&call{
						Context: context.WithoutCancel(run.Stop.Force()), run: run, stores: stores, args: rest,
						flags: flags.New(name),
					})
				}}, nil
			}
		}
		return server.Command{}, unknown(words)
	}
}

// leading are the words before the first flag, at most as many as a command has.
func leading(args []string) []string {
	for at, arg := range args {
		if at == 3 || strings.HasPrefix(arg, "-") {
			return args[:at]
		}
	}
	return args
}

// isElsewhere is true when more words name a command of the CLI's.
func isElsewhere(words []string, than int) bool {
	for count := len(words); count > than; count-- {
		for _, name := range elsewhere {
			if name == strings.Join(words[:count], " ") {
				return true
			}
		}
	}
	return false
}

func unknown(words []string) error {
	for count := len(words); count > 0; count-- {
		name := strings.Join(words[:count], " ")
		for _, other := range elsewhere {
			if name == other && (name != "stack" || len(words) == 1) {
				return fault.Refuse("the engine host does not do `pulumi %s`: the CLI does", name)
			}
		}
	}
	if len(words) == 0 {
		return fault.Refuse("no command is given")
	}
	if len(words) > 1 && words[0] == "stack" {
		return fault.Refuse("unknown command %q for %q", words[1], "pulumi stack")
	}
	return fault.Refuse("unknown command %q for %q", words[0], "pulumi")
}

// parse reads the flags and opens the place.
func (c *call) parse(least, most int) (err error) {
	if c.rest, err = c.flags.Parse(c.args, least, most); err != nil {
		return err
	}
	c.place, err = c.stores.Open(c.run, c.flags.Directory)
	return err
}

// named adds `--stack`.
func (c *call) named() *call {
	c.flags.StringVarP(&c.stack, "stack", "s", "", "")
	return c
}

// stackOrArgument takes the stack's name from the flag or the first argument.
func (c *call) stackOrArgument() error {
	if len(c.rest) == 0 {
		return nil
	}
	if c.stack != "" {
		return fault.Refuse("only one of --stack or argument stack name may be specified, not both")
	}
	c.stack = c.rest[0]
	return nil
}

// reading finds the stack and makes sure that its state can be read.
func (c *call) reading() (backend.Stack, error) {
	ref, err := c.place.Reference(c.stack)
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
	ref, err := c.place.Reference(c.stack)
	if err != nil {
		return nil, err
	}
	return c.place.Stack(c, ref)
}

// changing finds the stack and holds its lock while it is changed; what is written reaches the disk.
func (c *call) changing(change func(stack backend.Stack, held store.Held) error) error {
	ref, err := c.place.Reference(c.stack)
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
	if synced := held.Sync(c); err == nil {
		err = synced
	}
	return err
}
