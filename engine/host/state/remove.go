package state

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"github.com/pulumi/pulumi/pkg/v3/backend"
)

// noTags is what the stock backend keeps of a stack without tags, if it keeps anything.
const noTags = `{"version":1,"tags":{}}`

// Remove removes the stack, as the stock backend does it; hasResources is why it refuses without force.
//
// That tries three times to delete a file that is not there, with pauses of 140 ms in all. What it is about to delete
// is therefore put there first, in a form that is right if this process dies in between.
func (h *Held) Remove(ctx context.Context, stack backend.Stack, force, backups bool) (hasResources bool, err error) {
	s, k := h.store, h.keys
	tags := path.Join(k.stacks, k.name+".pulumi-tags")
	if err := s.putIfAbsent(ctx, tags, func() error { return s.files.write(ctx, tags, []byte(noTags), false) }); err != nil {
		return false, err
	}
	if backups {
		current, err := loadCheckpoint(ctx, s.files, k)
		if err != nil {
			return false, err
		}
		before := current.key + ".bak"
		put := func() error { return s.files.copy(ctx, current.key, before) }
		if current.exists() {
			if err := s.putIfAbsent(ctx, before, put); err != nil {
				return false, err
			}
		}
	}
	if hasResources, err = backend.RemoveStack(ctx, stack, force, backups); err == nil {
		// It goes past what it cannot delete.
		err = h.lost()
	}
	return hasResources, err
}

func (s *Store) putIfAbsent(ctx context.Context, key string, put func() error) error {
	if _, err := s.files.read(ctx, key); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return put()
}
