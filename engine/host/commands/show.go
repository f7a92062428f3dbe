package commands

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sort"
	"time"

	"pilot/engine/host/fault"

	"github.com/kballard/go-shellquote"
	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/display"
	"github.com/pulumi/pulumi/pkg/v3/backend/httpstate"
	backendsecrets "github.com/pulumi/pulumi/pkg/v3/backend/secrets"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/cmdutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/spf13/pflag"
)

// printing reads `--json`, which is also said `--output json`.
func (c *call) printing(args int) (*bool, error) {
	asJSON := c.flags.BoolP("json", "j", false, "")
	output := c.flags.String("output", "default", "")
	if err := c.parse(0, args); err != nil {
		return nil, err
	}
	switch *output {
	case "default":
	case "json":
		*asJSON = true
	default:
		return nil, fault.Refuse("invalid --output value %q (expected %q or %q)", *output, "default", "json")
	}
	return asJSON, nil
}

func table(to io.Writer, headers []string, rows [][]string) {
	shown := cmdutil.Table{Headers: headers}
	for _, row := range rows {
		shown.Rows = append(shown.Rows, cmdutil.TableRow{Columns: row})
	}
	_ = cmdutil.FprintTable(to, shown)
}

type stackSummary struct {
	Name          string `json:"name"`
	Current       bool   `json:"current"`
	LastUpdate    string `json:"lastUpdate,omitempty"`
	ResourceCount *int   `json:"resourceCount,omitempty"`
	URL           string `json:"url,omitempty"`
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

func stackList(c *call) error {
	all := c.flags.BoolP("all", "a", false, "")
	organization := c.flags.StringP("organization", "o", "", "")
	project := c.flags.StringP("project", "p", "", "")
	tag := c.flags.StringP("tag", "t", "", "")
	asJSON, err := c.printing(0)
	if err != nil {
		return err
	}
	filter := backend.ListStacksFilter{}
	set := func(to **string, value string) {
		if value != "" {
			*to = &value
		}
	}
	set(&filter.Organization, *organization)
	set(&filter.Project, *project)
	if *tag != "" {
		name, value, valued := cut(*tag)
		filter.TagName = &name
		if valued {
			filter.TagValue = &value
		}
	}
	if !*all && *project == "" {
		if err := c.place.NeedProject(); err != nil {
			return fmt.Errorf("could not detect current project: %w", err)
		}
		set(&filter.Project, c.place.Project.Name.String())
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
	if *asJSON {
		return printJSON(c.run.Stdout, found)
	}
	var rows [][]string
	for _, stack := range found {
		count, updated := "n/a", stack.LastUpdate
		if stack.ResourceCount != nil {
			count = fmt.Sprint(*stack.ResourceCount)
		}
		if updated == "" {
			updated = "n/a"
		}
		if stack.Current {
			stack.Name += "*"
		}
		rows = append(rows, []string{stack.Name, updated, count})
	}
	table(c.run.Stdout, []string{"NAME", "LAST UPDATE", "RESOURCE COUNT"}, rows)
	return nil
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

func stackOutput(c *call) error {
	c.named()
	shown := c.flags.Bool("show-secrets", false, "")
	shell := c.flags.Bool("shell", false, "")
	asJSON, err := c.printing(1)
	if err != nil {
		return err
	}
	if *asJSON && *shell {
		return fault.Refuse("only one of --json and --shell may be set")
	}
	found, err := c.reading()
	if err != nil {
		return err
	}
	// What is not shown is not decrypted.
	var provider secrets.Provider = backendsecrets.BlindingProvider
	if *shown {
		provider = c.place.Secrets
	}
	values, err := found.SnapshotStackOutputs(c, provider)
	if err != nil {
		return err
	}
	// A crypter that panics proves that no secret is left.
	outputs, err := stack.SerializeProperties(c, resource.ToResourcePropertyMap(display.MassageSecrets(values, *shown)),
		config.NewPanicCrypter(), *shown)
	if err != nil {
		return fmt.Errorf("getting outputs: %w", err)
	}
	if outputs == nil {
		outputs = map[string]any{}
	}
	return c.printOutputs(outputs, *asJSON, *shell)
}

func (c *call) printOutputs(outputs map[string]any, asJSON, shell bool) error {
	words := func(value any) string {
		if text, is := value.(string); is {
			return text
		}
		text, err := oneLine(value)
		if err != nil {
			return "error: could not format value"
		}
		return text
	}
	var names []string
	for name := range outputs {
		names = append(names, name)
	}
	slices.Sort(names)
	one := len(c.rest) > 0
	if one {
		if _, has := outputs[c.rest[0]]; !has {
			return fmt.Errorf("current stack does not have output property '%v'", c.rest[0])
		}
		names = c.rest[:1]
	}
	switch {
	case asJSON && one:
		return printJSON(c.run.Stdout, outputs[names[0]])
	case asJSON:
		return printJSON(c.run.Stdout, outputs)
	case shell:
		for _, name := range names {
			fmt.Fprintf(c.run.Stdout, "%s=%s\n", name, shellquote.Join(words(outputs[name])))
		}
	case one:
		fmt.Fprintln(c.run.Stdout, words(outputs[names[0]]))
	default:
		fmt.Fprintf(c.run.Stdout, "Current stack outputs (%d):\n", len(outputs))
		shown := cmdutil.Table{Headers: []string{"OUTPUT", "VALUE"}, Prefix: "    "}
		for _, name := range names {
			shown.Rows = append(shown.Rows, cmdutil.TableRow{Columns: []string{name, words(outputs[name])}})
		}
		if len(names) == 0 {
			fmt.Fprintln(c.run.Stdout, "    No output values currently in this stack")
			return nil
		}
		return cmdutil.FprintTable(c.run.Stdout, shown)
	}
	return nil
}

type historyEntry struct {
	Version         int                    `json:"version"`
	Kind            string                 `json:"kind"`
	StartTime       string                 `json:"startTime"`
	Message         string                 `json:"message"`
	Environment     map[string]string      `json:"environment"`
	Config          map[string]configValue `json:"config"`
	Result          string                 `json:"result,omitempty"`
	EndTime         *string                `json:"endTime,omitempty"`
	ResourceChanges *map[string]int        `json:"resourceChanges,omitempty"`
}

func stackHistory(c *call) error {
	c.named()
	shown := c.flags.Bool("show-secrets", false, "")
	c.flags.Idle(func(flags *pflag.FlagSet) {
		// They always are.
		flags.Bool("full-dates", false, "")
	})
	size := c.flags.Int("page-size", 10, "")
	page := c.flags.Int("page", 1, "")
	asJSON, err := c.printing(0)
	if err != nil {
		return err
	}
	found, err := c.reading()
	if err != nil {
		return err
	}
	updates, err := c.place.Backend().GetHistory(c, found.Ref(), *size, *page)
	if err != nil {
		return fmt.Errorf("getting history: %w", err)
	}
	var decrypter config.Decrypter
	if *shown {
		if decrypter, err = c.decrypter(found, ""); err != nil {
			return fmt.Errorf("decrypting secrets: %w", err)
		}
	}
	entries := make([]historyEntry, len(updates))
	for at, update := range updates {
		if entries[at], err = entry(update, decrypter); err != nil {
			return err
		}
	}
	if *asJSON {
		return printJSON(c.run.Stdout, entries)
	}
	if len(entries) == 0 {
		fmt.Fprintln(c.run.Stdout, "Stack has never been updated")
	}
	for _, entry := range entries {
		fmt.Fprintf(c.run.Stdout, "Version: %d\nUpdateKind: %s\nStatus: %s\nMessage: %s\n\n",
			entry.Version, entry.Kind, entry.Result, entry.Message)
	}
	return nil
}

func entry(update backend.UpdateInfo, decrypter config.Decrypter) (historyEntry, error) {
	at := func(seconds int64) string { return moment(time.Unix(seconds, 0)) }
	made := historyEntry{
		Version: update.Version, Kind: string(update.Kind), StartTime: at(update.StartTime), Message: update.Message,
		Environment: update.Environment, Config: map[string]configValue{}, Result: string(update.Result),
	}
	for key, value := range update.Config {
		told := configValue{Secret: value.Secure()}
		if !value.Secure() || decrypter != nil {
			text, err := value.Value(decrypter)
			if err != nil {
				// One that cannot be read, because its passphrase was another, does not hide the others.
				text = "ERROR_UNABLE_TO_DECRYPT"
			} else if text != "" && value.Object() {
				if err := json.Unmarshal([]byte(text), &told.ObjectValue); err != nil {
					return made, err
				}
			}
			told.Value = &text
		}
		made.Config[key.String()] = told
	}
	if update.Result != backend.InProgressResult {
		end, changes := at(update.EndTime), map[string]int{}
		for op, count := range update.ResourceChanges {
			changes[string(op)] = count
		}
		made.EndTime, made.ResourceChanges = &end, &changes
	}
	return made, nil
}

type user struct {
	User             string                      `json:"user"`
	Organizations    []string                    `json:"organizations,omitempty"`
	URL              string                      `json:"url"`
	TokenInformation *workspace.TokenInformation `json:"tokenInformation,omitempty"`
}

func whoami(c *call) error {
	// Its `-v` is another.
	c.flags.Lookup("verbose").Shorthand = ""
	asJSON, err := c.printing(0)
	if err != nil {
		return err
	}
	name, organizations, token, err := c.place.Backend().CurrentUser()
	if err != nil {
		return err
	}
	if *asJSON {
		return printJSON(c.run.Stdout, user{name, organizations, c.place.Backend().URL(), token})
	}
	fmt.Fprintln(c.run.Stdout, name)
	return nil
}
