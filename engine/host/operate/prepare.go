package operate

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"pilot/engine/host/deadline"
	"pilot/engine/host/place"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/autonaming"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/plugin"
	pkgworkspace "github.com/pulumi/pulumi/pkg/v3/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/common/env"
	"github.com/pulumi/pulumi/sdk/v3/go/common/esc"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// project replaces the runtime by the program that the request brings.
func (o *operation) project() error {
	if o.kind != forDestroy {
		if err := o.place.NeedProject(); err != nil {
			return err
		}
	}
	if o.run.Program != nil {
		o.place.Project.Runtime = workspace.NewProjectRuntimeInfo(inline, map[string]any{"address": o.program()})
	}
	return plugin.ValidatePulumiVersionRange(o.place.Project.RequiredPulumiVersion, version.Version)
}

// program is where the request's own serves, if it brings one.
func (o *operation) program() string {
	if o.run.Program == nil {
		return ""
	}
	return o.run.Program.Address
}

// configure saves the configuration that the flags bring, reads all of it and opens the secrets.
func (o *operation) configure(ctx context.Context) error {
	if len(o.Config) > 0 {
		if err := o.saveConfig(); err != nil {
			return fmt.Errorf("saving config: %w", err)
		}
	}
	settings, err := o.place.Settings(o.ref, o.ConfigFile)
	if err != nil {
		return fmt.Errorf("getting stack configuration: %w", err)
	}
	if o.kind == forDestroy && o.place.File == "" {
		// The project may be gone already; the last change knows what its configuration was.
		err := deadline.Within(ctx, deadline.Call, o.ref.String(), func(ctx context.Context) error {
			latest, err := backend.GetLatestConfiguration(ctx, o.stack)
			settings.Config = latest.Config
			return err
		})
		if err != nil {
			return fmt.Errorf("getting stack configuration: %w", err)
		}
	}
	if err := o.place.NoEnvironments(settings); err != nil {
		return fmt.Errorf("getting stack configuration: opening environment: %w", err)
	}
	manager, err := o.place.Manager(ctx, o.stack, settings)
	if err != nil {
		return fmt.Errorf("getting stack configuration: %w", err)
	}
	o.settings, o.secrets = settings.Config, manager
	if err := o.blindly(); err != nil {
		return fmt.Errorf("getting stack configuration: %w", err)
	}
	if err := o.validate(ctx); err != nil {
		return err
	}
	// The project may have brought secrets of its own.
	return o.blindly()
}

func (o *operation) validate(ctx context.Context) error {
	apply, what := pkgworkspace.ValidateStackConfigAndApplyProjectConfig, "validating"
	// A program that does not run needs no configuration.
	idle := o.kind&(forRefresh|forDestroy) != 0 && !o.RunProgram
	if o.SkipValidation || idle {
		apply, what = pkgworkspace.ApplyProjectConfig, "applying"
	}
	err := apply(ctx, o.ref.Name().String(), o.place.Project, esc.Value{}, o.settings,
		o.secrets.Encrypter(), o.secrets.Decrypter())
	if err != nil {
		return fmt.Errorf("%s stack config: %w", what, err)
	}
	return nil
}

func (o *operation) saveConfig() error {
	given := config.Map{}
	for _, pair := range o.Config {
		name, value, _ := strings.Cut(pair, "=")
		key, err := o.place.ConfigKey(name, o.ConfigPath)
		if err != nil {
			return err
		}
		if err := given.Set(key, config.NewValue(value), o.ConfigPath); err != nil {
			return err
		}
	}
	return o.place.Edit(o.ref, o.ConfigFile, func(settings *place.Settings) error {
		for key, value := range given {
			settings.Config[key] = value
		}
		return nil
	})
}

// engineOptions says how the engine does it.
func (o *operation) engineOptions() (engine.UpdateOptions, error) {
	targets := append(append([]string{}, o.Targets...), o.TargetReplace...)
	replace := append(append([]string{}, o.Replace...), o.TargetReplace...)
	options := engine.UpdateOptions{
		Parallel:             o.Parallel,
		Debug:                o.Debug,
		Refresh:              o.refreshes(o.place.Project),
		RefreshProgram:       o.RunProgram && o.kind != forDestroy,
		DestroyProgram:       o.RunProgram && o.kind == forDestroy,
		ReplaceTargets:       deploy.NewUrnTargets(replace),
		Targets:              deploy.NewUrnTargets(targets),
		Excludes:             deploy.NewUrnTargets(o.Excludes),
		TargetDependents:     o.TargetDependents,
		ExcludeDependents:    o.ExcludeDependents,
		ContinueOnError:      o.ContinueOnError,
		ShowSecrets:          o.ShowSecrets,
		ExecKind:             o.ExecKind,
		GeneratePlan:         o.SavePlan != "" || env.Experimental.Value(),
		LocalPolicyPacks:     engine.MakeLocalPolicyPacks(o.paths(o.Policies), o.paths(o.PolicyConfigs)),
		SkipPluginPreInstall: o.SkipPluginInstall,
		CloudCredentialEnv:   o.credentials(),

		ParallelDiff:              env.ParallelDiff.Value(),
		UseLegacyDiff:             env.EnableLegacyDiff.Value(),
		UseLegacyRefreshDiff:      env.EnableLegacyRefreshDiff.Value(),
		DisableProviderPreview:    env.DisableProviderPreview.Value(),
		DisableResourceReferences: env.DisableResourceReferences.Value(),
		DisableOutputValues:       env.DisableOutputValues.Value(),
		Experimental:              env.Experimental.Value(),
	}
	var err error
	if o.kind&(forUp|forPreview) != 0 {
		naming := autonaming.StackContext{
			Organization: string(o.organization()), Project: o.place.Project.Name.String(), Stack: o.ref.Name().String(),
		}
		options.Autonamer, err = autonaming.ParseAutonamingConfig(naming, o.settings, o.secrets.Decrypter())
		if err != nil {
			return options, fmt.Errorf("getting autonaming config: %w", err)
		}
	}
	if o.Plan != "" {
		options.Plan, err = o.readPlan()
	}
	return options, err
}

// credentials are what plugins and language hosts get in place of the process's: this run's own token, and nothing of
// the folder through which the tokens of all runs pass.
func (o *operation) credentials() map[string]string {
	return map[string]string{
		"PULUMI_ACCESS_TOKEN":                 o.run.Place.AccessToken,
		"PULUMI_BACKEND_URL":                  o.run.Place.Backend,
		workspace.PulumiCredentialsPathEnvVar: "",
	}
}

func (o *operation) paths(relative []string) []string {
	absolute := make([]string, len(relative))
	for index, path := range relative {
		absolute[index] = o.place.Path(path)
	}
	return absolute
}

// environment is what the history keeps about how a change was made. The repository of the project is
// left out: reading it takes longer than most changes.
func (o *operation) environment() map[string]string {
	kind := o.ExecKind
	if kind != "auto.inline" && kind != "auto.local" {
		kind = "cli"
	}
	about := map[string]string{
		"pulumi.version":          version.Version,
		"pulumi.os":               runtime.GOOS,
		"pulumi.arch":             runtime.GOARCH,
		backend.ExecutionKind:     kind,
		backend.UpdatePlan:        strconv.FormatBool(o.Plan != ""),
		backend.StackEnvironments: "[]",
	}
	if o.ExecAgent != "" {
		about[backend.ExecutionAgent] = o.ExecAgent
	}
	for name, value := range o.run.Given() {
		about["pulumi.flag."+name] = value
	}
	return about
}
