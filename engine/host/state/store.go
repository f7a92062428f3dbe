package state

import (
	"context"
	"fmt"
	"io"
	"os"

	"pilot/engine/host/deadline"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/diy"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// Store is the state of the stacks of one backend.
type Store struct {
	backend     named
	files       files
	lockID      string
	name        string // identifies the storage in this process
	keepHistory int
}

// named is a backend under the URL that people know.
type named struct {
	diy.Backend
	url string
}

func (n named) URL() string { return n.url }

// Open gives the store of a backend URL (file://, s3://, gs://, azblob://, postgres://) for a project. It keeps the
// history to a number of entries for each stack; 0 keeps all.
func Open(ctx context.Context, url string, project *workspace.Project, keepHistory int) (*Store, error) {
	storage, name, err := openFiles(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := mendMeta(storage); err != nil {
		return nil, err
	}
	sink := diag.DefaultSink(io.Discard, os.Stderr, diag.FormatOptions{Color: colors.Never})
	var opened diy.Backend
	err = deadline.Without(deadline.Call, "open the backend", func() (err error) {
		opened, err = diy.New(ctx, sink, ownURL(url), project)
		return err
	})
	if err != nil {
		return nil, err
	}
	lockID, err := lockIDOf(opened)
	if err != nil {
		return nil, err
	}
	return &Store{
		backend: named{opened, url}, files: storage, lockID: lockID, name: name, keepHistory: keepHistory,
	}, nil
}

// Backend is the stock backend, for create, list, remove, rename, tags, export, import and history.
func (s *Store) Backend() diy.Backend { return s.backend }

// Check makes sure, for a reader, that the state can be read. It changes nothing, and takes no lock. What it gives are
// warnings: a process was cut off during a change, and what it has done since is not in the state yet.
func (s *Store) Check(ctx context.Context, ref backend.StackReference) (warnings []string, err error) {
	k := keysOf(ref)
	f, err := s.look(ctx, k)
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx, k, f, false); err != nil {
		return nil, err
	}
	if f.live == nil || len(f.live.entries) == 0 || s.isHeld(k) || s.lives(f.live.header) {
		return nil, nil
	}
	return []string{fmt.Sprintf("%s was cut off during a change of %s; %d steps of it are not in what is shown, and the next "+
		"operation brings them in", f.live.header.owner(), k.name, len(f.live.entries))}, nil
}
