//go:build tools

// Package tools pins the Pulumi programs that Pilot starts: the CLI and the YAML language host.
// Nothing here is compiled into Pilot. `cargo xtask tools` builds both programs from go.mod and go.sum
// into the tools cache, unless programs of exactly these versions are already on PATH.
package tools

import (
	_ "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml"
	_ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
)
