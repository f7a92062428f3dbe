package operate

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/pkg/v3/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// inline is the runtime of programs that the request brings. The engine has such a one, `client`, but it
// never closes the connection to it, which only a process that ends soon can afford.
const inline = "inline"

// LanguageRuntime connects to the request's program once, and gives Pulumi's own for other programs.
func (h *host) LanguageRuntime(ctx *plugin.Context, name string) (plugin.LanguageRuntime, error) {
	if name != inline {
		return h.Host.LanguageRuntime(ctx, name)
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.program == nil {
		connection, err := dial(h.address)
		if err != nil {
			return nil, fmt.Errorf("could not connect to the program: %w", err)
		}
		h.program = connection
	}
	client := pulumirpc.NewLanguageRuntimeClient(h.program)
	return &language{
		LanguageRuntime: plugin.NewLanguageRuntimeClient(name, client),
		args:            []string{h.ServerAddr()},
	}, nil
}

// language gives an inline program the engine's address, as the engine does for its own `client`.
type language struct {
	plugin.LanguageRuntime
	args []string
}

func (l *language) Run(ctx context.Context, info plugin.RunInfo) (string, bool, error) {
	info.Args = append(info.Args, l.args...)
	return l.LanguageRuntime.Run(ctx, info)
}

// closeProgram closes the connection to the program.
func (h *host) closeProgram() error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.program == nil {
		return nil
	}
	err := h.program.Close()
	h.program = nil
	return err
}
