package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/pkg/v3/engine"
	pkgresource "github.com/pulumi/pulumi/pkg/v3/resource"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
)

func TestAJournalOfADeadProcessIsBroughtIn(t *testing.T) {
	b := newBench(t)
	b.up("a")
	c := b.begin()
	b.must(c.make("b"))
	c.die()
	h := b.lock()
	defer h.Release()
	b.wantURNs(ids("b", "a")...)
	if w := h.Warnings(); len(w) != 1 || !strings.Contains(w[0], "was cut off during a change") {
		t.Fatalf("the warnings are %q", w)
	}
	if _, err := os.Stat(b.file(b.keys().journal)); err == nil {
		t.Fatal("the journal is still there")
	}
}

func TestAReaderChangesNothingAndSaysWhatIsMissing(t *testing.T) {
	b := newBench(t)
	c := b.begin()
	b.must(c.make("a"))
	warnings, err := b.store.Check(b.ctx, b.ref)
	b.must(err)
	if len(warnings) != 0 {
		t.Fatalf("while it works: %q", warnings)
	}
	c.die()
	before := tree(t, b.dir)
	warnings, err = b.store.Check(b.ctx, b.ref)
	b.must(err)
	if len(warnings) != 1 || !strings.Contains(warnings[0], "was cut off during a change") {
		t.Fatalf("the warnings are %q", warnings)
	}
	if after := tree(t, b.dir); after != before {
		t.Fatalf("before\n%s\nafter\n%s", before, after)
	}
	b.lock().Release()
	b.wantURNs(ids("a")...)
}

func TestAJournalOfAWriterThatLivesIsNotTouched(t *testing.T) {
	b := newBench(t)
	c := b.begin()
	b.must(c.make("a"))
	living := exec.Command("sleep", "60")
	b.must(living.Start())
	writer := self()
	writer.Pid = living.Process.Pid
	writer.StartTicks, _ = processStart(writer.Pid)
	_ = c.recorder.close()
	// A person took the lock away; whoever wrote the journal goes on writing.
	c.held.Release()
	first, err := marshal(record{Header: &header{Version: journalVersion, Owner: &writer}})
	b.must(err)
	b.put(b.keys().journal, appendFrame(nil, 1, 0, first))
	_, err = b.store.Lock(b.ctx, b.ref)
	if locked := new(Locked); !errors.As(err, &locked) || locked.Owner != writer.String() {
		t.Fatalf("the error is %v", err)
	}
	b.must(living.Process.Kill())
	_ = living.Wait()
	b.lock().Release()
}

func TestAChangeThatWasOvertakenOverwritesNothingAndSaysSo(t *testing.T) {
	b := newBench(t)
	b.up("a")
	c := b.begin()
	b.must(c.make("b"))
	b.stockWrite(b.keys().checkpoint, b.importedBy("other"))
	err := c.finish()
	if err == nil || !strings.Contains(err.Error(), "written by others meanwhile") {
		t.Fatalf("the error is %v", err)
	}
	b.wantURNs(ids("other")...)
	h := b.lock()
	defer h.Release()
	if w := h.Warnings(); len(w) != 1 || !strings.Contains(w[0], "was not brought in and is kept in") {
		t.Fatalf("the warnings are %q", w)
	}
}

func TestAStateThatVanishedDuringAChangeIsWrittenAsAWhole(t *testing.T) {
	b := newBench(t)
	b.up("a")
	c := b.begin()
	b.must(c.make("b"))
	b.must(os.Remove(b.file(b.keys().checkpoint)))
	b.must(c.finish())
	b.wantURNs(ids("b", "a")...)
}

func TestAJournalOfTheFirstFormIsBroughtIn(t *testing.T) {
	b := newBench(t)
	b.up("a")
	c := b.begin()
	b.must(c.make("b"))
	c.die()
	bodies, _, err := parseFrames(b.bytes(b.keys().journal))
	b.must(err)
	var first record
	b.must(json.Unmarshal(bodies[0], &first))
	// What the host of 0.1.0 wrote.
	bodies[0] = fmt.Appendf(nil, `{"header":{"version":1,"base":%q,"time":"2026-11-25T00:00:00Z","pid":7,"host":"x"}}`,
		first.Header.Base)
	var old []byte
	for i, body := range bodies {
		old = appendFrame(old, i+1, 0, body)
	}
	b.put(b.keys().journal, old)
	h := b.lock()
	defer h.Release()
	b.wantURNs(ids("b", "a")...)
	if w := h.Warnings(); len(w) != 1 || !strings.Contains(w[0], "somebody@x (pid 7)") {
		t.Fatalf("the warnings are %q", w)
	}
}

func TestAJournalOfANewerVersionIsRefusedAndKept(t *testing.T) {
	for name, header := range map[string]string{
		"a newer layout":       `{"header":{"version":99,"base":"","pid":1,"host":"x","engine":"v9.9.9"}}`,
		"a field of its own":   `{"header":{"version":2,"base":"","pid":1,"host":"x","engine":"v9.9.9","novel":1}}`,
		"an entry of its kind": `{"header":{"version":2,"base":"","pid":1,"host":"x","engine":"v9.9.9"}}`,
	} {
		b := newBench(t)
		data := appendFrame(nil, 1, 0, []byte(header))
		data = appendFrame(data, 2, 0, []byte(`{"entry":{"version":1,"kind":0,"novel":1}}`))
		b.put(b.keys().journal, data)
		before := tree(t, b.dir)
		_, err := b.store.Lock(b.ctx, b.ref)
		newer := new(Newer)
		if !errors.As(err, &newer) || newer.Writer != "v9.9.9" || newer.Reader != version.Version {
			t.Fatalf("%s: the error is %v", name, err)
		}
		if after := tree(t, b.dir); after != before {
			t.Fatalf("%s: before\n%s\nafter\n%s", name, before, after)
		}
	}
}

func TestAJournalCutAnywhereGivesAPrefixOfTheChange(t *testing.T) {
	b := newBench(t)
	b.up("x")
	base := b.bytes(b.keys().checkpoint)
	c := b.begin()
	made := []string{"a", "b", "c"}
	for _, name := range made {
		b.must(c.make(name))
	}
	c.die()
	whole := b.bytes(b.keys().journal)
	before := 0
	ends := map[int]bool{}
	for i, char := range whole {
		ends[i], ends[i+1] = ends[i] || char == '\n', char == '\n'
	}
	for cut := range len(whole) + 1 {
		// Every cut is read, and those around the ends of lines and some others are brought in.
		_, valid, err := parseFrames(whole[:cut])
		b.must(err)
		if want := int64(bytes.LastIndexByte(whole[:cut], '\n') + 1); valid != want {
			t.Fatalf("cut at %d: %d bytes are good, want %d", cut, valid, want)
		}
		if !ends[cut] && cut%97 != 0 && cut != len(whole) {
			continue
		}
		b.put(b.keys().checkpoint, base)
		b.put(b.keys().journal, whole[:cut])
		b.lock().Release()
		snap := b.snapshot()
		n := len(snap.Resources) - 1
		if want := append(ids(made[:n]...), "x=id-x"); fmt.Sprint(names(snap)) != fmt.Sprint(want) {
			t.Fatalf("cut at %d: %v", cut, names(snap))
		}
		if n+len(snap.PendingOperations) < before {
			t.Fatalf("cut at %d: less came back than with a byte less", cut)
		}
		before = n + len(snap.PendingOperations)
	}
	if before != len(made) {
		t.Fatalf("the whole journal gave %d resources", before)
	}
}

func TestDamageInTheMiddleOfAJournalFreezesTheStack(t *testing.T) {
	b := newBench(t)
	b.up("x")
	c := b.begin()
	b.must(c.make("a"))
	b.must(c.make("b"))
	c.die()
	journal := b.bytes(b.keys().journal)
	second := bytes.IndexByte(journal, '\n') + 20
	journal[second] ^= 4
	b.put(b.keys().journal, journal)
	state := b.bytes(b.keys().checkpoint)
	for range 2 {
		_, err := b.store.Lock(b.ctx, b.ref)
		if corrupt := new(Corrupt); !errors.As(err, &corrupt) {
			t.Fatalf("the error is %v", err)
		}
	}
	if !bytes.Equal(state, b.bytes(b.keys().checkpoint)) || !bytes.Equal(journal, b.bytes(b.keys().journal)) {
		t.Fatal("something was changed")
	}
}

func TestAHoleThatAPowerFailureLeftInTheTailIsDropped(t *testing.T) {
	data := appendFrame(nil, 1, 0, []byte(`{"a":1}`))
	safe := len(data)
	hole := len(data)
	data = appendFrame(data, 2, 1, bytes.Repeat([]byte("x"), 200))
	clear(data[hole : hole+150])
	data = appendFrame(data, 3, 1, []byte(`{"c":1}`))
	bodies, valid, err := parseFrames(data)
	if err != nil || len(bodies) != 1 || valid != int64(safe) {
		t.Fatalf("%d lines, %d bytes, %v", len(bodies), valid, err)
	}
	data = appendFrame(data, 4, 3, []byte(`{"d":1}`))
	if _, _, err := parseFrames(data); err == nil {
		t.Fatal("a hole in what was safe is not seen")
	}
}

func TestAnyFlippedByteOfAJournalIsSeen(t *testing.T) {
	b := newBench(t)
	c := b.begin()
	b.must(c.make("a"))
	b.must(c.make("b"))
	c.die()
	whole := b.bytes(b.keys().journal)
	clean, _, err := parseFrames(whole)
	b.must(err)
	for at := range whole {
		broken := bytes.Clone(whole)
		broken[at] ^= 1 << (at % 8)
		bodies, _, err := parseFrames(broken)
		if err == nil && len(bodies) >= len(clean) {
			t.Fatalf("a flip at %d is not seen", at)
		}
	}
}

func TestAJournalOfAnotherStateIsSetAside(t *testing.T) {
	b := newBench(t)
	b.up("a")
	c := b.begin()
	b.must(c.make("b"))
	c.die()
	b.stockWrite(b.keys().checkpoint, b.importedBy("other"))
	h := b.lock()
	defer h.Release()
	b.wantURNs("other=id-other")
	if w := h.Warnings(); len(w) != 1 || !strings.Contains(w[0], "was not brought in") {
		t.Fatalf("the warnings are %q", w)
	}
	kept, _ := filepath.Glob(b.file(b.keys().journal + ".superseded-*"))
	if len(kept) != 1 {
		t.Fatalf("kept: %v", kept)
	}
}

func TestOnlyTheNewestSupersededJournalsAreKept(t *testing.T) {
	b := newBench(t)
	b.up("first")
	var before []string
	for n := range keepAside + 2 {
		c := b.begin()
		b.must(c.make("mine"))
		c.die()
		b.stockWrite(b.keys().checkpoint, b.importedBy(fmt.Sprint("other-", n)))
		b.lock().Release()
		kept, _ := filepath.Glob(b.file(b.keys().journal + ".superseded-*"))
		if len(kept) != min(n+1, keepAside) || n > 0 && kept[len(kept)-1] <= before[len(before)-1] {
			t.Fatalf("after %d: %v", n+1, kept)
		}
		before = kept
	}
}

// importedBy gives a checkpoint that somebody else made.
func (b *bench) importedBy(made string) []byte {
	b.Helper()
	snap := b.snapshot()
	snap.Resources = snap.Resources[:0]
	snap.Resources = append(snap.Resources, thing(made, "1"))
	deployment, err := stack.SerializeDeployment(b.ctx, snap, false)
	b.must(err)
	data, err := encodeCheckpoint(b.keys(), apitype.TypedDeployment{Deployment: deployment, Version: 3})
	b.must(err)
	return data
}

func TestAPendingCreateVanishesWhenItsResourceIsMadeIfItsProviderAdopts(t *testing.T) {
	for _, adopts := range [][]string{{"pilot"}, nil} {
		b := newBench(t)
		b.adopts = adopts
		want := func(when string, ifAdopted, else_ int) {
			t.Helper()
			if adopts == nil {
				ifAdopted = else_
			}
			if ops := b.snapshot().PendingOperations; len(ops) != ifAdopted {
				t.Fatalf("%s with adopting packages %v: pending are %v", when, adopts, ops)
			}
		}
		c := b.begin()
		for _, name := range []string{"a", "b"} {
			_, err := c.start(thing(name, "1"), pkgresource.OperationTypeCreating)
			b.must(err)
		}
		c.die()
		b.lock().Release()
		want("after the crash", 2, 2)
		c = b.begin()
		b.must(c.make("a"))
		b.must(c.finish())
		want("after a was made", 1, 2)
		c = b.begin()
		b.must(c.delete("a"))
		b.must(c.Finish(b.ctx, c.info(apitype.DestroyUpdate)))
		c.held.Release()
		want("after a destroy", 0, 2)
	}
}

func TestACancelledCreateStaysPending(t *testing.T) {
	b := newBench(t)
	c := b.begin()
	_, err := c.start(thing("a", "1"), pkgresource.OperationTypeCreating)
	b.must(err)
	b.must(c.finish())
	if ops := b.snapshot().PendingOperations; len(ops) != 1 {
		t.Fatalf("pending: %v", ops)
	}
	c = b.begin()
	_, err = c.start(thing("a", "1"), pkgresource.OperationTypeCreating)
	b.must(err)
	c.die()
	b.lock().Release()
	if ops := b.snapshot().PendingOperations; len(ops) != 1 {
		t.Fatalf("pending twice: %v", ops)
	}
}

var errPower = errors.New("the power is gone")

// failAfter lets n steps pass and breaks all that follow; it gives how many steps were asked for.
func (b *bench) failAfter(n int) *int {
	steps := 0
	b.folder().before = func(string, string, int) error {
		steps++
		if steps > n {
			return errPower
		}
		return nil
	}
	return &steps
}

func TestACrashAfterAnyStepOfTheEndLosesNothing(t *testing.T) {
	for n := 0; ; n++ {
		b := newBench(t)
		b.up("a", "b", "c")
		c := b.begin()
		b.must(c.update("b", "2"))
		b.must(c.make("d"))
		b.must(c.delete("c"))
		b.failAfter(n)
		err := c.Finish(b.ctx, c.info(apitype.UpdateUpdate))
		c.die()
		b.mustRecover(n, "b=id-b", "d=id-d", "a=id-a")
		if err == nil {
			t.Logf("Finish takes %d steps", n)
			return
		}
	}
}

func TestACrashAfterAnyStepOfARecoveryLosesNothing(t *testing.T) {
	for n := 0; ; n++ {
		b := newBench(t)
		b.up("a", "b", "c")
		c := b.begin()
		b.must(c.make("d"))
		b.must(c.delete("c"))
		c.die()
		// A recovery that is killed again and again, at the same step.
		var err error
		for range 3 {
			b.failAfter(n)
			var h *Held
			if h, err = b.store.Lock(b.ctx, b.ref); err == nil {
				b.kill(h)
				break
			}
			if !errors.Is(err, errPower) {
				t.Fatal(err)
			}
			b.store = b.open()
		}
		b.mustRecover(n, "d=id-d", "a=id-a", "b=id-b")
		if err == nil {
			t.Logf("a recovery takes %d steps at most", n)
			return
		}
	}
}

func (b *bench) mustRecover(n int, want ...string) {
	b.Helper()
	h, err := b.store.Lock(b.ctx, b.ref)
	if err != nil {
		b.Fatalf("after step %d: %v", n, err)
	}
	defer h.Release()
	if got := b.urns(); fmt.Sprint(got) != fmt.Sprint(want) {
		b.Fatalf("after step %d the state holds %v, want %v (%q)", n, got, want, h.Warnings())
	}
	if left, _ := filepath.Glob(b.file(b.keys().stacks + "/*.corrupt-*")); len(left) > 0 {
		b.Fatalf("after step %d a good state was taken for a damaged one: %q", n, h.Warnings())
	}
	if _, err := os.Stat(b.file(b.keys().journal)); err == nil {
		b.Fatalf("after step %d the journal is still there", n)
	}
}

func TestARandomChangeThatIsRecoveredEqualsTheSameChangeFinished(t *testing.T) {
	for seed := range uint64(8) {
		run := func(kill bool) string {
			b := newBench(t)
			random := rand.New(rand.NewPCG(seed, 1))
			b.up("a", "b", "c", "d", "e")
			c := b.begin()
			for _, name := range []string{"a", "b", "c", "d", "e"} {
				switch random.IntN(4) {
				case 0:
					b.must(c.same(name))
				case 1:
					b.must(c.update(name, fmt.Sprint(random.Int())))
				case 2:
					b.must(c.delete(name))
				case 3:
					b.must(c.make("new-" + name))
				}
			}
			if kill {
				c.die()
				b.lock().Release()
			} else {
				b.must(c.finish())
			}
			found, err := parseCheckpoint(b.bytes(b.keys().checkpoint), true)
			b.must(err)
			data, err := withoutManifest(found.deployment)
			b.must(err)
			return string(data)
		}
		if finished, recovered := run(false), run(true); finished != recovered {
			t.Fatalf("seed %d: finished\n%s\nrecovered\n%s", seed, finished, recovered)
		}
	}
}

func TestAnEntryAfterTheEndIsRefused(t *testing.T) {
	b := newBench(t)
	c := b.begin()
	b.must(c.make("a"))
	b.must(c.finish())
	if err := c.add(engine.JournalEntry{Kind: engine.JournalEntryBegin}); err == nil {
		t.Fatal("it was taken")
	}
}
