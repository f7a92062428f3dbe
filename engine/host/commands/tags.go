package commands

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pilot/engine/host/store"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

func cut(pair string) (string, string, bool) { return strings.Cut(pair, "=") }

func tagGet(c *call) error {
	if err := c.named().parse(1, 1); err != nil {
		return err
	}
	found, err := c.found()
	if err != nil {
		return err
	}
	value, has := found.Tags()[c.rest[0]]
	if !has {
		return fmt.Errorf("stack tag '%s' not found for stack '%s'", c.rest[0], found.Ref())
	}
	fmt.Fprintln(c.run.Stdout, value)
	return nil
}

func tagList(c *call) error {
	asJSON, err := c.named().printing(0)
	if err != nil {
		return err
	}
	found, err := c.found()
	if err != nil {
		return err
	}
	tags := found.Tags()
	if *asJSON {
		return printJSON(c.run.Stdout, tags)
	}
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		rows = append(rows, []string{name, tags[name]})
	}
	table(c.run.Stdout, []string{"NAME", "VALUE"}, rows)
	return nil
}

func tagSet(c *call) error {
	if err := c.named().parse(2, 2); err != nil {
		return err
	}
	return c.changeTags(func(tags map[apitype.StackTagName]string) { tags[c.rest[0]] = c.rest[1] })
}

func tagRemove(c *call) error {
	if err := c.named().parse(1, 1); err != nil {
		return err
	}
	return c.changeTags(func(tags map[apitype.StackTagName]string) { delete(tags, c.rest[0]) })
}

// changeTags holds the lock, because all tags of a stack are one file.
func (c *call) changeTags(change func(tags map[apitype.StackTagName]string)) error {
	return c.changing(func(found backend.Stack, _ store.Held) error {
		tags := map[apitype.StackTagName]string{}
		maps.Copy(tags, found.Tags())
		change(tags)
		return backend.UpdateStackTags(c, found, tags)
	})
}
