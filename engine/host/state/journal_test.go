package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/pkg/v3/engine"
	pkgresource "github.com/pulumi/pulumi/pkg/v3/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

func TestAFinishedChangeIsReadByTheStockBackend(t *testing.T) {
	b := newBench(t)
	b.up("a", "b")
	b.wantURNs(ids("a", "b")...)
	value := b.snapshot().Resources[0].Inputs["key"]
	if !value.IsSecret() || value.SecretValue().Element.StringValue() != "secret of a" {
		t.Fatalf("the secret became %v", value)
	}
	stacks, _, err := b.store.Backend().ListStackNames(b.ctx, backendFilter(), nil)
	b.must(err)
	if len(stacks) != 1 {
		t.Fatalf("the stock backend lists %v", stacks)
	}
	history, err := b.store.Backend().GetHistory(b.ctx, b.ref, 0, 0)
	b.must(err)
	if len(history) != 1 || history[0].Kind != apitype.UpdateUpdate {
		t.Fatalf("the history is %v", history)
	}
}

func TestAChangeWritesEachResourceOnceMoreThanItsCheckpoint(t *testing.T) {
	few, many := changeBytes(t, 100), changeBytes(t, 1000)
	t.Logf("100 resources: %d bytes, 1000 resources: %d bytes, %.2f times", few, many, float64(many)/float64(few))
	if many > 13*few {
		t.Fatalf("1000 resources write %d bytes and 100 write %d", many, few)
	}
}

func changeBytes(t *testing.T, n int) int {
	b := newBench(t)
	written := 0
	b.folder().before = func(_, _ string, bytes int) error { written += bytes; return nil }
	c := b.begin()
	for i := range n {
		b.must(c.make(fmt.Sprintf("r%d", i)))
	}
	b.must(c.finish())
	return written
}

func TestABackupAndTheHistoryAreLinks(t *testing.T) {
	b := newBench(t)
	b.up("a")
	current, err := os.Stat(b.file(b.keys().checkpoint))
	b.must(err)
	copies, err := filepath.Glob(b.file(b.keys().history + "/*.checkpoint.json"))
	b.must(err)
	if len(copies) != 1 {
		t.Fatalf("the history has %v", copies)
	}
	kept, err := os.Stat(copies[0])
	b.must(err)
	if !os.SameFile(current, kept) {
		t.Fatal("the history's checkpoint was written again")
	}
	b.up("b")
	backup, err := os.Stat(b.file(b.keys().checkpoint + ".bak"))
	b.must(err)
	if !os.SameFile(backup, kept) {
		t.Fatal("the backup was written again")
	}
}

func TestAnOperationWithoutChangesWritesHistoryOnly(t *testing.T) {
	b := newBench(t)
	b.up("a")
	before := b.bytes(b.keys().checkpoint)
	var touched []string
	b.folder().before = func(step, key string, _ int) error {
		touched = append(touched, step+" "+key)
		return nil
	}
	c := b.begin()
	b.must(c.same("a"))
	b.must(c.finish())
	if !bytes.Equal(before, b.bytes(b.keys().checkpoint)) {
		t.Fatal("the checkpoint was written")
	}
	if slices.ContainsFunc(touched, func(s string) bool { return !strings.Contains(s, "history") && !strings.Contains(s, "locks") }) {
		t.Fatalf("it touched %v", touched)
	}
}

func TestARefreshWithoutChangesLeavesTheCheckpoint(t *testing.T) {
	b := newBench(t)
	b.up("a")
	before := b.bytes(b.keys().checkpoint)
	c := b.begin()
	b.must(c.add(engine.JournalEntry{Kind: engine.JournalEntryBegin, OperationID: 1}))
	b.must(c.add(engine.JournalEntry{
		Kind: engine.JournalEntryRefreshSuccess, OperationID: 1, State: c.base.Resources[0].Copy(), RemoveOld: c.index("a"),
		IsRefresh: true,
	}))
	b.must(c.finish())
	if !bytes.Equal(before, b.bytes(b.keys().checkpoint)) {
		t.Fatal("the checkpoint was written")
	}
	if _, err := os.Stat(b.file(b.keys().journal)); err == nil {
		t.Fatal("the journal is still there")
	}
}

func TestACreateIsOnTheDiskBeforeTheProviderIsCalled(t *testing.T) {
	b := newBench(t)
	c := b.begin()
	var steps []string
	b.folder().before = func(step, _ string, _ int) error { steps = append(steps, step); return nil }
	_, err := c.start(thing("a", "1"), pkgresource.OperationTypeCreating)
	b.must(err)
	if !slices.Equal(steps, []string{"open log", "append", "sync log"}) {
		t.Fatalf("the steps were %v", steps)
	}
	steps = nil
	b.must(c.add(engine.JournalEntry{Kind: engine.JournalEntrySuccess, OperationID: c.op, State: thing("a", "1")}))
	if !slices.Equal(steps, []string{"append"}) {
		t.Fatalf("a success took %v", steps)
	}
	b.must(c.finish())
}

func TestACreateThatCannotBeWrittenIsNotBegun(t *testing.T) {
	b := newBench(t)
	c := b.begin()
	full := errors.New("no space left")
	b.folder().before = func(step, _ string, _ int) error {
		if step == "append" {
			return full
		}
		return nil
	}
	if _, err := c.start(thing("a", "1"), pkgresource.OperationTypeCreating); !errors.Is(err, full) {
		t.Fatalf("the error is %v", err)
	}
	b.folder().before = nil
	b.must(c.finish())
	b.wantURNs()
	if n := len(b.snapshot().PendingOperations); n != 0 {
		t.Fatalf("%d operations are pending", n)
	}
}

func TestASuccessThatCannotBeLoggedIsSavedAtTheEnd(t *testing.T) {
	b := newBench(t)
	c := b.begin()
	_, err := c.start(thing("a", "1"), pkgresource.OperationTypeCreating)
	b.must(err)
	b.folder().before = func(step, _ string, _ int) error {
		if step == "append" {
			return errors.New("no space left")
		}
		return nil
	}
	err = c.add(engine.JournalEntry{Kind: engine.JournalEntrySuccess, OperationID: c.op, State: thing("a", "1")})
	if err == nil {
		t.Fatal("the failure was not told")
	}
	b.folder().before = nil
	b.must(c.finish())
	b.wantURNs(ids("a")...)
}

func TestManyAtOnceShareSyncsAndLoseNothing(t *testing.T) {
	b := newBench(t)
	c := b.begin()
	var mu sync.Mutex
	syncs := 0
	b.folder().before = func(step, _ string, _ int) error {
		mu.Lock()
		defer mu.Unlock()
		if step == "sync log" {
			syncs++
		}
		return nil
	}
	const workers, each = 64, 10
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range each {
				state := thing(fmt.Sprintf("w%d-%d", w, i), "1")
				op := pkgresource.NewOperation(state, pkgresource.OperationTypeCreating)
				id := int64(w*each + i + 1)
				err := c.recorder.AddJournalEntry(engine.JournalEntry{
					Kind: engine.JournalEntryBegin, OperationID: id, SequenceID: id, Operation: &op,
				})
				err = errors.Join(err, c.recorder.AddJournalEntry(engine.JournalEntry{
					Kind: engine.JournalEntrySuccess, OperationID: id, SequenceID: id, State: state,
				}))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d creates shared %d syncs", workers*each, syncs)
	if syncs >= workers*each {
		t.Fatalf("%d creates took %d syncs", workers*each, syncs)
	}
	c.die()
	h := b.lock()
	defer h.Release()
	if n := len(b.urns()); n != workers*each {
		t.Fatalf("%d resources came back, want %d", n, workers*each)
	}
}

func TestUpdatesAndDeletesOfTheBaseAreKept(t *testing.T) {
	b := newBench(t)
	b.up("a", "b", "c")
	c := b.begin()
	b.must(c.same("a"))
	b.must(c.update("b", "2"))
	b.must(c.delete("c"))
	b.must(c.finish())
	b.wantURNs(ids("a", "b")...)
	if got := b.snapshot().Resources[1].Inputs["value"].StringValue(); got != "2" {
		t.Fatalf("the value is %s", got)
	}
}

func TestABaseThatIsNotTheOneOnTheDiskIsWrittenWhole(t *testing.T) {
	b := newBench(t)
	b.up("a")
	h := b.lock()
	base := b.snapshot()
	base.Resources = append(base.Resources, thing("other", "1"))
	j, err := h.Journal(b.ctx, base, secretsManager(), nil)
	b.must(err)
	c := &change{bench: b, held: h, Journal: j, base: base, seq: 100}
	b.must(c.update("other", "2"))
	c.die()
	b.lock().Release()
	b.wantURNs("other=id-other", "a=id-a")
}
