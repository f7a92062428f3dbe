// The peer of `cargo xtask bench bridge`: the official Go Automation API brings a stack of some resources
// up, again, and down, with a provider of its own that does nothing. Prints the seconds of each operation
// as one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: peer STACK RESOURCES")
	}
	resources, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if err := serveProvider(); err != nil {
		log.Fatal(err)
	}
	seconds, err := measure(context.Background(), os.Args[1], resources)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(seconds); err != nil {
		log.Fatal(err)
	}
}

func measure(ctx context.Context, name string, resources int) (map[string]float64, error) {
	seconds := map[string]float64{}
	timed := func(step string, run func() error) error {
		began := time.Now()
		if err := run(); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
		seconds[step] = time.Since(began).Seconds()
		return nil
	}
	project := auto.Project(workspace.Project{
		Name:    tokens.PackageName("bench"),
		Runtime: workspace.NewProjectRuntimeInfo("go", nil),
	})
	var stack auto.Stack
	steps := []struct {
		name string
		run  func() error
	}{
		{"create", func() (err error) {
			stack, err = auto.UpsertStackInlineSource(ctx, name, "bench", program(resources), project)
			return err
		}},
		{"up", func() error { _, err := stack.Up(ctx); return err }},
		{"up_again", func() error { _, err := stack.Up(ctx); return err }},
		{"destroy", func() error { _, err := stack.Destroy(ctx); return err }},
	}
	for _, step := range steps {
		if err := timed(step.name, step.run); err != nil {
			return nil, err
		}
	}
	return seconds, nil
}

type thing struct{ pulumi.CustomResourceState }

func program(resources int) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		for i := range resources {
			inputs := pulumi.Map{"label": pulumi.String("one")}
			if err := ctx.RegisterResource("noop:index:Thing", fmt.Sprintf("thing-%d", i), inputs, &thing{}); err != nil {
				return err
			}
		}
		ctx.Export("url", pulumi.String("http://example.com"))
		return nil
	}
}

// serveProvider makes the CLI use a provider in this process.
func serveProvider() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	pulumirpc.RegisterResourceProviderServer(server, provider{})
	go func() {
		if err := server.Serve(listener); err != nil {
			log.Fatal(err)
		}
	}()
	port := listener.Addr().(*net.TCPAddr).Port
	return os.Setenv("PULUMI_DEBUG_PROVIDERS", fmt.Sprintf("noop:%d", port))
}

type provider struct {
	pulumirpc.UnimplementedResourceProviderServer
}

func (provider) CheckConfig(_ context.Context, r *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: r.GetNews()}, nil
}

func (provider) DiffConfig(context.Context, *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	return &pulumirpc.DiffResponse{}, nil
}

func (provider) Configure(context.Context, *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	return &pulumirpc.ConfigureResponse{AcceptSecrets: true, SupportsPreview: true, AcceptResources: true}, nil
}

func (provider) Check(_ context.Context, r *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: r.GetNews()}, nil
}

func (provider) Diff(context.Context, *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
}

func (provider) Create(_ context.Context, r *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	return &pulumirpc.CreateResponse{Id: "id", Properties: r.GetProperties()}, nil
}

func (provider) Delete(context.Context, *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (provider) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "1.0.0"}, nil
}

func (provider) GetSchema(context.Context, *pulumirpc.GetSchemaRequest) (*pulumirpc.GetSchemaResponse, error) {
	return &pulumirpc.GetSchemaResponse{Schema: `{"name":"noop","version":"1.0.0"}`}, nil
}

func (provider) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}
