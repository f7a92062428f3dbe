// A home on this machine, with Pilot's SDK for Go.
package main

import (
	"pilot/sdk/go/pilot"
	"pilot/sdk/go/pilot/local"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		home, err := local.NewDirectory(ctx, "home", &local.DirectoryArgs{
			RuntimeId:    pulumi.String("rt-00000000000000aa"),
			Installation: pulumi.String("in-00000000000000aa"),
			Generation:   pulumi.Int(config.New(ctx, "").RequireInt("generation")),
		})
		if err != nil {
			return err
		}
		found, err := pilot.GetProviders(ctx)
		if err != nil {
			return err
		}
		names := pulumi.StringArray{}
		for _, provider := range found.Providers {
			names = append(names, pulumi.String(provider.Name))
		}
		ctx.Export("path", home.Path)
		ctx.Export("generation", home.Generation)
		ctx.Export("providers", names)
		return nil
	})
}
