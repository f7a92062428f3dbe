package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"
)

// Sync belongs behind a stock call (create, import of a state, rename, remove) under this lock: what it wrote reaches
// the disk, and the lock is taken again, since stock calls that lock by themselves end by removing the lock file. If
// another process came in between, the error is *Locked. Behind a fence the lock stays, and the error is *LockLost if it
// was taken away: the stock backend goes past some writes that are refused, and tells others in its own words.
func (h *Held) Sync(ctx context.Context) error {
	s, k := h.store, h.keys
	// File systems keep times to a few milliseconds.
	since := h.since.Add(-time.Second)
	for _, written := range []struct{ dir, prefix string }{
		{root, "meta.yaml"}, {k.stacks, k.name + "."}, {k.history, ""}, {path.Dir(k.history), k.name}, {k.backups, ""},
	} {
		// By name, not by time alone: others write into the same folders.
		if err := s.files.flush(ctx, written.dir, written.prefix, since); err != nil {
			return fmt.Errorf("bring the state to the disk: %w", err)
		}
	}
	current, err := loadCheckpoint(ctx, s.files, k)
	if err != nil {
		return err
	}
	if !current.exists() {
		// The stack was removed or has another name: what we noted of it must not meet a later stack of this name.
		if err := s.files.remove(ctx, k.done); err != nil {
			return err
		}
	}
	if h.fence.stands() {
		return h.look(ctx)
	}
	// The stock lock ignores its own file, so this is a renewal where the file is still there.
	if err := h.stockLock(ctx); err != nil {
		if other := s.clearDeadLocks(ctx, k); other != nil {
			return other
		}
		return fmt.Errorf("lock the stack again: %w", err)
	}
	return nil
}

// look asks whether the lock behind which a fence stands is there still.
func (h *Held) look(ctx context.Context) error {
	_, err := h.store.files.read(ctx, path.Join(h.keys.locks, path.Base(h.fence.object())))
	if errors.Is(err, fs.ErrNotExist) {
		return h.fence.broken()
	}
	return err
}
