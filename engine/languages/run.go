package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// alreadyLogged is the exit code of Pulumi's runtimes after they told the engine what went wrong.
const alreadyLogged = 32

// Run starts the program and waits for its end. What it prints goes where this program's output goes.
func (h *host) Run(ctx context.Context, request *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	command, err := h.language.program(ctx, h.engine, request)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(request.GetConfig())
	if err != nil {
		return nil, err
	}
	secrets, err := json.Marshal(request.GetConfigSecretKeys())
	if err != nil {
		return nil, err
	}
	command.Dir = directory(request)
	command.Env = append(command.Environ(),
		"PULUMI_ENGINE="+h.engine,
		"PULUMI_MONITOR="+request.GetMonitorAddress(),
		"PULUMI_ORGANIZATION="+request.GetOrganization(),
		"PULUMI_PROJECT="+request.GetProject(),
		"PULUMI_STACK="+request.GetStack(),
		"PULUMI_ROOT_DIRECTORY="+request.GetInfo().GetRootDirectory(),
		"PULUMI_CONFIG="+string(config),
		"PULUMI_CONFIG_SECRET_KEYS="+string(secrets),
		"PULUMI_DRY_RUN="+strconv.FormatBool(request.GetDryRun()),
		"PULUMI_PARALLEL="+parallel(request),
	)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	err = command.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case errors.As(err, &exit) && exit.ExitCode() == alreadyLogged:
		return &pulumirpc.RunResponse{Bail: true}, nil
	default:
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("the program failed: %v", err)}, nil
	}
}

func directory(request *pulumirpc.RunRequest) string {
	if directory := request.GetInfo().GetProgramDirectory(); directory != "" {
		return directory
	}
	return request.GetPwd()
}

func parallel(request *pulumirpc.RunRequest) string {
	return strconv.Itoa(int(request.GetParallel()))
}
