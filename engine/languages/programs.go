//go:build programs

package main

// What Go programs with a generated SDK import: pinned here, so that tests need no versions of their own.
import (
	_ "github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	_ "github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
	_ "github.com/pulumi/pulumi/sdk/v3/go/pulumix"
)
