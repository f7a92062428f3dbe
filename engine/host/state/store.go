package state

import (
	"context"
	"io"
	"os"
	"sync"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/diy"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// Store is the state of the stacks of one backend.
type Store struct {
	backend     diy.Backend
	files       files
	name        string // identifies the storage in this process
	keepHistory int

	mu    sync.Mutex
	notes map[string][]string // warnings that no Held has told yet, by stack
}

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
	stock, err := diy.New(ctx, sink, url, project)
	if err != nil {
		return nil, err
	}
	return &Store{
		backend: stock, files: storage, name: name, keepHistory: keepHistory, notes: map[string][]string{},
	}, nil
}

// Backend is the stock backend, for create, list, remove, rename, tags, export, import and history.
func (s *Store) Backend() diy.Backend { return s.backend }

// Settle does what Lock does to the state, for readers, if nobody holds the stack; and nothing if somebody does. It
// takes the lock only if there is something to do.
func (s *Store) Settle(ctx context.Context, ref backend.StackReference) error {
	k := keysOf(ref)
	if s.isHeld(k) {
		return nil
	}
	if f, err := s.look(ctx, k); err == nil && f.live == nil {
		if problem, err := s.judge(ctx, k, f); err == nil && problem == "" {
			return nil
		}
	}
	// What a reader finds without the lock may be a moment in the work of another process; so look again under it.
	held, err := s.Lock(ctx, ref)
	if isLocked(err) {
		return nil
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.notes[k.stack] = append(s.notes[k.stack], held.Warnings()...)
	s.mu.Unlock()
	held.Release()
	return nil
}

func (s *Store) takeNotes(k keys) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	notes := s.notes[k.stack]
	delete(s.notes, k.stack)
	return notes
}
