package operate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/packageworkspace"
	"github.com/pulumi/pulumi/pkg/v3/codegen/convert"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	pkghost "github.com/pulumi/pulumi/pkg/v3/host"
	"github.com/pulumi/pulumi/pkg/v3/registry"
	"github.com/pulumi/pulumi/pkg/v3/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/env"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Limits of talking to an attached provider.
const (
	attachLimit = 10 * time.Second
	cancelLimit = 5 * time.Second
)

// hosts makes the plugin host of one operation. Attached providers are this operation's own: the
// environment variable by which the CLI learns of them would be that of all runs. `opened` is called
// when the host is made.
func hosts(
	registry registry.Registry, attached map[string]uint16, program string, opened func(),
) engine.HostFactory {
	return func(ctx context.Context, d, status diag.Sink, debug plugin.DebugContext) (plugin.Host, error) {
		opened()
		// No installer of languages: nothing is installed that nobody has asked for.
		inner, err := pkghost.New(ctx, d, status, debug, nil, schema.NewLoaderServerFromContext,
			convert.NewMapperServerFromContext, packageworkspace.NewResolverServer(registry))
		if err != nil {
			return nil, err
		}
		return &host{Host: inner, ports: attached, address: program, open: map[*provider]*plugin.Context{}}, nil
	}
}

// host gives the attached providers and the inline program, and leaves the rest to Pulumi's own.
type host struct {
	plugin.Host
	ports map[string]uint16
	// address is the program's.
	address string
	mutex   sync.Mutex
	open    map[*provider]*plugin.Context
	program *grpc.ClientConn
}

// provider is one that already serves, over a connection of its own: that is how it tells the
// configurations apart which it gets.
type provider struct {
	plugin.Provider
	host       *host
	connection *grpc.ClientConn
	once       sync.Once
}

func (h *host) Provider(
	ctx *plugin.Context, wanted workspace.PluginDescriptor, environment env.Env,
) (plugin.Provider, error) {
	port, attached := h.ports[wanted.Name]
	if !attached {
		return h.Host.Provider(ctx, wanted, environment)
	}
	opened, err := h.attach(ctx, wanted.Name, port)
	if err != nil {
		return nil, fmt.Errorf("attached provider %s at port %d: %w", wanted.Name, port, err)
	}
	if wanted.Version == nil {
		return opened, nil
	}
	info, err := opened.GetPluginInfo(ctx.Request())
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	if info.Version == nil || !info.Version.GTE(*wanted.Version) {
		ctx.Diag.Warningf(diag.Message("", "the attached provider %s is of version %v, and %v is expected"),
			wanted.Name, info.Version, wanted.Version)
	}
	return opened, nil
}

func (h *host) attach(ctx *plugin.Context, name string, port uint16) (*provider, error) {
	var more []grpc.DialOption
	if ctx.DialOptions != nil {
		more = ctx.DialOptions(map[string]any{"mode": "client", "kind": "resource", "name": name})
	}
	connection, err := dial(fmt.Sprintf("127.0.0.1:%d", port), more...)
	if err != nil {
		return nil, err
	}
	client := pulumirpc.NewResourceProviderClient(connection)
	opened := &provider{
		Provider:   plugin.NewProviderWithClient(ctx, client, ctx.DisableProviderPreview()),
		host:       h,
		connection: connection,
	}
	// Whether it can shake hands or not, it is alive when it answers.
	limited, done := context.WithTimeout(ctx.Base(), attachLimit)
	defer done()
	_, err = opened.Handshake(limited, h.handshake(ctx))
	if err != nil && status.Code(err) != codes.Unimplemented {
		return nil, errors.Join(fmt.Errorf("did not answer: %w", err), connection.Close())
	}
	if _, err := client.Attach(limited, &pulumirpc.PluginAttach{Address: h.ServerAddr()}); err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.open[opened] = ctx.LifetimeContext()
	return opened, nil
}

func (h *host) handshake(ctx *plugin.Context) plugin.ProviderHandshakeRequest {
	optional := func(address string) *string {
		if address == "" {
			return nil
		}
		return &address
	}
	return plugin.ProviderHandshakeRequest{
		EngineAddress:               h.ServerAddr(),
		ConfigureWithUrn:            true,
		SupportsViews:               true,
		SupportsRefreshBeforeUpdate: true,
		InvokeWithPreview:           true,
		AcceptsByteString:           true,
		MapperTarget:                optional(ctx.MapperAddr()),
		LoaderTarget:                optional(ctx.LoaderAddr()),
		ResolverTarget:              optional(ctx.ResolverAddr()),
	}
}

// ResolvePlugin knows the attached ones, so that their schemas are asked of them.
func (h *host) ResolvePlugin(
	ctx *plugin.Context, wanted workspace.PluginDescriptor,
) (*workspace.PluginInfo, error) {
	if _, attached := h.ports[wanted.Name]; attached && wanted.Kind == apitype.ResourcePlugin {
		return &workspace.PluginInfo{Name: wanted.Name, Kind: wanted.Kind, Version: wanted.Version}, nil
	}
	return h.Host.ResolvePlugin(ctx, wanted)
}

// Close ends the connection, after word to the provider as every plugin gets it.
func (p *provider) Close() error {
	var err error
	p.once.Do(func() {
		p.host.mutex.Lock()
		delete(p.host.open, p)
		p.host.mutex.Unlock()
		p.cancel()
		err = p.connection.Close()
	})
	return err
}

func (p *provider) cancel() {
	limited, done := context.WithTimeout(context.Background(), cancelLimit)
	defer done()
	// A provider that does not know this loses nothing.
	_ = p.SignalCancellation(limited)
}

// those lists the open providers of a context, or all.
func (h *host) those(ctx *plugin.Context) []*provider {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	var found []*provider
	for opened, of := range h.open {
		if ctx == nil || of == ctx {
			found = append(found, opened)
		}
	}
	return found
}

func (h *host) ReleaseContext(ctx *plugin.Context) error {
	var failed error
	for _, opened := range h.those(ctx) {
		failed = errors.Join(failed, opened.Close())
	}
	return errors.Join(failed, h.Host.ReleaseContext(ctx))
}

func (h *host) SignalCancellation() error {
	for _, opened := range h.those(nil) {
		go opened.cancel()
	}
	return h.Host.SignalCancellation()
}

func (h *host) Close() error {
	var failed error
	for _, opened := range h.those(nil) {
		failed = errors.Join(failed, opened.Close())
	}
	return errors.Join(failed, h.Host.Close(), h.closeProgram())
}
