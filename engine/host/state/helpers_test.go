package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	pkgresource "github.com/pulumi/pulumi/pkg/v3/resource"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/pkg/v3/secrets/b64"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

const testProject = "shop"

// bench is one store over one place, with one stack in it.
type bench struct {
	*testing.T
	ctx   context.Context
	dir   string
	store *Store
	ref   backend.StackReference
	// url is the backend, if it is not the folder.
	url string
	// bucket: the store takes the folder for a bucket.
	bucket bool
	// adopts are the packages whose creates adopt.
	adopts []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, ctx: context.Background(), dir: t.TempDir()}
	b.store = b.open()
	b.ref = b.parse("dev")
	b.create()
	return b
}

func (b *bench) open() *Store {
	b.Helper()
	url := b.url
	if url == "" {
		url = fileScheme + b.dir
	}
	s, err := Open(b.ctx, url, &workspace.Project{Name: testProject}, 0)
	b.must(err)
	if b.bucket {
		s.files = openBucket(b)
	}
	return s
}

func (b *bench) parse(name string) backend.StackReference {
	b.Helper()
	ref, err := b.store.Backend().ParseStackReference("organization/" + testProject + "/" + name)
	b.must(err)
	return ref
}

func (b *bench) create() {
	b.Helper()
	h := b.lock()
	_, err := b.store.Backend().CreateStack(b.ctx, b.ref, "", nil, nil)
	b.must(err)
	b.must(h.Sync(b.ctx))
	h.Release()
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) lock() *Held {
	b.Helper()
	h, err := b.store.Lock(b.ctx, b.ref)
	b.must(err)
	return h
}

func (b *bench) folder() *folder { return b.store.files.(*folder) }

func (b *bench) file(key string) string { return filepath.Join(b.dir, filepath.FromSlash(key)) }

func (b *bench) bytes(key string) []byte {
	b.Helper()
	data, err := b.store.files.read(b.ctx, key)
	b.must(err)
	return data
}

func (b *bench) put(key string, data []byte) {
	b.Helper()
	if objects, is := b.store.files.(*bucket); is {
		// Not through what a test may have broken.
		b.must(objects.blobs.WriteAll(b.ctx, key, data, nil))
		return
	}
	b.must(os.MkdirAll(filepath.Dir(b.file(key)), 0o777))
	b.must(os.WriteFile(b.file(key), data, 0o600))
}

func (b *bench) keys() keys { return keysOf(b.ref) }

// snapshot reads the state the way the stock backend does.
func (b *bench) snapshot() *deploy.Snapshot {
	b.Helper()
	found, err := b.store.Backend().GetStack(b.ctx, b.ref)
	b.must(err)
	if found == nil {
		b.Fatal("the stack does not exist")
	}
	snap, err := found.Snapshot(b.ctx, stack.Base64SecretsProvider{})
	b.must(err)
	return snap
}

func (b *bench) urns() []string {
	b.Helper()
	return names(b.snapshot())
}

func names(snap *deploy.Snapshot) []string {
	found := []string{}
	if snap == nil {
		return found
	}
	for _, r := range snap.Resources {
		found = append(found, r.URN.Name()+"="+string(r.ID))
	}
	return found
}

// change is an operation in progress.
type change struct {
	*bench
	held *Held
	*Journal
	base *deploy.Snapshot
	op   int64
	seq  int64
}

func secretsManager() secrets.Manager { return b64.NewBase64SecretsManager() }

func (b *bench) begin() *change {
	b.Helper()
	h := b.lock()
	base := b.snapshot()
	j, err := h.Journal(b.ctx, base, secretsManager(), b.adopts)
	b.must(err)
	return &change{bench: b, held: h, Journal: j, base: base, seq: 100}
}

func urnOf(name string) resource.URN {
	return resource.NewURN(tokens.QName("dev"), testProject, "", "pilot:index:Thing", name)
}

func thing(name, value string) *pkgresource.State {
	properties := resource.PropertyMap{
		"name":  resource.NewProperty(name),
		"value": resource.NewProperty(value),
		"key":   resource.MakeSecret(resource.NewProperty("secret of " + name)),
	}
	return pkgresource.NewState{
		Type: "pilot:index:Thing", URN: urnOf(name), Custom: true, ID: resource.ID("id-" + name),
		Inputs: properties, Outputs: properties.Copy(),
	}.Make()
}

func (c *change) add(entry engine.JournalEntry) error {
	c.seq++
	entry.SequenceID = c.seq
	return c.recorder.AddJournalEntry(entry)
}

func (c *change) start(state *pkgresource.State, kind pkgresource.OperationType) (int64, error) {
	c.op++
	op := pkgresource.NewOperation(state, kind)
	return c.op, c.add(engine.JournalEntry{Kind: engine.JournalEntryBegin, OperationID: c.op, Operation: &op})
}

func (c *change) make(name string) error {
	state := thing(name, "1")
	op, err := c.start(state, pkgresource.OperationTypeCreating)
	return errors.Join(err, c.add(engine.JournalEntry{
		Kind: engine.JournalEntrySuccess, OperationID: op, State: state,
	}))
}

func (c *change) index(name string) *int64 {
	for i, r := range c.base.Resources {
		if r.URN == urnOf(name) {
			at := int64(i)
			return &at
		}
	}
	c.Fatalf("no %s in the base", name)
	return nil
}

func (c *change) update(name, value string) error {
	state := thing(name, value)
	op, err := c.start(state, pkgresource.OperationTypeUpdating)
	return errors.Join(err, c.add(engine.JournalEntry{
		Kind: engine.JournalEntrySuccess, OperationID: op, State: state, RemoveOld: c.index(name),
	}))
}

func (c *change) delete(name string) error {
	op, err := c.start(thing(name, "1"), pkgresource.OperationTypeDeleting)
	return errors.Join(err, c.add(engine.JournalEntry{
		Kind: engine.JournalEntrySuccess, OperationID: op, RemoveOld: c.index(name),
	}))
}

func (c *change) same(name string) error {
	c.op++
	err := c.add(engine.JournalEntry{Kind: engine.JournalEntryBegin, OperationID: c.op, ElideWrite: true})
	return errors.Join(err, c.add(engine.JournalEntry{
		Kind: engine.JournalEntrySuccess, OperationID: c.op, ElideWrite: true,
		State: c.base.Resources[*c.index(name)].Copy(), RemoveOld: c.index(name),
	}))
}

func (c *change) info(kind apitype.UpdateKind) backend.UpdateInfo {
	return backend.UpdateInfo{Kind: kind, Result: backend.SucceededResult}
}

func (c *change) finish() error {
	err := c.Finish(c.ctx, c.info(apitype.UpdateUpdate))
	c.held.Release()
	return err
}

// die ends this process's hold on the stack the way a kill does: the files stay as they are.
func (c *change) die() {
	_ = c.recorder.close()
	c.kill(c.held)
}

// gone is a process of this machine that has ended.
func gone() owner {
	o := self()
	o.Pid, o.StartTicks, o.Username, o.Flock = 1<<22+1, 1, "me", false
	return o
}

// putLock leaves a lock of a process, and its owner file.
func (b *bench) putLock(name string, o owner) {
	b.Helper()
	data, err := json.Marshal(o)
	b.must(err)
	b.put(o.key(), data)
	b.put(path.Join(b.keys().locks, name), stockLock(o))
}

// stockLock is what the stock backend writes into a lock file.
func stockLock(o owner) []byte {
	return fmt.Appendf(nil, `{"pid":%d,"username":%q,"hostname":%q,"timestamp":"2020-01-01T00:00:00Z"}`,
		o.Pid, o.Username, o.Hostname)
}

// kill lets go of a lock without an end: the lock file stays, with the number of a process that is gone.
func (b *bench) kill(h *Held) {
	b.Helper()
	h.fence.lower()
	b.store.give(h.keys)
	found, err := b.store.files.list(b.ctx, h.keys.locks)
	b.must(err)
	for _, f := range found {
		b.putLock(f.name, gone())
	}
	b.store = b.open()
}

// up makes things in one finished change.
func (b *bench) up(made ...string) {
	b.Helper()
	c := b.begin()
	for _, name := range made {
		b.must(c.make(name))
	}
	b.must(c.finish())
}

func (b *bench) wantURNs(want ...string) {
	b.Helper()
	got := b.urns()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		b.Fatalf("the state holds %v, want %v", got, want)
	}
}

func ids(made ...string) []string {
	found := []string{}
	for _, name := range made {
		found = append(found, name+"=id-"+name)
	}
	return found
}

// countCreated counts the custom things whose success is among the lines of a journal.
func countCreated(bodies [][]byte) int {
	n := 0
	for _, body := range bodies {
		var line record
		if json.Unmarshal(body, &line) == nil && line.Entry != nil && line.Entry.State != nil &&
			line.Entry.Kind == apitype.JournalEntryKindSuccess && line.Entry.State.Type == "pilot:index:Thing" {
			n++
		}
	}
	return n
}
