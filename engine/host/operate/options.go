package operate

import (
	"math"
	"runtime"
	"strings"

	"pilot/engine/host/fault"
	"pilot/engine/host/run"

	"github.com/pulumi/pulumi/pkg/v3/backend/display"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/env"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// options are those of all operations, by the names of the CLI's flags. Which operation knows which is for the client to
// say: one table for the CLI and for us.
type options struct {
	Message           string   `json:"message"`
	ConfigFile        string   `json:"config-file"`
	Config            []string `json:"config"`
	ConfigPath        bool     `json:"config-path"`
	SkipValidation    bool     `json:"skip-config-validation"`
	SkipPluginInstall bool     `json:"skip-plugin-pre-install"`
	ExecKind          string   `json:"exec-kind"`
	ExecAgent         string   `json:"exec-agent"`
	Parallel          int32    `json:"parallel"`
	Debug             bool     `json:"debug"`

	PreviewOnly     bool  `json:"preview-only"`
	Refresh         *bool `json:"refresh"`
	RunProgram      bool  `json:"run-program"`
	ExpectNoChanges bool  `json:"expect-no-changes"`
	ContinueOnError bool  `json:"continue-on-error"`
	Remove          bool  `json:"remove"`

	Targets           []string `json:"target"`
	TargetDependents  bool     `json:"target-dependents"`
	Excludes          []string `json:"exclude"`
	ExcludeDependents bool     `json:"exclude-dependents"`
	ExcludeProtected  bool     `json:"exclude-protected"`
	Replace           []string `json:"replace"`
	TargetReplace     []string `json:"target-replace"`

	Plan          string   `json:"plan"`
	SavePlan      string   `json:"save-plan"`
	Policies      []string `json:"policy-pack"`
	PolicyConfigs []string `json:"policy-pack-config"`
	SkipPending   bool     `json:"skip-pending-creates"`
	ClearPending  bool     `json:"clear-pending-creates"`
	// ImportPending are URNs, each followed by its id.
	ImportPending []string `json:"import-pending-creates"`

	Color            string `json:"color"`
	Diff             bool   `json:"diff"`
	SuppressOutputs  bool   `json:"suppress-outputs"`
	SuppressProgress bool   `json:"suppress-progress"`
	// SuppressPermalink asks for what is always so: pages on the web are not linked.
	SuppressPermalink bool `json:"suppress-permalink"`
	ShowSames         bool `json:"show-sames"`
	ShowReplacements  bool `json:"show-replacement-steps"`
	ShowReads         bool `json:"show-reads"`
	ShowConfig        bool `json:"show-config"`
	ShowFull          bool `json:"show-full-output"`
	ShowPolicies      bool `json:"show-policy-remediations"`
	ShowSecrets       bool `json:"show-secrets"`
	ShowURNs          bool `json:"urns"`
}

// parse reads the options of a run, and refuses what does not fit together.
func parse(of *run.Run) (*options, error) {
	o := &options{
		Parallel: defaultParallel(), RunProgram: env.RunProgram.Value(), ContinueOnError: env.ContinueOnError.Value(),
	}
	if err := of.Decode(o); err != nil {
		return nil, err
	}
	switch {
	case len(of.Arguments) > 0:
		return nil, fault.Refuse("`%s` takes no arguments", of.Command)
	case len(o.Targets) > 0 && len(o.Excludes) > 0:
		return nil, fault.Refuse("only one of target and exclude can be given")
	case len(o.Targets) > 0 && o.ExcludeProtected:
		return nil, fault.Refuse("only one of target and exclude-protected can be given")
	case o.SkipPending && o.ClearPending:
		return nil, fault.Refuse("pending creates can be skipped or cleared, and not both")
	case len(o.ImportPending)%2 != 0:
		return nil, fault.Refuse("each URN of a pending create must be followed by an id")
	case len(o.PolicyConfigs) > 0 && len(o.PolicyConfigs) != len(o.Policies):
		return nil, fault.Refuse("%d files of settings were given for %d policy packs", len(o.PolicyConfigs), len(o.Policies))
	}
	_, err := o.colors()
	return o, err
}

// defaultParallel is the environment's word, else four for each processor.
func defaultParallel() int32 {
	if wanted := env.Parallel.Value(); wanted > 0 {
		return int32(min(wanted, math.MaxInt32)) //nolint:gosec // it fits
	}
	return int32(min(runtime.GOMAXPROCS(0)*4, math.MaxInt32)) //nolint:gosec // it fits
}

// refreshes says whether to refresh first: the option's word, else the project's.
func (o *options) refreshes(project *workspace.Project) bool {
	if o.Refresh != nil {
		return *o.Refresh
	}
	return project.Options != nil && project.Options.Refresh == "always"
}

// colors are never used unless asked for, because what a run prints goes to no terminal.
func (o *options) colors() (colors.Colorization, error) {
	switch o.Color {
	case "auto", "never", "":
		return colors.Never, nil
	case "always":
		return colors.Always, nil
	case "raw":
		return colors.Raw, nil
	}
	known := []string{"auto", "always", "never", "raw"}
	return "", fault.Refuse("unsupported color option: '%s'.  Supported values are: %s", o.Color, strings.Join(known, ", "))
}

// display says how to print.
func (o *options) display() (display.Options, error) {
	color, err := o.colors()
	printed := display.Options{
		Color:                  color,
		ShowConfig:             o.ShowConfig,
		ShowPolicyRemediations: o.ShowPolicies,
		ShowReplacementSteps:   o.ShowReplacements,
		ShowSameResources:      o.ShowSames,
		ShowReads:              o.ShowReads,
		ShowSecrets:            o.ShowSecrets,
		ShowURNs:               o.ShowURNs,
		SuppressOutputs:        o.SuppressOutputs,
		SuppressProgress:       o.SuppressProgress,
		SuppressPermalink:      true,
		TruncateOutput:         !o.ShowFull,
		Type:                   display.DisplayProgress,
		Debug:                  o.Debug,
	}
	if o.Diff {
		printed.Type = display.DisplayDiff
	}
	return printed, err
}
