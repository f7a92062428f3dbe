package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path"
	"strings"
	"sync"
	"time"

	"pilot/engine/host/deadline"

	"github.com/pulumi/pulumi/pkg/v3/backend"
)

// Held is the lock of a stack.
type Held struct {
	store *Store
	ref   backend.StackReference
	keys  keys
	since time.Time
	fence *fence
	// adopts are the packages whose creates find what an earlier call has made.
	adopts []string
	// locked: our lock may be there.
	locked bool

	mu       sync.Mutex
	warnings []string
	released bool
}

// Lock excludes other operations on the stack: in this process, and by the stock lock file in other processes. A lock
// of a process that is proven dead is removed. Then Lock brings in what a dead process left in its journal, and makes
// sure that the state can be read and holds nothing that this version would lose. It restores nothing: see Repair.
//
// The errors are *Locked, *Corrupt and *Newer.
func (s *Store) Lock(ctx context.Context, ref backend.StackReference) (*Held, error) {
	return s.holding(ctx, ref, (*Held).settle)
}

// Overwrite is Lock for who replaces the whole state: what is there need not be readable, and is kept aside then, as is
// a journal that was to continue it. What a newer version wrote is refused here, too.
func (s *Store) Overwrite(ctx context.Context, ref backend.StackReference) (*Held, error) {
	return s.holding(ctx, ref, func(h *Held, ctx context.Context) error {
		err := h.settle(ctx)
		if errors.As(err, new(*Corrupt)) {
			return h.putAside(ctx)
		}
		return err
	})
}

// holding takes the lock and keeps it if all is well then. A panic, too, lets go of it.
func (s *Store) holding(
	ctx context.Context, ref backend.StackReference, prepare func(*Held, context.Context) error,
) (held *Held, err error) {
	h, err := s.hold(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer func() {
		if held == nil {
			h.Release()
		}
	}()
	if err := prepare(h, ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// hold takes the lock, and does not look at the state.
func (s *Store) hold(ctx context.Context, ref backend.StackReference) (held *Held, err error) {
	h := &Held{store: s, ref: ref, keys: keysOf(ref), since: time.Now()}
	h.fence = &fence{keys: h.keys}
	if h.locked, err = s.take(ctx, h.keys); err != nil {
		return nil, err
	}
	defer func() {
		if held == nil {
			h.letGo()
		}
	}()
	if err := h.lockFile(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// Release gives the stack free, at once or as soon as its storage is there again.
func (h *Held) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released {
		return
	}
	h.released = true
	h.letGo()
}

// WhenLost is told once that the lock was taken away, as soon as a write is refused for that. Only a fence can tell.
func (h *Held) WhenLost(tell func()) { h.fence.tell(tell) }

// lost is *LockLost once a write was refused.
func (h *Held) lost() error { return h.fence.err() }

// Warnings tells what Lock brought in, in sentences.
func (h *Held) Warnings() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.warnings
}

func (h *Held) warn(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.warnings = append(h.warnings, fmt.Sprintf(format, args...))
}

// lockFile takes the stock lock.
func (h *Held) lockFile(ctx context.Context) error {
	s, k := h.store, h.keys
	if err := s.announce(ctx); err != nil {
		return err
	}
	if err := s.clearDeadLocks(ctx, k); err != nil {
		return err
	}
	// It may be written also where the error says that it is not, as when the run is to end meanwhile.
	h.locked = true
	err := h.stockLock(ctx)
	if err == nil {
		return nil
	}
	// Somebody may have come in between; then it is that, and else it is another failure.
	if again := s.clearDeadLocks(ctx, k); again != nil {
		return again
	}
	return fmt.Errorf("lock the stack: %w", err)
}

// stockLock has a deadline, as our own calls have: it lists, reads and writes a few small objects.
func (h *Held) stockLock(ctx context.Context) error {
	ctx, done := context.WithTimeout(ctx, deadline.Call)
	defer done()
	return h.store.backend.Lock(h.fence.owning(ctx), h.ref)
}

// writing is how long the writing of a lock may take: it is a hundred bytes.
const writing = time.Second

// isUnfinished is true for what the stock backend renames into place when it is whole. A process that is killed in
// between leaves it, and the stock backend takes every file of the folder for a lock.
func isUnfinished(name string) bool {
	return strings.Contains(name, ".json.") && strings.HasSuffix(name, ".tmp")
}

// clearDeadLocks removes the lock files of dead processes. The error is *Locked if one lives, or may live.
func (s *Store) clearDeadLocks(ctx context.Context, k keys) error {
	found, err := s.files.list(ctx, k.locks)
	if err != nil {
		return fmt.Errorf("look for locks: %w", err)
	}
	for _, f := range found {
		key := path.Join(k.locks, f.name)
		switch {
		case isUnfinished(f.name):
			err = s.clearUnfinished(ctx, key)
		case path.Ext(f.name) == ".json":
			err = s.clearDead(ctx, k, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// clearUnfinished removes what is still there after the time that a writer needs. Without it the renaming fails, so its
// writer, should it live, can only fail to get the lock.
func (s *Store) clearUnfinished(ctx context.Context, key string) error {
	for waited := time.Duration(0); waited < writing; waited += writing / 20 {
		if _, err := s.files.read(ctx, key); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(writing / 20):
		}
	}
	if err := s.files.remove(ctx, key); err != nil {
		return fmt.Errorf("remove a lock that was never finished: %w", err)
	}
	return nil
}

func (s *Store) clearDead(ctx context.Context, k keys, key string) error {
	if key == s.lockKey(k) {
		// Whoever asks has the stack in this process: it is of an end that was cut off.
		return s.removeDead(ctx, key)
	}
	data, err := s.files.read(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for locks: %w", err)
	}
	var lock owner
	if json.Unmarshal(data, &lock) != nil || lock.Pid == 0 {
		return &Locked{Owner: "an unknown owner (" + key + " cannot be read)", Unproven: true, Stack: k.name}
	}
	known, err := s.verdictOf(ctx, lock)
	if err != nil {
		return err
	}
	if known != dead {
		return &Locked{Owner: lock.String(), Unproven: known == unknown, Stack: k.name}
	}
	return s.removeDead(ctx, key)
}

func (s *Store) removeDead(ctx context.Context, key string) error {
	if err := s.files.remove(ctx, key); err != nil {
		return fmt.Errorf("remove the lock of nobody: %w", err)
	}
	return nil
}

func hostName() string {
	name, _ := os.Hostname()
	return name
}

func userName() string {
	if current, err := user.Current(); err == nil {
		return current.Username
	}
	return "unknown"
}

func isLocked(err error) bool {
	locked := new(Locked)
	return errors.As(err, &locked)
}
