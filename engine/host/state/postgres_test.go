package state

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"pilot/engine/host/pgserver"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/diy"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

func TestAPostgresBackendKeepsAndBringsInChanges(t *testing.T) {
	b := &bench{T: t, ctx: t.Context(), url: pgserver.Start(t)}
	b.store = b.open()
	b.ref = b.parse("dev")
	b.create()
	defer func() {
		found, err := b.store.Backend().GetStack(b.ctx, b.ref)
		b.must(err)
		_, err = b.store.Backend().RemoveStack(b.ctx, found, true, true)
		b.must(err)
	}()
	b.up("a", "b")
	c := b.begin()
	b.must(c.make("c"))
	b.must(c.recorder.log.wait(c.recorder.log.lines))
	b.must(c.recorder.close())
	c.held.Release()
	h := b.lock()
	b.wantURNs(ids("c", "a", "b")...)
	if len(h.Warnings()) != 1 {
		t.Fatalf("%q", h.Warnings())
	}
	h.Release()
	history, err := b.store.Backend().GetHistory(b.ctx, b.ref, 0, 0)
	b.must(err)
	if len(history) != 1 {
		t.Fatalf("the history has %d entries", len(history))
	}
	b.must(b.store.files.remove(b.ctx, "nowhere"))
	if found, err := b.store.files.list(b.ctx, parts(b.keys().journal)); err != nil || len(found) > 0 {
		t.Fatalf("the journal is still there: %v %v", found, err)
	}
}

func TestManyStacksAtOnceInOneTableAllEnd(t *testing.T) {
	b := &bench{T: t, ctx: t.Context(), url: pgserver.Start(t)}
	b.store = b.open()
	const stacks = 24
	ended := make(chan error, stacks)
	for at := range stacks {
		ref := b.parse(fmt.Sprintf("s%d", at))
		go func() {
			held, err := b.store.Lock(b.ctx, ref)
			if err == nil {
				if _, err = b.store.Backend().CreateStack(b.ctx, ref, "", nil, nil); err == nil {
					err = held.Sync(b.ctx)
				}
				held.Release()
			}
			ended <- err
		}()
	}
	timeout := time.After(time.Minute)
	for range stacks {
		select {
		case err := <-ended:
			b.must(err)
		case <-timeout:
			t.Fatal("they wait for each other")
		}
	}
	if found, _, err := b.store.Backend().ListStacks(b.ctx, backend.ListStacksFilter{}, nil); err != nil || len(found) != stacks {
		t.Errorf("%d stacks, %v", len(found), err)
	}
}

func TestNamesThatDifferByALetterOfPatternsAreOtherStacksOfATable(t *testing.T) {
	b := &bench{T: t, ctx: t.Context(), url: pgserver.Start(t)}
	b.store = b.open()
	for _, name := range []string{"a_b", "a-b", "axb"} {
		b.ref = b.parse(name)
		b.create()
		b.up("a")
	}
	b.ref = b.parse("a_b")
	b.up("b")
	for name, updates := range map[string]int{"a_b": 2, "a-b": 1, "axb": 1} {
		history, err := b.store.Backend().GetHistory(b.ctx, b.parse(name), 0, 0)
		b.must(err)
		if len(history) != updates {
			t.Errorf("%s has %d updates", name, len(history))
		}
	}
	found, _, err := b.store.Backend().ListStacks(b.ctx, backend.ListStacksFilter{}, nil)
	if b.must(err); len(found) != 3 {
		t.Errorf("%d stacks", len(found))
	}
	if url := b.store.Backend().URL(); url != b.url {
		t.Errorf("people know it as %s", url)
	}
	// What one driver writes, Pulumi's own reads.
	theirs, err := diy.New(b.ctx, diag.DefaultSink(io.Discard, io.Discard, diag.FormatOptions{Color: colors.Never}), b.url,
		&workspace.Project{Name: testProject})
	b.must(err)
	stack, err := theirs.GetStack(b.ctx, b.parse("a-b"))
	if b.must(err); stack == nil {
		t.Error("the stock driver finds no a-b")
	}
}

func TestAPanicWhileALockIsTakenLetsGoOfIt(t *testing.T) {
	b := newBench(t)
	func() {
		defer func() { _ = recover() }()
		_, _ = b.store.holding(b.ctx, b.ref, func(*Held, context.Context) error { panic("nobody thought of this") })
	}()
	b.lock().Release()
}

func TestAChangeThatMeetsARestartOfTheDatabaseGoesOn(t *testing.T) {
	b := newTable(t)
	for round, mode := range []string{"fast", "immediate"} {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			pgserver.Restart(t, b.db, mode)
		}()
		changes := 0
		for running := true; running; changes++ {
			select {
			case <-ended:
				running = false
			default:
			}
			b.up(fmt.Sprintf("r%d-%d", round, changes))
		}
		if changes < 2 {
			t.Errorf("%s: %d changes saw the restart", mode, changes)
		}
	}
	if held := b.locks(); len(held) != 0 {
		t.Errorf("the locks are %v", held)
	}
}

func TestAChangeAndAnOpeningThatMeetADatabaseWithoutWritesGoOn(t *testing.T) {
	b := newTable(t)
	refuse := func(value string) {
		for _, statement := range []string{
			"ALTER SYSTEM SET default_transaction_read_only = " + value, "SELECT pg_reload_conf()",
		} {
			_, err := b.db.Exec(statement)
			b.must(err)
		}
	}
	refuse("on")
	t.Cleanup(func() { refuse("off") })
	opened := make(chan error, 1)
	go func() {
		_, _, err := openFiles(b.ctx, b.url+"&table=of_the_opening")
		opened <- err
	}()
	// It is seen by a session with its next statement.
	for deadline := time.Now().Add(10 * time.Second); ; {
		var refused string
		b.must(b.db.QueryRow("SHOW transaction_read_only").Scan(&refused))
		if refused == "on" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("writes are never refused")
		}
	}
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		b.up("late")
	}()
	select {
	case <-changed:
		t.Error("a change ended while nothing could be written")
	case err := <-opened:
		t.Errorf("the opening ended while nothing could be written: %v", err)
	case <-time.After(2 * time.Second):
	}
	refuse("off")
	<-changed
	b.must(<-opened)
}
