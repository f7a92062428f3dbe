package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend"
)

// held is the table of the stacks that this process holds. The stock lock does not exclude a second lock of the same
// backend, since it ignores its own file.
var held = struct {
	sync.Mutex
	stacks map[string]bool
}{stacks: map[string]bool{}}

// Held is the lock of a stack.
type Held struct {
	store *Store
	ref   backend.StackReference
	keys  keys
	since time.Time

	mu       sync.Mutex
	warnings []string
	released bool
}

// Lock excludes other operations on the stack: in this process, and by the stock lock file in other processes. A lock
// file that a dead process of this machine left is removed. Then Lock brings in what a dead process left in its
// journal, and makes sure that the state can be read.
//
// The errors are *Locked and *Corrupt.
func (s *Store) Lock(ctx context.Context, ref backend.StackReference) (*Held, error) {
	h := &Held{store: s, ref: ref, keys: keysOf(ref), since: time.Now()}
	if !s.take(h.keys) {
		return nil, &Locked{Owner: owner{Username: userName(), Hostname: hostName(), Pid: os.Getpid()}.String()}
	}
	if err := s.lockFile(ctx, ref, h.keys); err != nil {
		s.give(h.keys)
		return nil, err
	}
	h.warnings = s.takeNotes(h.keys)
	if err := h.settle(ctx); err != nil {
		h.Release()
		return nil, err
	}
	return h, nil
}

// Release gives the stack free.
func (h *Held) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released {
		return
	}
	h.released = true
	if stock, ok := h.store.backend.(interface {
		Unlock(ctx context.Context, ref backend.StackReference)
	}); ok {
		stock.Unlock(context.Background(), h.ref)
	}
	h.store.give(h.keys)
}

// Warnings tells what Lock had to mend, in sentences.
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

func (s *Store) id(k keys) string { return s.name + "\x00" + k.stack }

func (s *Store) take(k keys) bool {
	held.Lock()
	defer held.Unlock()
	if held.stacks[s.id(k)] {
		return false
	}
	held.stacks[s.id(k)] = true
	return true
}

func (s *Store) give(k keys) {
	held.Lock()
	defer held.Unlock()
	delete(held.stacks, s.id(k))
}

func (s *Store) isHeld(k keys) bool {
	held.Lock()
	defer held.Unlock()
	return held.stacks[s.id(k)]
}

// lockFile takes the stock lock.
func (s *Store) lockFile(ctx context.Context, ref backend.StackReference, k keys) error {
	if err := s.clearDeadLocks(ctx, k); err != nil {
		return err
	}
	err := s.backend.Lock(ctx, ref)
	if err == nil {
		return nil
	}
	// Somebody may have come in between; then it is that, and else it is another failure.
	if again := s.clearDeadLocks(ctx, k); again != nil {
		return again
	}
	return fmt.Errorf("lock the stack: %w", err)
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
		if isUnfinished(f.name) {
			if time.Since(f.modified) < writing {
				return &Locked{Owner: "an unknown owner (" + key + " is being written)"}
			}
			if err := s.files.remove(ctx, key); err != nil {
				return fmt.Errorf("remove a lock that was never finished: %w", err)
			}
			continue
		}
		if path.Ext(f.name) != ".json" {
			continue
		}
		data, err := s.files.read(ctx, key)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for locks: %w", err)
		}
		var who owner
		if json.Unmarshal(data, &who) != nil || who.Pid == 0 {
			if _, ok := s.files.(*folder); !ok {
				return &Locked{Owner: "an unknown owner (" + key + " cannot be read)"}
			}
			// The stock backend renames a whole file into place, so only a power failure leaves such a one: whoever
			// wrote it is dead.
			who = owner{}
		}
		if who.Pid != 0 && !who.dead() {
			return &Locked{Owner: who.String()}
		}
		if err := s.files.remove(ctx, key); err != nil {
			return fmt.Errorf("remove the lock of a dead process: %w", err)
		}
	}
	return nil
}

// owner is the content of a stock lock file.
type owner struct {
	Pid       int       `json:"pid"`
	Username  string    `json:"username"`
	Hostname  string    `json:"hostname"`
	Timestamp time.Time `json:"timestamp"`
}

func (o owner) String() string { return fmt.Sprintf("%s@%s (pid %d)", o.Username, o.Hostname, o.Pid) }

// dead says whether the owner is known not to live any more: its process was of this machine and is gone, or its number
// belongs to a younger process.
func (o owner) dead() bool {
	if o.Hostname != hostName() {
		return false
	}
	started, alive := processStart(o.Pid)
	if !alive {
		return true
	}
	// The kernel tells a start to 10 ms, and the clock may have been set since.
	return !started.IsZero() && !o.Timestamp.IsZero() && started.After(o.Timestamp.Add(2*time.Second))
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
