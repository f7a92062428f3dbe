// Package place is where a run works: a project's directory, its stacks' state and what opens their
// secrets. Nothing here depends on the process's own directory or environment.
package place

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"pilot/engine/host/deadline"
	"pilot/engine/host/fault"
	"pilot/engine/host/memo"
	"pilot/engine/host/run"
	"pilot/engine/host/secret"
	"pilot/engine/host/service"
	"pilot/engine/host/state"
	"pilot/engine/host/store"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// Place is one run's view: the project is read anew for each.
type Place struct {
	// Root is the project's directory.
	Root string
	// Directory is where relative paths of arguments begin.
	Directory string
	Project   *workspace.Project
	// File is the project's file; empty when there is none.
	File    string
	Store   store.Store
	Secrets *secret.Opener
	// Sink prints warnings for this run.
	Sink diag.Sink
	// URL is the backend's.
	URL string
}

// Stores opens each storage once, and each service for each run.
type Stores struct {
	history int
	open    *memo.Memo[*state.Store]
}

// most stores are kept open. What they know of stacks that this process holds is not theirs, so that one can be opened
// again while a run has another.
const most = 256

// NewStores keeps this many entries of each stack's history; 0 keeps all.
func NewStores(history int) *Stores {
	return &Stores{history: history, open: memo.New[*state.Store](most)}
}

// Open makes a run's place.
func (s *Stores) Open(run *run.Run) (*Place, error) {
	from, directory := run.Place, run.Place.Directory
	if !filepath.IsAbs(directory) {
		return nil, fault.Refuse("the place's directory is not an absolute path: %q", directory)
	}
	if from.Backend == "" {
		return nil, fault.Refuse("the place has no backend")
	}
	place := &Place{Directory: directory, URL: absolute(from.Backend, directory)}
	place.Sink = diag.DefaultSink(run.Stdout, run.Stderr, diag.FormatOptions{Color: colors.Never})
	if err := place.readProject(from.Project); err != nil {
		return nil, err
	}
	// A store may outlive the run that needs it first.
	ctx := context.WithoutCancel(run.Stop.Force())
	named := &workspace.Project{Name: place.Project.Name}
	if service.Is(from.Backend) {
		opened, err := service.Open(ctx, place.Sink, from.Backend, from.AccessToken, named)
		if err != nil {
			return nil, err
		}
		place.Store, place.Secrets = opened, secret.OfService(from.Passphrase, opened.Client())
		return place, nil
	}
	key := place.URL + "\x00" + place.Project.Name.String()
	opened, err := s.open.Get(key, func() (*state.Store, error) {
		return state.Open(ctx, place.URL, named, s.history)
	})
	if err != nil {
		return nil, layout(err)
	}
	place.Store, place.Secrets = storage{opened}, secret.NewOpener(from.Passphrase)
	return place, nil
}

// layout tells stacks from before there were projects in backends: the engine has no type for them.
func layout(err error) error {
	if !strings.Contains(err.Error(), "Legacy DIY state is no longer supported") {
		return err
	}
	return fault.Refuse("the backend keeps its stacks in the old layout without projects, which Pulumi has given up: " +
		"upgrade it once with `pulumi state upgrade` of a Pulumi CLI of 3.274.1 or older, then run this again")
}

func (p *Place) readProject(name string) error {
	path, err := workspace.DetectProjectPathFrom(p.Directory)
	if errors.Is(err, workspace.ErrProjectNotFound) {
		p.Root, p.Project = p.Directory, &workspace.Project{Name: tokens.PackageName(name)}
		return nil
	}
	if err != nil {
		return err
	}
	project, err := workspace.LoadProject(path)
	if err != nil {
		return err
	}
	p.File, p.Root, p.Project = path, filepath.Dir(path), project
	return nil
}

// NeedProject is an error when there is no project file.
func (p *Place) NeedProject() error {
	if p.File != "" {
		return nil
	}
	return fmt.Errorf("no Pulumi.yaml project file found (searching upwards from %s): %w",
		p.Directory, workspace.ErrProjectNotFound)
}

// Backend is the stock one.
func (p *Place) Backend() backend.Backend { return p.Store.Backend() }

// Path makes an argument's path absolute.
func (p *Place) Path(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.Directory, path)
}

// Reference names a stack: the selected one when no name is given.
func (p *Place) Reference(name string) (backend.StackReference, error) {
	if name == "" {
		if name = p.Selected(); name == "" {
			return nil, backenderr.NoStackSelectedError{}
		}
	}
	ref, err := p.Backend().ParseStackReference(name)
	if err != nil {
		return nil, err
	}
	// Folders are made of the name, and these two are others.
	if short := ref.Name().String(); short == "." || short == ".." {
		return nil, fault.Refuse("a stack cannot be named %q", short)
	}
	return ref, nil
}

// Stack finds an existing stack.
func (p *Place) Stack(ctx context.Context, ref backend.StackReference) (backend.Stack, error) {
	var stack backend.Stack
	err := deadline.Within(ctx, deadline.Call, ref.String(), func(ctx context.Context) (err error) {
		stack, err = p.Backend().GetStack(ctx, ref)
		return err
	})
	if err != nil {
		return nil, err
	}
	if stack == nil {
		return nil, backenderr.StackNotFoundError{StackName: ref.String()}
	}
	if stack.ConfigLocation().IsRemote {
		return nil, fault.LeaveToCLI("the stack's configuration is kept in an environment")
	}
	return stack, nil
}

// Key names a stack among all that this process knows.
func (p *Place) Key(ref backend.StackReference) string {
	return p.URL + " " + ref.FullyQualifiedName().String()
}

// Snapshot reads a stack's state with this place's secrets.
func (p *Place) Snapshot(ctx context.Context, stack backend.Stack) (*deploy.Snapshot, error) {
	var read *deploy.Snapshot
	err := deadline.Within(ctx, deadline.Call, stack.Ref().String(), func(ctx context.Context) (err error) {
		read, err = stack.Snapshot(ctx, p.Secrets)
		return err
	})
	return read, err
}

// Quiet is a sink for what nobody reads.
func Quiet() diag.Sink {
	return diag.DefaultSink(io.Discard, io.Discard, diag.FormatOptions{Color: colors.Never})
}

// absolute makes the path of a folder that of the run, and not of where this process was started.
func absolute(backend, directory string) string {
	const scheme = "file://"
	rest, is := strings.CutPrefix(backend, scheme)
	if !is || strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, "~") {
		return backend
	}
	inside := url.URL{Path: filepath.ToSlash(directory) + "/"}
	return scheme + inside.EscapedPath() + rest
}
