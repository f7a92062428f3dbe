package operate

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/pulumi/pulumi/pkg/v3/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// inline is the runtime of programs that the request brings. The engine has such a one, `client`, but it
// never closes the connection to it, which only a process that ends soon can afford.
const inline = "inline"

// LanguageRuntime connects to the request's program once, and gives Pulumi's own for other programs.
func (h *host) LanguageRuntime(ctx *plugin.Context, name string) (plugin.LanguageRuntime, error) {
	if name != inline {
		found, err := h.Host.LanguageRuntime(ctx, name)
		if err != nil {
			return nil, err
		}
		return &language{LanguageRuntime: found, host: h}, nil
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.program == nil {
		dial := append(rpcutil.TracingInterceptorDialOptions(),
			grpc.WithTransportCredentials(insecure.NewCredentials()), rpcutil.GrpcChannelOptions())
		connection, err := grpc.NewClient(h.address, dial...)
		if err != nil {
			return nil, fmt.Errorf("could not connect to the program: %w", err)
		}
		h.program = connection
	}
	client := pulumirpc.NewLanguageRuntimeClient(h.program)
	return &language{
		LanguageRuntime: plugin.NewLanguageRuntimeClient(name, client),
		host:            h,
		args:            []string{h.ServerAddr()},
	}, nil
}

// language is a runtime of which the host remembers what the engine opens for it.
type language struct {
	plugin.LanguageRuntime
	host *host
	// args go to the program; an inline one gets the engine's address.
	args []string
}

func (l *language) Run(ctx context.Context, info plugin.RunInfo) (string, bool, error) {
	info.Args = append(info.Args, l.args...)
	if _, port, err := net.SplitHostPort(info.LoaderAddress); err == nil {
		if number, err := strconv.Atoi(port); err == nil {
			l.host.mutex.Lock()
			l.host.loaders = append(l.host.loaders, number)
			l.host.mutex.Unlock()
		}
	}
	return l.LanguageRuntime.Run(ctx, info)
}

// closeProgram closes the connection to the program, and the servers of schemas that the engine opens for
// each run and never closes: a process that lives on would have no file handles left one day.
func (h *host) closeProgram() error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for _, port := range h.loaders {
		closeListener(port)
	}
	h.loaders = nil
	if h.program == nil {
		return nil
	}
	err := h.program.Close()
	h.program = nil
	return err
}
