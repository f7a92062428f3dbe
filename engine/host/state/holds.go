package state

import (
	"context"
	"errors"
	"path"
	"reflect"
	"sync"
	"time"

	"pilot/engine/host/deadline"

	"github.com/pulumi/pulumi/pkg/v3/backend/diy"
)

// holds is the table of the stacks that this process holds: nil while somebody works on one, and else its lock, which
// nobody needs any more and which is still there. The stock lock does not exclude a second lock of the same backend,
// since it ignores its own file.
var holds = struct {
	sync.Mutex
	stacks map[string]*leftLock
}{stacks: map[string]*leftLock{}}

// leftLock is a lock that could not be removed, as its storage is away. It is tried until it is done, or until the next
// who wants the stack in this process has it.
type leftLock struct {
	// turn is had by whoever removes the lock or takes it over, so that no late removal meets the next lock.
	turn chan struct{}
}

// Between two tries to remove a lock, the first and the longest pause. Tests shorten them.
var firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second

func (s *Store) id(k keys) string { return s.name + "\x00" + k.stack }

// take makes the stack this process's own. left is true if an earlier lock of this process may still be there. The error
// is *Locked where somebody works on the stack.
func (s *Store) take(ctx context.Context, k keys) (left bool, err error) {
	for {
		lock, free := s.takeFree(k)
		switch {
		case free:
			return false, nil
		case lock == nil:
			return false, &Locked{Owner: self().String(), Stack: k.name}
		}
		select {
		case lock.turn <- struct{}{}:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		taken := s.replace(k, lock, nil)
		<-lock.turn
		if taken {
			return true, nil
		}
	}
}

func (s *Store) takeFree(k keys) (*leftLock, bool) {
	holds.Lock()
	defer holds.Unlock()
	lock, there := holds.stacks[s.id(k)]
	if !there {
		holds.stacks[s.id(k)] = nil
	}
	return lock, !there
}

// replace changes what is known of the stack's lock, if it is still as it was.
func (s *Store) replace(k keys, was, is *leftLock) bool {
	holds.Lock()
	defer holds.Unlock()
	if lock, there := holds.stacks[s.id(k)]; !there || lock != was {
		return false
	}
	holds.stacks[s.id(k)] = is
	return true
}

func (s *Store) give(k keys) {
	holds.Lock()
	defer holds.Unlock()
	delete(holds.stacks, s.id(k))
}

// isHeld is true while somebody works on the stack.
func (s *Store) isHeld(k keys) bool {
	holds.Lock()
	defer holds.Unlock()
	lock, there := holds.stacks[s.id(k)]
	return there && lock == nil
}

// lockKey is where the stock backend keeps our lock of a stack.
func (s *Store) lockKey(k keys) string { return path.Join(k.locks, s.lockID+".json") }

// letGo gives the stack free. A lock that cannot be removed now is so in the background: it would hold up everybody
// else for as long as this process lives.
func (h *Held) letGo() {
	s, k := h.store, h.keys
	err := h.removeLock()
	h.fence.lower()
	if err == nil {
		s.give(k)
		return
	}
	lock := &leftLock{turn: make(chan struct{}, 1)}
	if s.replace(k, nil, lock) {
		go h.removeLater(lock)
	}
}

// removeLock removes our lock and no other, also where its writing was cut off. It says nothing of a lock that is not
// there.
func (h *Held) removeLock() error {
	if !h.locked || h.lost() != nil {
		return nil
	}
	return deadline.Within(context.Background(), deadline.Call, "the lock", func(ctx context.Context) error {
		return h.store.files.remove(h.fence.owning(ctx), h.store.lockKey(h.keys))
	})
}

func (h *Held) removeLater(lock *leftLock) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		time.Sleep(pause)
		lock.turn <- struct{}{}
		// Whoever has taken the stack meanwhile has the lock as well.
		done := !h.store.replace(h.keys, lock, lock)
		if !done && h.removeLock() == nil {
			h.store.give(h.keys)
			done = true
		}
		<-lock.turn
		if done {
			return
		}
	}
}

// lockIDOf reads what the stock backend names its locks by, and keeps to itself. It deletes them by itself as well, but
// does not tell whether it did.
func lockIDOf(opened diy.Backend) (string, error) {
	field := reflect.Indirect(reflect.ValueOf(opened)).FieldByName("lockID")
	if field.Kind() != reflect.String || field.Len() == 0 {
		return "", errors.New("this version of Pulumi's backend names its locks in another way: the engine host needs another one")
	}
	return field.String(), nil
}
