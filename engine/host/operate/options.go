package operate

import (
	"math"
	"runtime"
	"strconv"
	"strings"

	"pilot/engine/host/fault"
	"pilot/engine/host/flags"

	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
	"github.com/pulumi/pulumi/pkg/v3/backend/display"
	"github.com/pulumi/pulumi/sdk/v3/go/common/env"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/spf13/pflag"
)

// options is what the flags of all operations say.
type options struct {
	set *flags.Set
	// What to do.
	stack, message, configFile, client        string
	config                                    []string
	yes, skipPreview, previewOnly, configPath bool
	debug, expectNoChanges, skipValidation    bool
	runProgram, continueOnError, strict       bool
	remove, excludeProtected, skipPreInstall  bool
	parallel                                  int32
	refresh                                   string
	targets, excludes, replace, targetReplace []string
	targetDependents, excludeDependents       bool
	plan, savePlan                            string
	policies, policyConfigs, debuggers        []string
	skipPending, clearPending                 bool
	importPending                             []string
	execKind, execAgent                       string
	// How to print.
	json, diff, suppressOutputs, suppressProgress      bool
	showSames, showReplacements, showReads, showConfig bool
	showFull, showPolicies, showSecrets, showURNs      bool
	output                                             string
}

// Operations as bits, to say which know a flag.
const (
	forUp = 1 << iota
	forPreview
	forRefresh
	forDestroy
)

// parse reads the arguments of one operation.
func parse(kind int, name string, args []string) (*options, error) {
	o := &options{set: flags.New(name)}
	o.about(kind)
	o.selection(kind)
	o.printing(kind)
	if _, err := o.set.Parse(args, 0, 0); err != nil {
		return nil, err
	}
	return o, o.check(kind)
}

// defaultParallel is the environment's word, else four for each processor.
func defaultParallel() int32 {
	if wanted := env.Parallel.Value(); wanted > 0 {
		return int32(min(wanted, math.MaxInt32)) //nolint:gosec // it fits
	}
	return int32(min(runtime.GOMAXPROCS(0)*4, math.MaxInt32)) //nolint:gosec // it fits
}

func (o *options) about(kind int) {
	set := o.set
	set.StringVarP(&o.stack, "stack", "s", "", "")
	set.StringVarP(&o.message, "message", "m", "", "")
	set.StringVar(&o.configFile, "config-file", "", "")
	set.BoolVarP(&o.debug, "debug", "d", false, "")
	set.Int32VarP(&o.parallel, "parallel", "p", defaultParallel(), "")
	set.StringVar(&o.execKind, "exec-kind", "", "")
	set.StringVar(&o.execAgent, "exec-agent", "", "")
	set.BoolVar(&o.skipPreInstall, "skip-plugin-pre-install", false, "")
	set.Elsewhere("events go to whoever asked for the run", func(flags *pflag.FlagSet) { flags.String("event-log", "", "") })
	if kind != forPreview {
		set.BoolVarP(&o.yes, "yes", "y", false, "")
		set.BoolVarP(&o.skipPreview, "skip-preview", "f", false, "")
	}
	if kind&(forRefresh|forDestroy) != 0 {
		set.BoolVar(&o.previewOnly, "preview-only", false, "")
	}
	set.StringVar(&o.client, "client", "", "")
	set.StringArrayVarP(&o.config, "config", "c", nil, "")
	set.BoolVar(&o.configPath, "config-path", false, "")
	set.BoolVar(&o.skipValidation, "skip-config-validation", false, "")
	set.BoolVar(&o.runProgram, "run-program", env.RunProgram.Value(), "")
	if kind != forDestroy {
		set.BoolVar(&o.expectNoChanges, "expect-no-changes", false, "")
	}
	if kind&(forUp|forDestroy) != 0 {
		set.BoolVar(&o.continueOnError, "continue-on-error", env.ContinueOnError.Value(), "")
	}
	if kind&(forUp|forPreview|forDestroy) != 0 {
		set.StringVarP(&o.refresh, "refresh", "r", "", "")
		set.Lookup("refresh").NoOptDefVal = "true"
	}
	switch kind {
	case forUp:
		set.StringVar(&o.plan, "plan", "", "")
		set.BoolVar(&o.strict, "strict", false, "")
		set.Elsewhere("it is for a new stack of a template", func(flags *pflag.FlagSet) {
			flags.String("secrets-provider", "default", "")
		})
	case forPreview:
		set.StringVar(&o.savePlan, "save-plan", "", "")
		set.Elsewhere("files of imports are written by the CLI", func(flags *pflag.FlagSet) {
			flags.String("import-file", "", "")
		})
	case forRefresh:
		set.BoolVar(&o.skipPending, "skip-pending-creates", false, "")
		set.BoolVar(&o.clearPending, "clear-pending-creates", false, "")
		set.StringArrayVar(&o.importPending, "import-pending-creates", nil, "")
	case forDestroy:
		set.BoolVar(&o.remove, "remove", false, "")
		set.BoolVar(&o.excludeProtected, "exclude-protected", false, "")
	}
	if kind&(forUp|forPreview) != 0 {
		set.StringSliceVar(&o.policies, "policy-pack", nil, "")
		set.StringSliceVar(&o.policyConfigs, "policy-pack-config", nil, "")
		set.StringArrayVar(&o.debuggers, "attach-debugger", nil, "")
		set.Lookup("attach-debugger").NoOptDefVal = "program"
	}
}

func (o *options) selection(kind int) {
	set := o.set
	short := map[bool]string{true: "x"}[kind != forUp]
	set.StringArrayVarP(&o.targets, "target", "t", nil, "")
	set.BoolVar(&o.targetDependents, "target-dependents", false, "")
	set.StringArrayVarP(&o.excludes, "exclude", short, nil, "")
	set.BoolVar(&o.excludeDependents, "exclude-dependents", false, "")
	set.Exclusive("target", "exclude")
	if kind&(forUp|forPreview) != 0 {
		set.StringArrayVar(&o.replace, "replace", nil, "")
		set.StringArrayVar(&o.targetReplace, "target-replace", nil, "")
	}
}

func (o *options) printing(kind int) {
	set := o.set
	set.BoolVarP(&o.json, "json", "j", false, "")
	set.StringVar(&o.output, "output", "default", "")
	set.Exclusive("json", "output")
	set.BoolVar(&o.diff, "diff", false, "")
	set.BoolVar(&o.suppressOutputs, "suppress-outputs", false, "")
	set.BoolVar(&o.suppressProgress, "suppress-progress", false, "")
	set.BoolVar(&o.showURNs, "urns", false, "")
	set.Idle(func(flags *pflag.FlagSet) {
		// Pages on the web are not linked.
		flags.String("suppress-permalink", "", "")
		flags.Lookup("suppress-permalink").NoOptDefVal = "false"
	})
	set.BoolVar(&o.showSames, "show-sames", false, "")
	set.BoolVar(&o.showReplacements, "show-replacement-steps", false, "")
	set.BoolVar(&o.showConfig, "show-config", false, "")
	set.BoolVar(&o.showFull, "show-full-output", false, "")
	set.Elsewhere("it is about what Pulumi Cloud has besides stacks", func(flags *pflag.FlagSet) {
		for _, name := range []string{"neo", "neo-task-on-failure", "copilot"} {
			flags.Bool(name, false, "")
		}
		flags.StringArray("override-env", nil, "")
	})
	if kind&(forUp|forPreview) != 0 {
		set.BoolVar(&o.showReads, "show-reads", false, "")
		set.BoolVar(&o.showPolicies, "show-policy-remediations", false, "")
		set.BoolVar(&o.showSecrets, "show-secrets", false, "")
	}
}

// check refuses what does not fit together.
func (o *options) check(kind int) error {
	o.yes = o.yes || o.skipPreview
	switch {
	case o.skipPreview && o.previewOnly:
		return fault.Refuse("--skip-preview and --preview-only cannot be used together")
	case o.yes && o.previewOnly:
		return fault.Refuse("--yes and --preview-only cannot be used together")
	case kind != forPreview && !o.yes && !o.previewOnly:
		return backenderr.NoConfirmationInNonInteractiveError{}
	case o.output != "default" && o.output != "json":
		return fault.Refuse("invalid --output value %q (expected %q or %q)", o.output, "default", "json")
	case len(o.targets) > 0 && o.excludeProtected:
		return fault.Refuse("you cannot specify --target and --exclude-protected")
	case o.skipPending && o.clearPending:
		return fault.Refuse("cannot set both --skip-pending-creates and --clear-pending-creates")
	case len(o.importPending)%2 != 0:
		return fault.Refuse("each URN must be followed by an ID: found an odd number of entries")
	case len(o.policyConfigs) > 0 && len(o.policies) == 0:
		return fault.Refuse(`"--policy-pack-config" must be specified with "--policy-pack"`)
	case len(o.policyConfigs) > 0 && len(o.policyConfigs) != len(o.policies):
		return fault.Refuse(`the number of "--policy-pack-config" flags must match the number of "--policy-pack" flags`)
	}
	for _, debugger := range o.debuggers {
		known := debugger == "program" || debugger == "plugins" || debugger == "all"
		if !known && !strings.HasPrefix(debugger, "plugin:") {
			return fault.Refuse("invalid --attach-debugger flag value: %s", debugger)
		}
	}
	return nil
}

// refreshes says whether to refresh first: the flag's word, else the project's.
func (o *options) refreshes(project *workspace.Project) (bool, error) {
	if o.refresh != "" {
		wanted, err := strconv.ParseBool(o.refresh)
		if err != nil {
			return false, fault.Refuse("unable to determine value for --refresh")
		}
		return wanted, nil
	}
	return project.Options != nil && project.Options.Refresh == "always", nil
}

// quiet is true when the output is for a program.
func (o *options) quiet() bool { return o.json || o.output == "json" }

// display says how to print. JSON is printed elsewhere, because the engine's display writes it to the
// process's own output.
func (o *options) display() (display.Options, error) {
	color, err := o.set.Color()
	printed := display.Options{
		Color:                  color,
		ShowConfig:             o.showConfig,
		ShowPolicyRemediations: o.showPolicies,
		ShowReplacementSteps:   o.showReplacements,
		ShowSameResources:      o.showSames,
		ShowReads:              o.showReads,
		ShowSecrets:            o.showSecrets,
		ShowURNs:               o.showURNs,
		SuppressOutputs:        o.suppressOutputs,
		SuppressProgress:       o.suppressProgress,
		SuppressPermalink:      true,
		TruncateOutput:         !o.showFull,
		Type:                   display.DisplayProgress,
		Debug:                  o.debug,
		SummaryJSON:            o.output == "json",
	}
	if o.diff {
		printed.Type = display.DisplayDiff
	}
	return printed, err
}
