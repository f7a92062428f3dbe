package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
)

// ownersDir holds a file for each process that takes locks, where the stock backend does not look.
var ownersDir = path.Join(root, "owners")

// owner says which process of all machines one is. A lock file names pid and host name, which containers with a fixed
// host name and cloned machines share.
type owner struct {
	Pid      int    `json:"pid"`
	Username string `json:"username"`
	Hostname string `json:"hostname"`
	// BootID is new with each start of a kernel; empty where the system tells none.
	BootID string `json:"bootId"`
	// PidNamespace is the one that Pid belongs to.
	PidNamespace string `json:"pidNamespace"`
	// StartTicks is when the process started, in ticks since boot. 0: not known.
	StartTicks uint64 `json:"startTicks"`
	// Flock: the process holds the kernel's lock on its owner file as long as it lives.
	Flock bool `json:"flock"`
}

func (o owner) String() string {
	return fmt.Sprintf("%s@%s (pid %d)", printable(o.Username), printable(o.Hostname), o.Pid)
}

// printable shows what anybody may have written into a lock file as text, and never as orders to a terminal.
func printable(text string) string {
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}

// verdict is what is known of the owner of a lock.
type verdict string

const (
	alive   verdict = "alive"
	dead    verdict = "dead"
	unknown verdict = "unknown"
)

// sighting is what can be seen of an owner from here.
type sighting struct {
	bootID, pidNamespace string
	// exists: our process table has the owner's pid, started at ticks (0: not known).
	exists bool
	ticks  uint64
	// flock says whether somebody holds the owner file.
	flock flock
	// local: no other machine can have this storage mounted.
	local bool
}

type flock int

const (
	flockNotAsked flock = iota
	flockHeld
	flockFree
)

// judge is the rule about owners that have died. automation/lock-owners.json is the same as a table, and the Rust side
// has the same rule.
func judge(o *owner, seen sighting) verdict {
	switch {
	case o == nil, o.BootID == "", seen.bootID == "":
		return unknown
	case o.BootID != seen.bootID:
		// Another machine, or this one before its last start. Only then nobody of before can live.
		if seen.local {
			return dead
		}
		return unknown
	case o.PidNamespace == seen.pidNamespace:
		switch {
		case !seen.exists:
			return dead
		case o.StartTicks == 0 || seen.ticks == 0:
			return unknown
		case o.StartTicks == seen.ticks:
			return alive
		}
		return dead
	case !seen.local || seen.flock == flockNotAsked:
		return unknown
	case seen.flock == flockHeld:
		return alive
	}
	return dead
}

// key is the owner file's; it is the process's own.
func (o owner) key() string {
	boot := strings.ReplaceAll(o.BootID, "-", "")
	return path.Join(ownersDir, fmt.Sprintf("%d-%d-%.12s-%s.json", o.Pid, o.StartTicks, boot,
		strings.Trim(o.PidNamespace, "pid:[]")))
}

// announced are the storages that have this process's owner file.
var announced = struct {
	sync.Mutex
	in map[string]bool
}{in: map[string]bool{}}

// announce writes this process's owner file, before its first lock in this storage.
func (s *Store) announce(ctx context.Context) error {
	announced.Lock()
	defer announced.Unlock()
	me := self()
	if announced.in[s.name] && s.files.holds(me.key()) {
		return nil
	}
	if err := s.dropDeadOwners(ctx); err != nil {
		return err
	}
	me.Flock = s.files.local()
	data, err := json.Marshal(me)
	if err != nil {
		return err
	}
	if err := s.files.write(ctx, me.key(), data, false); err != nil {
		return fmt.Errorf("write the owner file: %w", err)
	}
	if me.Flock {
		if err := s.files.hold(me.key()); err != nil {
			return fmt.Errorf("hold the owner file: %w", err)
		}
	}
	announced.in[s.name] = true
	return nil
}

// verdictOf judges a lock by all owner files that may be its owner's. It is dead only if each of them is.
func (s *Store) verdictOf(ctx context.Context, lock owner) (verdict, error) {
	owners, err := s.owners(ctx)
	if err != nil {
		return unknown, err
	}
	me := self()
	found := unknown
	for key, o := range owners {
		if o.Pid != lock.Pid || o.Hostname != lock.Hostname {
			continue
		}
		if key == me.key() {
			// The table of this process says that it holds no such lock.
			if found == unknown {
				found = dead
			}
			continue
		}
		if v := judge(&o, s.sight(key, o)); v != dead {
			return v, nil
		}
		found = dead
	}
	return found, nil
}

func (s *Store) sight(key string, o owner) sighting {
	me := self()
	seen := sighting{bootID: me.BootID, pidNamespace: me.PidNamespace, local: s.files.local()}
	seen.ticks, seen.exists = processStart(o.Pid)
	if o.Flock && seen.local {
		seen.flock = s.files.flock(key)
	}
	return seen
}

// owners reads all owner files, by key.
func (s *Store) owners(ctx context.Context) (map[string]owner, error) {
	found, err := s.files.list(ctx, ownersDir)
	if err != nil {
		return nil, fmt.Errorf("look for the owners of locks: %w", err)
	}
	owners := map[string]owner{}
	for _, f := range found {
		key := path.Join(ownersDir, f.name)
		data, err := s.files.read(ctx, key)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for the owners of locks: %w", err)
		}
		var o owner
		if path.Ext(f.name) == ".json" && json.Unmarshal(data, &o) == nil {
			owners[key] = o
		}
	}
	return owners, nil
}

// dropDeadOwners removes the files of dead owners, unless a lock is there that they may have left.
func (s *Store) dropDeadOwners(ctx context.Context) error {
	owners, err := s.owners(ctx)
	if err != nil || len(owners) == 0 {
		return err
	}
	locks, err := s.files.tree(ctx, path.Join(root, "locks"))
	if err != nil {
		return fmt.Errorf("look for locks: %w", err)
	}
	needed := map[string]bool{}
	for _, key := range locks {
		var lock owner
		if data, err := s.files.read(ctx, key); err == nil && json.Unmarshal(data, &lock) == nil {
			needed[lock.String()] = true
		}
	}
	for key, o := range owners {
		if !needed[o.String()] && key != self().key() && judge(&o, s.sight(key, o)) == dead {
			if err := s.files.remove(ctx, key); err != nil {
				return fmt.Errorf("remove the file of a dead owner: %w", err)
			}
		}
	}
	return nil
}
