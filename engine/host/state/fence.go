package state

import (
	"context"
	"path"
	"regexp"
	"strings"
	"sync"
)

// fence ties what this process writes of a stack to the lock that it has taken: who lost the lock writes nothing any
// more. It stands where the storage can look at the lock and write in one statement, which only a table can (see rows);
// over folders and buckets it is never raised.
//
// The drivers find it by the keys that they are asked to write, so that what the stock backend writes is fenced, too.
type fence struct {
	keys keys

	mu sync.Mutex
	// table and lock say where the lock object is; empty until the driver has seen it written.
	table, lock string
	lost        bool
	whenLost    func()
}

// raised are the fences of this process, by table and by what the keys of a stack begin with. The stock backend has a
// driver of its own for each table, which is to know of them as well.
var raised = struct {
	sync.RWMutex
	over map[string]*fence
}{over: map[string]*fence{}}

func at(table, key string) string { return table + "\x00" + key }

// endings are those of the files of a stack that lie side by side with other stacks' files. Names may have dots: the
// state of a stack named dev.json is no file of one named dev.
var endings = regexp.MustCompile(`\.(pulumi-tags` +
	`|json(\.gz|\.zst)?(\.bak|\.\d+|\.corrupt-` + asideTime + `)?` +
	`|ndjson(\.done|\.superseded-` + asideTime + `)?)$`)

// fenceOver gives the fence around a key, if there is one.
func fenceOver(table, key string) *fence {
	raised.RLock()
	defer raised.RUnlock()
	if found := raised.over[at(table, path.Dir(key)+"/")]; found != nil {
		return found
	}
	if ending := endings.FindStringIndex(key); ending != nil {
		return raised.over[at(table, key[:ending[0]])]
	}
	return nil
}

// around gives what the keys of the stack begin with, in a table that has a prefix before all of its keys.
func (f *fence) around(prefix string) []string {
	k := f.keys
	begin := []string{
		path.Join(k.stacks, k.name), parts(k.journal), parts(k.journal) + "/", k.history + "/", k.backups + "/", k.locks + "/",
	}
	for i := range begin {
		begin[i] = prefix + begin[i]
	}
	return begin
}

type owning struct{}

// owning marks the calls that take and release the lock itself. All others that do so are within those of the stock
// backend that lock by themselves.
func (f *fence) owning(ctx context.Context) context.Context {
	return context.WithValue(ctx, owning{}, f)
}

func ownerOf(ctx context.Context) *fence {
	f, _ := ctx.Value(owning{}).(*fence)
	return f
}

// raise is called by the driver that has written the lock object.
func (f *fence) raise(table, lock string) {
	prefix, is := strings.CutSuffix(path.Dir(lock), f.keys.locks)
	if !is {
		return
	}
	f.mu.Lock()
	f.table, f.lock = table, lock
	f.mu.Unlock()
	raised.Lock()
	defer raised.Unlock()
	for _, begin := range f.around(prefix) {
		raised.over[at(table, begin)] = f
	}
}

// lower is called when the lock is released.
func (f *fence) lower() {
	f.mu.Lock()
	table, lock := f.table, f.lock
	f.table, f.lock = "", ""
	f.mu.Unlock()
	if lock == "" {
		return
	}
	raised.Lock()
	defer raised.Unlock()
	for _, begin := range f.around(strings.TrimSuffix(path.Dir(lock), f.keys.locks)) {
		if raised.over[at(table, begin)] == f {
			delete(raised.over, at(table, begin))
		}
	}
}

// object is the key of the lock; empty where no fence stands.
func (f *fence) object() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lock
}

func (f *fence) stands() bool { return f.object() != "" }

// broken is called by the driver that has found no lock, and gives the error.
func (f *fence) broken() error {
	f.mu.Lock()
	first, tell := !f.lost, f.whenLost
	f.lost = true
	f.mu.Unlock()
	if first && tell != nil {
		tell()
	}
	return f.err()
}

// err is *LockLost once a write was refused.
func (f *fence) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.lost {
		return nil
	}
	return &LockLost{Stack: f.keys.stack}
}

// tell says what to do when a write is refused, now if one was already.
func (f *fence) tell(whenLost func()) {
	f.mu.Lock()
	f.whenLost = whenLost
	lost := f.lost
	f.mu.Unlock()
	if lost && whenLost != nil {
		whenLost()
	}
}
