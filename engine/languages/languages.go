package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	gogen "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	nodegen "github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	pythongen "github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// language is what differs between the three.
type language struct {
	// generate makes the files of an SDK.
	generate func(*schema.Package, schema.ReferenceLoader, *pulumirpc.GeneratePackageRequest) (map[string][]byte, error)
	// program is the command that runs a program of the language.
	program func(ctx context.Context, engine string, request *pulumirpc.RunRequest) (*exec.Cmd, error)
}

var languages = map[string]language{
	"go":     {generate: generateGo, program: runGo},
	"nodejs": {generate: generateNode, program: runNode},
	"python": {generate: generatePython, program: runPython},
}

func generateGo(
	bound *schema.Package, _ schema.ReferenceLoader, request *pulumirpc.GeneratePackageRequest,
) (map[string][]byte, error) {
	return gogen.GeneratePackage(tool, bound, request.GetLocalDependencies())
}

func generateNode(
	bound *schema.Package, loader schema.ReferenceLoader, request *pulumirpc.GeneratePackageRequest,
) (map[string][]byte, error) {
	return nodegen.GeneratePackage(
		tool, bound, request.GetExtraFiles(), request.GetLocalDependencies(), request.GetLocal(), loader)
}

func generatePython(
	bound *schema.Package, loader schema.ReferenceLoader, request *pulumirpc.GeneratePackageRequest,
) (map[string][]byte, error) {
	return pythongen.GeneratePackage(tool, bound, request.GetExtraFiles(), loader)
}

func runGo(ctx context.Context, _ string, _ *pulumirpc.RunRequest) (*exec.Cmd, error) {
	return exec.CommandContext(ctx, "go", "run", "."), nil
}

// runNode finds the runtime where the program finds its SDK.
func runNode(ctx context.Context, engine string, request *pulumirpc.RunRequest) (*exec.Cmd, error) {
	resolve := exec.CommandContext(ctx, "node", "-p", "require.resolve('@pulumi/pulumi/cmd/run')")
	resolve.Dir = directory(request)
	found, err := resolve.Output()
	if err != nil {
		return nil, fmt.Errorf("the program's folder has no @pulumi/pulumi: %w", err)
	}
	arguments := []string{
		strings.TrimSpace(string(found)),
		"--monitor", request.GetMonitorAddress(),
		"--engine", engine,
		"--organization", request.GetOrganization(),
		"--project", request.GetProject(),
		"--stack", request.GetStack(),
		"--root-directory", request.GetInfo().GetRootDirectory(),
		"--pwd", directory(request),
		"--parallel", parallel(request),
	}
	if request.GetDryRun() {
		arguments = append(arguments, "--dry-run")
	}
	command := exec.CommandContext(ctx, "node", append(arguments, entry(request))...)
	command.Env = append(os.Environ(), "PULUMI_NODEJS_TYPESCRIPT=true")
	return command, nil
}

// runPython uses Pulumi's own launcher, which `cargo xtask` puts beside this program.
func runPython(ctx context.Context, engine string, request *pulumirpc.RunRequest) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, "python3", "-u",
		filepath.Join(filepath.Dir(program), "pulumi-language-python-exec"),
		"--monitor", request.GetMonitorAddress(),
		"--engine", engine,
		"--organization", request.GetOrganization(),
		"--project", request.GetProject(),
		"--stack", request.GetStack(),
		"--root_directory", request.GetInfo().GetRootDirectory(),
		"--pwd", directory(request),
		"--parallel", parallel(request),
		"--dry_run", strconv.FormatBool(request.GetDryRun()),
		entry(request),
	), nil
}

func entry(request *pulumirpc.RunRequest) string {
	if entry := request.GetInfo().GetEntryPoint(); entry != "" {
		return entry
	}
	return "."
}
