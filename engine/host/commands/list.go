package commands

import (
	"fmt"
	"sort"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/httpstate"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

type stackSummary struct {
	Name          string `json:"name"`
	Current       bool   `json:"current"`
	LastUpdate    string `json:"lastUpdate,omitempty"`
	ResourceCount *int   `json:"resourceCount,omitempty"`
	URL           string `json:"url,omitempty"`
}

type listOptions struct {
	asJSON
	All bool `json:"all"`
}

func stackList(c *call, options listOptions) error {
	filter := backend.ListStacksFilter{}
	if !options.All {
		if err := c.place.NeedProject(); err != nil {
			return fmt.Errorf("could not detect current project: %w", err)
		}
		project := c.place.Project.Name.String()
		filter.Project = &project
	}
	found, err := c.summaries(filter)
	if err != nil {
		// One state that cannot be read fails the list: the error says which.
		if err := c.checkAll(filter); err != nil {
			return err
		}
		if found, err = c.summaries(filter); err != nil {
			return err
		}
	}
	return options.answer(c, found)
}

// checkAll makes sure that the state of each stack of the filter can be read.
func (c *call) checkAll(filter backend.ListStacksFilter) error {
	var token backend.ContinuationToken
	for {
		names := backend.ListStackNamesFilter{Organization: filter.Organization, Project: filter.Project}
		refs, next, err := c.place.Backend().ListStackNames(c, names, token)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			warnings, err := c.place.Store.Check(c, ref)
			c.run.Warn(warnings)
			if err != nil {
				return err
			}
		}
		if next == nil {
			return nil
		}
		token = next
	}
}

func (c *call) summaries(filter backend.ListStacksFilter) ([]stackSummary, error) {
	current := ""
	if selected := c.place.Selected(); selected != "" {
		if ref, err := c.place.Backend().ParseStackReference(selected); err == nil {
			current = ref.String()
		}
	}
	found := []stackSummary{}
	var next backend.ContinuationToken
	for {
		some, token, err := c.place.Backend().ListStacks(c, filter, next)
		if err != nil {
			return nil, err
		}
		for _, one := range some {
			summary := stackSummary{Name: one.Name().String(), ResourceCount: one.ResourceCount()}
			summary.Current = summary.Name == current
			if pages, has := c.place.Backend().(httpstate.Backend); has {
				// One that has no page is listed all the same.
				summary.URL, _ = pages.StackConsoleURL(one.Name())
			}
			if updated := one.LastUpdate(); updated != nil {
				summary.LastUpdate = moment(*updated)
			}
			found = append(found, summary)
		}
		if token == nil {
			break
		}
		next = token
	}
	sort.Slice(found, func(a, b int) bool { return found[a].Name < found[b].Name })
	return found, nil
}

// moment is a time as the CLI prints it: RFC 5424, in milliseconds.
func moment(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

type user struct {
	User             string                      `json:"user"`
	Organizations    []string                    `json:"organizations,omitempty"`
	URL              string                      `json:"url"`
	TokenInformation *workspace.TokenInformation `json:"tokenInformation,omitempty"`
}

func whoami(c *call, options asJSON) error {
	name, organizations, token, err := c.place.Backend().CurrentUser()
	if err != nil {
		return err
	}
	return options.answer(c, user{name, organizations, c.place.Backend().URL(), token})
}
