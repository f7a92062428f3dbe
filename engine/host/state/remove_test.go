package state

import (
	"errors"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// destroy deletes these in one change, as what a destroy is told to have done.
func (b *bench) destroy(told backend.UpdateInfo, gone ...string) {
	b.Helper()
	c := b.begin()
	for _, name := range gone {
		b.must(c.delete(name))
	}
	b.must(c.Finish(b.ctx, told))
	c.held.Release()
}

var destroyed = backend.UpdateInfo{Kind: apitype.DestroyUpdate, Result: backend.SucceededResult}

// remove removes the stack if it is there, as its whole process would; what it was told on the way.
func (b *bench) remove(backups bool) (warnings []string, err error) {
	b.Helper()
	h := b.lock()
	defer h.Release()
	found, err := b.store.Backend().GetStack(b.ctx, b.ref)
	b.must(err)
	if found != nil {
		_, err = h.Remove(b.ctx, found, false, backups)
	}
	return h.Warnings(), errors.Join(err, h.Sync(b.ctx))
}

// kept are the files of the stack, but for the copies of its state and what its lock needs.
func (b *bench) kept() []string {
	b.Helper()
	all, err := b.store.files.tree(b.ctx, root)
	b.must(err)
	return slices.DeleteFunc(all, func(key string) bool {
		return !strings.Contains(key, "/dev") || strings.HasPrefix(key, b.keys().locks) || strings.HasSuffix(key, ".bak")
	})
}

func TestARemovalThatIsCutOffAnywhereIsEndedByTheNext(t *testing.T) {
	everywhere(t, func(t *testing.T, bench func() *bench) {
		for n := int64(0); ; n++ {
			b := bench()
			if n == 0 {
				b.up("x")
			}
			b.up("b")
			b.destroy(destroyed, b.names()...)
			b.put(path.Join(b.keys().backups, "dev.1.json"), []byte("{}"))
			var step atomic.Int64
			var broken atomic.Bool
			broken.Store(true)
			b.breaking(func(_, key string) bool {
				return broken.Load() && !strings.HasPrefix(key, b.keys().locks) && step.Add(1) > n
			})
			_, err := b.remove(true)
			broken.Store(false)
			if err != nil && !errors.Is(err, errPower) {
				t.Fatalf("after step %d: %v", n, err)
			}
			if _, again := b.remove(true); again != nil {
				t.Fatalf("after step %d, again: %v", n, again)
			}
			if left := b.kept(); len(left) > 0 {
				t.Fatalf("after step %d %v are left", n, left)
			}
			if err == nil {
				t.Logf("a removal takes %d steps", n)
				return
			}
		}
	})
}

// names are those of all that the state holds.
func (b *bench) names() []string {
	b.Helper()
	var found []string
	for _, r := range b.snapshot().Resources {
		found = append(found, r.URN.Name())
	}
	return found
}

// The stock backend removes the state, the tags and then the history, the oldest first.
func TestWhatARemovalOfTheStockOrderHasLeftIsRemoved(t *testing.T) {
	everywhere(t, func(t *testing.T, bench func() *bench) {
		for n := 0; ; n++ {
			b := bench()
			b.up("b")
			b.destroy(destroyed, b.names()...)
			b.put(b.keys().tags(), []byte(noTags))
			history, err := b.store.files.list(b.ctx, b.keys().history)
			b.must(err)
			order := []string{b.keys().checkpoint, b.keys().tags()}
			for _, f := range history {
				order = append(order, path.Join(b.keys().history, f.name))
			}
			if n == len(order) {
				return
			}
			for _, key := range order[:n+1] {
				b.must(b.store.files.remove(b.ctx, key))
			}
			_, err = b.store.Check(b.ctx, b.ref)
			b.must(err)
			warnings, err := b.remove(true)
			b.must(err)
			if told := len(warnings) == 1 && strings.Contains(warnings[0], "had been cut off"); told != (n+1 < len(order)) {
				t.Errorf("after %d the warnings are %q", n, warnings)
			}
			if left := b.kept(); len(left) > 0 {
				t.Fatalf("after %d %v are left", n, left)
			}
			// The name is free.
			b.create()
			b.wantURNs()
		}
	})
}

func TestAStateThatWasLostIsNotTakenForARemoval(t *testing.T) {
	for name, before := range map[string]func(*bench){
		"a change": func(b *bench) {},
		"a destroy that failed": func(b *bench) {
			b.destroy(backend.UpdateInfo{Kind: apitype.DestroyUpdate, Result: backend.FailedResult}, "a", "b")
		},
		"a destroy of a part": func(b *bench) { b.destroy(destroyed, "a") },
		"a change that began after a destroy": func(b *bench) {
			b.destroy(destroyed, "a", "b")
			c := b.begin()
			b.must(c.make("c"))
			c.die()
		},
	} {
		b := newBench(t)
		b.up("a", "b")
		before(b)
		b.must(b.store.files.remove(b.ctx, b.keys().checkpoint))
		kept := tree(t, b.dir)
		if _, err := b.store.Check(b.ctx, b.ref); !errors.As(err, new(*Corrupt)) {
			t.Errorf("%s: the error is %v", name, err)
		}
		if now := tree(t, b.dir); now != kept {
			t.Errorf("%s: before\n%s\nafter\n%s", name, kept, now)
		}
		if _, err := b.store.Lock(b.ctx, b.ref); !errors.As(err, new(*Corrupt)) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

func TestARemovalThatIsRefusedRemovesNothing(t *testing.T) {
	b := newBench(t)
	b.up("a")
	h := b.lock()
	found, err := b.store.Backend().GetStack(b.ctx, b.ref)
	b.must(err)
	if hasResources, err := h.Remove(b.ctx, found, false, true); err == nil || !hasResources {
		t.Fatalf("the error is %v", err)
	}
	h.Release()
	history, err := b.store.history(b.ctx, b.keys())
	b.must(err)
	if len(history) != 1 {
		t.Fatalf("the history has %d entries", len(history))
	}
	b.wantURNs(ids("a")...)
}

func TestAStateStaysWhereItsHistoryCannotBeRemoved(t *testing.T) {
	b := newTable(t)
	b.destroy(destroyed, "a")
	_, err := b.db.ExecContext(b.ctx, `CREATE FUNCTION refuse() RETURNS trigger AS
		'BEGIN RAISE EXCEPTION ''not now''; END' LANGUAGE plpgsql;
		CREATE TRIGGER refuse BEFORE DELETE ON pulumi_state FOR EACH ROW
		WHEN (OLD.key LIKE '%/history/%') EXECUTE FUNCTION refuse()`)
	b.must(err)
	if _, err := b.bench.remove(false); err == nil || !strings.Contains(err.Error(), "not now") {
		t.Fatalf("the error is %v", err)
	}
	b.wantURNs()
	_, err = b.db.ExecContext(b.ctx, `DROP TRIGGER refuse ON pulumi_state`)
	b.must(err)
	_, err = b.bench.remove(false)
	b.must(err)
	if left := b.kept(); len(left) > 0 {
		t.Fatalf("%v are left", left)
	}
}
