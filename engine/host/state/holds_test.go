package state

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pilot/engine/host/pgserver"
)

// until asks again until it is so.
func (b *bench) until(what string, is func() bool) {
	b.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("never: %s", what)
		}
	}
}

func (b *bench) lockFiles() []string {
	b.Helper()
	found, err := b.store.files.list(b.ctx, b.keys().locks)
	b.must(err)
	var names []string
	for _, f := range found {
		names = append(names, f.name)
	}
	return names
}

// everywhere runs a test in a folder, in buckets, and in a table.
func everywhere(t *testing.T, test func(t *testing.T, bench func() *bench)) {
	t.Run("as folder", func(t *testing.T) { test(t, func() *bench { return newBench(t) }) })
	onBuckets(t, test)
	t.Run("table", func(t *testing.T) {
		url, tables := pgserver.Start(t), 0
		test(t, func() *bench {
			tables++
			b := &bench{T: t, ctx: t.Context(), url: fmt.Sprintf("%s&table=state_%d", url, tables)}
			b.store = b.open()
			b.ref = b.parse("dev")
			b.create()
			return b
		})
	})
}

// breaking lets the steps of the storage fail as long as a test says so; it gives how many were asked for.
func (b *bench) breaking(fails func(step, key string) bool) *atomic.Int64 {
	asked := new(atomic.Int64)
	before := func(step, key string, _ int) error {
		if !fails(step, key) {
			return nil
		}
		asked.Add(1)
		return errPower
	}
	switch storage := b.store.files.(type) {
	case *folder:
		storage.before = before
	case *bucket:
		storage.before = before
	}
	return asked
}

func quickly(t *testing.T) {
	first, longest := firstPause, longestPause
	t.Cleanup(func() { firstPause, longestPause = first, longest })
	firstPause, longestPause = time.Millisecond, 5*time.Millisecond
}

func TestALockThatCannotBeRemovedIsRemovedAsSoonAsItCanBe(t *testing.T) {
	quickly(t)
	everywhere(t, func(t *testing.T, bench func() *bench) {
		b := bench()
		var away atomic.Bool
		tried := b.breaking(func(string, string) bool { return away.Load() })
		h := b.lock()
		away.Store(true)
		h.Release()
		b.until("it is tried again", func() bool { return tried.Load() > 3 })
		if found := b.lockFiles(); len(found) != 1 {
			t.Fatalf("the locks are %v", found)
		}
		away.Store(false)
		b.until("the lock is gone", func() bool { return len(b.lockFiles()) == 0 })
		b.lock().Release()
	})
}

func TestWhoWantsTheStackNextInThisProcessTakesItsLeftLockOver(t *testing.T) {
	quickly(t)
	everywhere(t, func(t *testing.T, bench func() *bench) {
		b := bench()
		var away atomic.Bool
		b.breaking(func(step, _ string) bool { return step == "remove" && away.Load() })
		h := b.lock()
		away.Store(true)
		h.Release()
		// It can not be removed yet, so the next does not get it, and leaves no less behind.
		if _, err := b.store.Lock(b.ctx, b.ref); !errors.Is(err, errPower) {
			t.Fatalf("the error is %v", err)
		}
		ended, end := context.WithCancel(b.ctx)
		end()
		if _, err := b.store.Lock(ended, b.ref); err == nil {
			t.Fatal("a run that is to end waits for nothing")
		}
		away.Store(false)
		next := b.lock()
		defer next.Release()
		for until := time.Now().Add(20 * longestPause); time.Now().Before(until); time.Sleep(time.Millisecond) {
			if found := b.lockFiles(); len(found) != 1 {
				t.Fatalf("the next holder's locks are %v", found)
			}
		}
	})
}

func TestALockThatATableKeepsForAWhileIsRemovedThen(t *testing.T) {
	quickly(t)
	b := newTable(t)
	h := b.lock()
	_, err := b.db.ExecContext(b.ctx, `CREATE FUNCTION refuse() RETURNS trigger AS
		'BEGIN RAISE EXCEPTION ''not now''; END' LANGUAGE plpgsql;
		CREATE TRIGGER refuse BEFORE DELETE ON pulumi_state FOR EACH ROW EXECUTE FUNCTION refuse()`)
	b.must(err)
	h.Release()
	if held := b.locks(); len(held) != 1 {
		t.Fatalf("the locks are %v", held)
	}
	_, err = b.db.ExecContext(b.ctx, `DROP TRIGGER refuse ON pulumi_state`)
	b.must(err)
	b.until("the lock is gone", func() bool { return len(b.locks()) == 0 })
	b.another().lock().Release()
}

// The orchestrator ends a run at any time, and another process works on the stack at once.
func TestALockWhoseTakingIsCutOffAnywhereHoldsNobodyUp(t *testing.T) {
	quickly(t)
	direct := pgserver.Start(t)
	var at, count atomic.Int64
	var end atomic.Pointer[context.CancelFunc]
	url := watched(t, direct, func() {
		if count.Add(1) == at.Load() {
			(*end.Load())()
		}
	})
	b := &bench{T: t, ctx: t.Context(), url: url}
	b.store = b.open()
	b.ref = b.parse("dev")
	b.create()
	b.up("a")
	other := &table{&bench{T: t, ctx: t.Context(), url: direct, ref: b.ref}, pgserver.Open(t, direct)}
	other.store = other.open()
	for n := int64(1); ; n++ {
		ctx, cancel := context.WithCancel(b.ctx)
		end.Store(&cancel)
		count.Store(0)
		at.Store(n)
		h, err := b.store.Lock(ctx, b.ref)
		at.Store(0)
		if err == nil {
			h.Release()
		}
		other.until("the lock is gone", func() bool { return len(other.locks()) == 0 })
		cancelled := ctx.Err() != nil
		cancel()
		if !cancelled {
			t.Logf("a lock is taken and given back in %d messages", n-1)
			return
		}
	}
}

func TestOnlyOurOwnLockIsRemoved(t *testing.T) {
	everywhere(t, func(t *testing.T, bench func() *bench) {
		b := bench()
		h := b.lock()
		if own, found := path.Base(b.store.lockKey(h.keys)), b.lockFiles(); strings.Join(found, " ") != own {
			t.Fatalf("the locks are %v, and ours is %s", found, own)
		}
		// Somebody of a like name and number, as two containers may be, has broken ours.
		b.must(b.store.Backend().CancelCurrentUpdate(b.ctx, b.ref))
		b.put(path.Join(h.keys.locks, "of-another.json"), stockLock(self()))
		h.Release()
		if found := b.lockFiles(); strings.Join(found, " ") != "of-another.json" {
			t.Fatalf("the locks are %v", found)
		}
	})
}
