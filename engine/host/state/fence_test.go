package state

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"pilot/engine/host/pgserver"

	"github.com/pulumi/pulumi/pkg/v3/backend"
)

// table is a bench on a table, with a second connection to it.
type table struct {
	*bench
	db *sql.DB
}

func newTable(t *testing.T) *table {
	t.Helper()
	b := &bench{T: t, ctx: t.Context(), url: pgserver.Start(t)}
	b.store = b.open()
	b.ref = b.parse("dev")
	b.create()
	b.up("a")
	return &table{b, pgserver.Open(t, b.url)}
}

// another is the same stack from a process that knows nothing of this one.
func (b *table) another() *table {
	b.Helper()
	other := *b.bench
	other.url = pgserver.Alias(b.url)
	other.store = other.open()
	return &table{&other, b.db}
}

func (b *table) rows() map[string]string {
	b.Helper()
	return pgserver.Rows(b, b.db)
}

// row is a key as the table has it: below the name of the database.
func row(key string) string { return "postgres/" + key }

// locks are the keys of the stack's locks.
func (b *table) locks() []string {
	b.Helper()
	var found []string
	for key := range b.rows() {
		if strings.HasPrefix(key, row(b.keys().locks)+"/") {
			found = append(found, key)
		}
	}
	return found
}

// takeAway deletes the lock, as `pulumi cancel` does.
func (b *table) takeAway() {
	b.Helper()
	if held := b.locks(); len(held) != 1 {
		b.Fatalf("the locks are %v", held)
	}
	b.must(b.another().store.Backend().CancelCurrentUpdate(b.ctx, b.ref))
	if held := b.locks(); len(held) != 0 {
		b.Fatalf("the locks are %v", held)
	}
}

func isLost(err error) bool { return errors.As(err, new(*LockLost)) }

// everyKey gives a key of each kind that is written of a stack.
func everyKey(k keys) []string {
	found := []string{
		path.Join(k.stacks, k.name+".pulumi-tags"), k.checkpoint + ".1764000000000000000", aside(k.checkpoint, "corrupt"),
		path.Join(k.history, k.name+"-1.history.json"), path.Join(k.history, k.name+"-1.checkpoint.json.gz"),
		path.Join(k.backups, k.name+".1.json"), part(k.journal, 1), part(k.journal, 77), k.done,
		aside(k.journal, "superseded"), path.Join(k.locks, "of-another.json"),
	}
	for _, variant := range k.variants() {
		found = append(found, variant, variant+".bak")
	}
	return found
}

func TestWhoLostTheLockWritesNoKeyOfTheStack(t *testing.T) {
	b := newTable(t)
	h := b.lock()
	told := 0
	h.WhenLost(func() { told++ })
	keys := everyKey(h.keys)
	for _, key := range keys {
		b.must(b.store.files.write(b.ctx, key, []byte(key), true))
		b.must(b.store.files.copy(b.ctx, key, key+"x"))
		b.must(b.store.files.remove(b.ctx, key+"x"))
	}
	own := strings.TrimPrefix(h.fence.object(), row(""))
	b.must(b.store.files.remove(b.ctx, path.Join(h.keys.locks, "of-another.json")))
	b.takeAway()
	b.put(path.Join(root, "of-nobody"), nil)
	b.must(b.another().store.files.write(b.ctx, path.Join(h.keys.locks, "of-another.json"), []byte("{}"), true))
	before := b.rows()
	for _, key := range append(keys, own) {
		if err := b.store.files.write(b.ctx, key, []byte("late"), true); !isLost(err) {
			t.Errorf("write %s: %v", key, err)
		}
		if err := b.store.files.copy(b.ctx, path.Join(root, "of-nobody"), key); !isLost(err) {
			t.Errorf("copy to %s: %v", key, err)
		}
		if err := b.store.files.remove(b.ctx, key); !isLost(err) && key != own {
			t.Errorf("remove %s: %v", key, err)
		}
	}
	if err := h.Sync(b.ctx); !isLost(err) {
		t.Errorf("sync: %v", err)
	}
	h.Release()
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	pgserver.Same(t, before, b.rows())
}

func TestASuccessorKeepsStateAndLockWhenTheFirstGoesOn(t *testing.T) {
	b := newTable(t)
	first := b.begin()
	b.must(first.make("b"))
	b.must(first.recorder.log.wait(first.recorder.log.lines))
	b.takeAway()
	second := b.another()
	second.up("c")
	second.wantURNs(ids("c", "b", "a")...)
	held := second.lock()
	before := b.rows()
	err := first.make("d")
	if err == nil {
		// What has ended is sent in the background; what begins waits for that.
		err = first.make("e")
	}
	if !isLost(err) {
		t.Errorf("go on: %v", err)
	}
	if err := first.finish(); !isLost(err) {
		t.Errorf("finish: %v", err)
	}
	pgserver.Same(t, before, b.rows())
	held.Release()
	// The first may have it again, in its turn.
	b.up("f")
	b.wantURNs(ids("f", "c", "b", "a")...)
}

func TestAFinishBehindALostLockLeavesWhatTheSuccessorLeft(t *testing.T) {
	b := newTable(t)
	for name, meanwhile := range map[string]func(*table){
		"nobody came":    func(*table) {},
		"it changed":     func(b *table) { b.up(fmt.Sprint("c", len(b.urns()))) },
		"it only looked": func(b *table) { b.lock().Release() },
	} {
		for made := range 2 {
			first := b.begin()
			for range made {
				b.must(first.make(fmt.Sprint("b", len(b.urns()))))
			}
			b.takeAway()
			meanwhile(b.another())
			before := b.rows()
			if err := first.finish(); !isLost(err) {
				t.Errorf("%s, %d made: %v", name, made, err)
			}
			pgserver.Same(t, before, b.rows())
		}
	}
}

func TestStockCallsBehindALostLockChangeNothing(t *testing.T) {
	b := newTable(t)
	stack, err := b.store.Backend().GetStack(b.ctx, b.ref)
	b.must(err)
	deployment, err := b.store.Backend().ExportDeployment(b.ctx, stack)
	b.must(err)
	h := b.lock()
	b.takeAway()
	unchanged := func(is func(error) bool) {
		t.Helper()
		before := b.rows()
		for name, call := range map[string]func() error{
			"import": func() error { return backend.ImportStackDeployment(b.ctx, stack, deployment) },
			"rename": func() error { _, err := backend.RenameStack(b.ctx, stack, "other"); return err },
			"create": func() error { _, err := b.store.Backend().CreateStack(b.ctx, b.ref, "", nil, nil); return err },
			"remove": func() error { _, err := h.Remove(b.ctx, stack, true, true); return err },
		} {
			if err := call(); !is(err) {
				t.Errorf("%s: %v", name, err)
			}
			if err := h.Sync(b.ctx); !isLost(err) {
				t.Errorf("sync: %v", err)
			}
		}
		pgserver.Same(t, before, b.rows())
	}
	unchanged(isLost)
	held := b.another().lock()
	// The stock backend sees the other's lock first, and says so in words.
	unchanged(func(err error) bool { return err != nil })
	h.Release()
	held.Release()
}

func TestARemovalThatLosesTheLockOnItsWayIsToldAndLeavesTheState(t *testing.T) {
	b := newTable(t)
	h := b.lock()
	stack, err := b.store.Backend().GetStack(b.ctx, b.ref)
	b.must(err)
	tags := path.Join(h.keys.stacks, h.keys.name+".pulumi-tags")
	b.must(b.store.files.write(b.ctx, tags, []byte(noTags), false))
	before := b.rows()
	delete(before, h.fence.object())
	// It goes first, under the lock.
	maps.DeleteFunc(before, func(key, _ string) bool { return strings.HasPrefix(key, row(h.keys.history)) })
	// The stock call takes the lock again, and has it no longer then.
	_, err = b.db.ExecContext(b.ctx, `CREATE FUNCTION lose() RETURNS trigger AS
		'BEGIN DELETE FROM pulumi_state WHERE key = NEW.key; RETURN NULL; END' LANGUAGE plpgsql;
		CREATE TRIGGER lose AFTER UPDATE ON pulumi_state FOR EACH ROW
		WHEN (NEW.key LIKE '%/locks/%') EXECUTE FUNCTION lose()`)
	b.must(err)
	if _, err := h.Remove(b.ctx, stack, true, false); !isLost(err) {
		t.Errorf("remove: %v", err)
	}
	h.Release()
	pgserver.Same(t, before, b.rows())
}

func TestTheLockStaysWhileStockCallsTakeAndReleaseIt(t *testing.T) {
	b := newTable(t)
	h := b.lock()
	own := b.locks()
	stack, err := b.store.Backend().GetStack(b.ctx, b.ref)
	b.must(err)
	deployment, err := b.store.Backend().ExportDeployment(b.ctx, stack)
	b.must(err)
	b.must(backend.ImportStackDeployment(b.ctx, stack, deployment))
	if now := b.locks(); fmt.Sprint(now) != fmt.Sprint(own) {
		t.Errorf("the locks were %v and are %v", own, now)
	}
	b.must(h.Sync(b.ctx))
	h.Release()
	if now := b.locks(); len(now) != 0 {
		t.Errorf("the locks are %v", now)
	}
}

func TestTheLockOfAStackIsNothingToOneWhoseNameBeginsTheSame(t *testing.T) {
	b := newTable(t)
	b.ref = b.parse("dev.json")
	b.create()
	for _, lost := range []string{"dev", "dev.json"} {
		b.ref = b.parse(lost)
		h := b.lock()
		b.takeAway()
		for _, other := range []string{"dev2", "dev-1", "de", "dev.json", "dev", "dev.ndjson", "dev.json.bak"} {
			if other == lost {
				continue
			}
			b.ref = b.parse(other)
			if found, err := b.store.Backend().GetStack(b.ctx, b.ref); err == nil && found == nil {
				b.create()
			}
			h := b.lock()
			for _, key := range everyKey(h.keys) {
				if f := fenceOver(h.fence.table, row(key)); f != h.fence {
					t.Errorf("%s is behind the lock of %v", key, f)
				}
			}
			h.Release()
			c := b.begin()
			b.must(c.make("x-of-" + lost))
			b.must(c.finish())
		}
		if h.lost() != nil {
			t.Errorf("%s was written", lost)
		}
		h.Release()
	}
}

func TestAStoppedProcessThatWakesUpFindsTheStackAsItsSuccessorLeftIt(t *testing.T) {
	b := newTable(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childURL+"="+b.url)
	out, err := child.StdoutPipe()
	b.must(err)
	b.must(child.Start())
	t.Cleanup(func() { _ = child.Process.Kill() })
	lines := bufio.NewScanner(out)
	for range 5 {
		if !lines.Scan() {
			t.Fatal("it makes nothing")
		}
	}
	b.must(child.Process.Signal(syscall.SIGSTOP))
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(child.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("%v, %v", status, err)
	}
	if _, err := b.store.Lock(b.ctx, b.ref); !isLocked(err) {
		t.Fatalf("while it holds the lock: %v", err)
	}
	b.must(b.store.Backend().CancelCurrentUpdate(b.ctx, b.ref))
	b.up("mine")
	held := b.lock()
	before := b.rows()
	b.must(child.Process.Signal(syscall.SIGCONT))
	for lines.Scan() {
	}
	ended := new(exec.ExitError)
	if err := child.Wait(); !errors.As(err, &ended) || ended.ExitCode() != lockWasLost {
		t.Errorf("it ended with %v", err)
	}
	pgserver.Same(t, before, b.rows())
	held.Release()
}

// eventually waits for what another connection is about to do.
func (b *table) eventually(what, query string) {
	b.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		var is bool
		b.must(b.db.QueryRowContext(b.ctx, query).Scan(&is))
		if is {
			return
		}
	}
	b.Fatalf("never: %s", what)
}

const somebodyWaits = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')`

func TestAWriteAndTheDeleteOfTheLockExcludeEachOther(t *testing.T) {
	b := newTable(t)
	h := b.lock()
	written := make(chan error, 1)
	write := func() { written <- b.store.files.write(b.ctx, h.keys.checkpoint+".bak", []byte("x"), true) }
	begin := func(statement, key string) *sql.Tx {
		transaction, err := b.db.BeginTx(context.Background(), nil)
		b.must(err)
		_, err = transaction.ExecContext(b.ctx, statement, key)
		b.must(err)
		return transaction
	}
	const deletes = `DELETE FROM pulumi_state WHERE key = $1`

	// The write was first: the delete cannot be.
	b.must(b.store.files.write(b.ctx, h.keys.checkpoint+".bak", []byte("w"), true))
	blocking := begin(deletes, row(h.keys.checkpoint+".bak"))
	go write()
	b.eventually("the write waits", somebodyWaits)
	_, err := b.db.ExecContext(b.ctx, `SELECT FROM pulumi_state WHERE key = $1 FOR UPDATE NOWAIT`, h.fence.object())
	if err == nil || !strings.Contains(err.Error(), "could not obtain lock") {
		t.Errorf("the lock can be deleted under a write: %v", err)
	}
	b.must(blocking.Rollback())
	b.must(<-written)

	// A delete that was taken back is none.
	taken := begin(deletes, h.fence.object())
	go write()
	b.eventually("the write waits", somebodyWaits)
	b.must(taken.Rollback())
	b.must(<-written)

	// The delete was first.
	taken = begin(deletes, h.fence.object())
	go write()
	b.eventually("the write waits", somebodyWaits)
	b.must(taken.Commit())
	if err := <-written; !isLost(err) {
		t.Errorf("written behind the delete: %v", err)
	}
	h.Release()
}
