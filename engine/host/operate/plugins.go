package operate

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/pkg/v3/pluginstorage"
	pkgworkspace "github.com/pulumi/pulumi/pkg/v3/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// plugins installs what a run lacks, as the CLI does. A provider that is attached to the run lacks nothing: the engine
// would else look for it on the network before each run that finds it in the state.
type plugins struct {
	pluginstorage.Context
	attached map[string]uint16
	// credentials are those of the run, for what an installed plugin starts.
	credentials map[string]string
}

var _ engine.PluginManager = plugins{}

func (p plugins) isAttached(spec workspace.PluginDescriptor) bool {
	_, is := p.attached[spec.Name]
	return is && spec.Kind == apitype.ResourcePlugin
}

func (p plugins) HasPlugin(ctx context.Context, spec workspace.PluginDescriptor) pluginstorage.InstallState {
	if p.isAttached(spec) {
		return pluginstorage.PluginAttached
	}
	return p.Context.HasPlugin(ctx, spec)
}

func (p plugins) HasPluginGTE(
	ctx context.Context, spec workspace.PluginDescriptor,
) (bool, *semver.Version, error) {
	if p.isAttached(spec) {
		return true, spec.Version, nil
	}
	return p.Context.HasPluginGTE(ctx, spec)
}

func (p plugins) GetPluginPath(
	ctx context.Context, d diag.Sink, spec workspace.PluginDescriptor, own []workspace.ProjectPlugin,
) (string, error) {
	return workspace.GetPluginPath(ctx, d, spec, own)
}

func (p plugins) DownloadPlugin(
	ctx context.Context, spec workspace.PluginDescriptor, wrap func(io.ReadCloser, int64) io.ReadCloser,
	retry func(error, int, int, time.Duration),
) (io.ReadCloser, int64, error) {
	file, err := workspace.DownloadToFile(ctx, spec, wrap, retry)
	if err != nil {
		return nil, 0, err
	}
	about, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, scratch{file}.Close())
	}
	return scratch{file}, about.Size(), nil
}

func (p plugins) InstallPlugin(
	ctx context.Context, spec workspace.PluginDescriptor, content pluginstorage.Content, again bool,
) error {
	return pkgworkspace.InstallPluginContent(ctx, spec, content, again, schema.NewLoaderServerFromContext, p.credentials)
}

// scratch is a file that goes when it is closed.
type scratch struct{ *os.File }

func (s scratch) Close() error { return errors.Join(s.File.Close(), os.Remove(s.Name())) }
