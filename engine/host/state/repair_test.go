package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
)

// damage writes into the checkpoint in place, as a bad disk does: the links to the file have the damage too.
func (b *bench) damage(data []byte) {
	b.Helper()
	b.must(os.WriteFile(b.file(b.keys().checkpoint), data, 0o600))
}

func tree(t *testing.T, dir string) string {
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		// A lock of a dead process is no part of the state.
		if err == nil && !entry.IsDir() && !strings.Contains(path, "/locks/") {
			data, _ := os.ReadFile(path)
			all.WriteString(path + " " + checksum(data)[:8] + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// refusesDamage is what everybody but a repair does with a damaged state: nothing.
func (b *bench) refusesDamage() {
	b.Helper()
	before := tree(b.T, b.dir)
	_, lockErr := b.store.Lock(b.ctx, b.ref)
	_, readErr := b.store.Check(b.ctx, b.ref)
	for _, err := range []error{lockErr, readErr} {
		corrupt := new(Corrupt)
		if !errors.As(err, &corrupt) || corrupt.Stack != "organization/shop/dev" {
			b.Fatalf("the error is %v", err)
		}
	}
	if after := tree(b.T, b.dir); after != before {
		b.Fatalf("before\n%s\nafter\n%s", before, after)
	}
}

func (b *bench) repair(apply bool) *Repair {
	b.Helper()
	done, err := b.store.Repair(b.ctx, b.ref, apply)
	b.must(err)
	return done
}

func TestAStackThatNeverWasIsNotFoundByARepair(t *testing.T) {
	b := newBench(t)
	never, err := b.store.Backend().ParseStackReference("never")
	b.must(err)
	if _, err := b.store.Repair(b.ctx, never, false); !errors.As(err, new(backenderr.StackNotFoundError)) {
		t.Errorf("%v", err)
	}
}

func TestATruncatedCheckpointIsRefusedAndRepairedWithoutLoss(t *testing.T) {
	b := newBench(t)
	b.up("a", "b")
	b.up("c")
	good := b.bytes(b.keys().checkpoint)
	for cut := 0; cut < len(good); cut += 64 {
		b.damage(good[:cut])
		b.refusesDamage()
		planned := b.repair(false)
		if planned.Done || !planned.Exact || planned.Problem == "" || planned.Kept != "" {
			t.Fatalf("cut at %d: %+v", cut, planned)
		}
		b.refusesDamage()
		done := b.repair(true)
		if !bytes.Equal(good, b.bytes(b.keys().checkpoint)) {
			t.Fatalf("cut at %d: another state came back: %+v", cut, done)
		}
		if kept := b.bytes(done.Kept); !done.Done || !bytes.Equal(kept, good[:cut]) || done.Resources != 3 {
			t.Fatalf("cut at %d: %+v", cut, done)
		}
		b.lock().Release()
	}
	kept, _ := filepath.Glob(b.file(b.keys().checkpoint + ".corrupt-*Z"))
	if len(kept) != keepAside {
		t.Fatalf("%d damaged files are kept", len(kept))
	}
	// The newest of them: the one that was cut last.
	newest, err := os.ReadFile(kept[len(kept)-1])
	b.must(err)
	if last := good[:(len(good)-1)/64*64]; !bytes.Equal(newest, last) {
		t.Fatalf("the newest has %d bytes, and not %d", len(newest), len(last))
	}
}

func TestADamagedStateCanBeReplacedAsAWholeAndIsKept(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.up("b")
	replacement := b.importedBy("z")
	c := b.begin()
	b.must(c.make("c"))
	c.die()
	b.damage([]byte("garbage"))
	h, err := b.store.Overwrite(b.ctx, b.ref)
	b.must(err)
	if len(h.Warnings()) != 2 {
		t.Fatalf("%q", h.Warnings())
	}
	b.stockWrite(b.keys().checkpoint, replacement)
	h.Release()
	h = b.lock()
	defer h.Release()
	b.wantURNs(ids("z")...)
	kept, _ := filepath.Glob(b.file(b.keys().checkpoint + ".corrupt-*Z"))
	if len(kept) != 1 || len(h.Warnings()) != 0 {
		t.Fatalf("kept %v, warnings %q", kept, h.Warnings())
	}
}

func TestAStateThatContradictsItselfIsReadAndNotChanged(t *testing.T) {
	b := newBench(t)
	b.up("a")
	data := b.edited(func(_, d map[string]any) {
		d["resources"].([]any)[0].(map[string]any)["parent"] = string(urnOf("nowhere"))
	})
	b.stockWrite(b.keys().checkpoint, data)
	_, err := b.store.Check(b.ctx, b.ref)
	b.must(err)
	_, err = b.store.Lock(b.ctx, b.ref)
	if corrupt := new(Corrupt); !errors.As(err, &corrupt) || !strings.Contains(err.Error(), "pulumi state repair") {
		t.Fatalf("the error is %v", err)
	}
}

func TestAGoodStateIsNotRepaired(t *testing.T) {
	b := newBench(t)
	b.up("a")
	before := b.bytes(b.keys().checkpoint)
	if done := b.repair(true); done.Problem != "" || done.Done || !bytes.Equal(before, b.bytes(b.keys().checkpoint)) {
		t.Fatalf("%+v", done)
	}
}

func TestAStateThatIsInUseIsNotRepaired(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.up("b")
	h := b.lock()
	defer h.Release()
	b.damage(nil)
	if _, err := b.store.Repair(b.ctx, b.ref, true); !isLocked(err) {
		t.Fatalf("the error is %v", err)
	}
}

func TestAFlippedBitIsNeverAnEmptyState(t *testing.T) {
	b := newBench(t)
	b.up("a", "b")
	b.up("c")
	good := b.bytes(b.keys().checkpoint)
	// Nothing of ours is there to compare with: the state is judged by what it says.
	b.must(os.Remove(b.file(b.keys().done)))
	for at := range good {
		broken := bytes.Clone(good)
		broken[at] ^= 1 << (at % 8)
		b.damage(broken)
		_, err := b.store.Check(b.ctx, b.ref)
		if errors.As(err, new(*Corrupt)) || errors.As(err, new(*Newer)) {
			continue
		}
		b.must(err)
		found, err := parseCheckpoint(broken, false)
		b.must(err)
		if found.empty() || len(found.deployment.Resources) < 2 {
			t.Fatalf("a flip at %d left nothing: %s", at, broken)
		}
	}
}

func TestALostCheckpointIsRefusedAndComesBackWithARepair(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.up("b")
	b.must(os.Remove(b.file(b.keys().checkpoint)))
	b.refusesDamage()
	if done := b.repair(true); !done.Done || !done.Exact || done.Damaged != "" {
		t.Fatalf("%+v", done)
	}
	b.lock().Release()
	b.wantURNs(ids("b", "a")...)
}

func TestWithoutTheLastJournalTheNewestGoodCopyIsTakenAndTheLossIsTold(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.up("b")
	b.up("c")
	b.must(os.Remove(b.file(b.keys().done)))
	b.damage([]byte(`{"version":3`))
	if done := b.repair(true); !done.Done || done.Exact || done.Time.IsZero() {
		t.Fatalf("%+v", done)
	}
	b.lock().Release()
	b.wantURNs(ids("b", "a")...)
}

func TestAJournalOfAnotherEngineIsNotReplayedForARepair(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.up("b")
	b.up("c")
	done := b.bytes(b.keys().done)
	bodies, _, err := parseFrames(done)
	b.must(err)
	var first record
	b.must(json.Unmarshal(bodies[0], &first))
	first.Header.Engine = "v0.0.1"
	bodies[0], err = marshal(first)
	b.must(err)
	var other []byte
	for i, body := range bodies {
		other = appendFrame(other, i+1, 0, body)
	}
	b.put(b.keys().done, other)
	b.damage([]byte("garbage"))
	if done := b.repair(true); !done.Done || done.Exact {
		t.Fatalf("%+v", done)
	}
}

func TestWithoutAGoodCopyNothingIsChanged(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.damage(nil)
	b.must(os.Remove(b.file(b.keys().done)))
	// What is left is the state of before the first change: an empty one, which is no copy.
	before := tree(t, b.dir)
	if done := b.repair(true); done.Done || done.Copy != "" || done.Problem == "" {
		t.Fatalf("%+v", done)
	}
	if after := tree(t, b.dir); after != before {
		t.Fatalf("before\n%s\nafter\n%s", before, after)
	}
}

func TestADamagedStateWithAJournalIsRepairedAndContinued(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.up("b")
	c := b.begin()
	b.must(c.make("c"))
	c.die()
	b.damage([]byte("garbage"))
	b.refusesDamage()
	b.repair(true)
	h := b.lock()
	defer h.Release()
	b.wantURNs(ids("c", "b", "a")...)
}

func TestAStateThatWasForcedInFromAnotherStackIsTakenAsTheCLITakesIt(t *testing.T) {
	b := newBench(t)
	b.up("a")
	foreign := bytes.ReplaceAll(b.bytes(b.keys().checkpoint), []byte("urn:pulumi:dev"), []byte("urn:pulumi:prod"))
	b.stockWrite(b.keys().checkpoint, foreign)
	_, err := b.store.Check(b.ctx, b.ref)
	b.must(err)
	b.lock().Release()
}

func TestACrashAfterAnyStepOfARepairCanBeRepairedAgain(t *testing.T) {
	for _, exact := range []bool{true, false} {
		for n := 0; ; n++ {
			b := newBench(t)
			b.up("a")
			b.up("b")
			b.up("c")
			want := ids("c", "b", "a")
			if !exact {
				b.must(os.Remove(b.file(b.keys().done)))
				want = ids("b", "a")
			}
			b.damage([]byte("garbage"))
			b.failAfter(n)
			_, err := b.store.Repair(b.ctx, b.ref, true)
			b.store = b.open()
			b.repair(true)
			h := b.lock()
			if got := b.urns(); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Fatalf("exact %v, after step %d: %v, want %v (%q)", exact, n, got, want, h.Warnings())
			}
			h.Release()
			if err == nil {
				break
			}
		}
	}
}

func TestARemovedStackStaysRemoved(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.up("b")
	found, err := b.store.Backend().GetStack(b.ctx, b.ref)
	b.must(err)
	h := b.lock()
	_, err = b.store.Backend().RemoveStack(b.ctx, found, true, false)
	b.must(err)
	b.must(h.Sync(b.ctx))
	h.Release()
	if _, err := os.Stat(b.file(b.keys().checkpoint + ".bak")); err != nil {
		t.Fatal("the stock backend left no backup: this test tests nothing")
	}
	_, err = b.store.Check(b.ctx, b.ref)
	b.must(err)
	b.lock().Release()
	found, err = b.store.Backend().GetStack(b.ctx, b.ref)
	b.must(err)
	if found != nil {
		t.Fatal("it came back")
	}
	b.create()
	b.up("z")
	b.wantURNs(ids("z")...)
}

func TestARenamedStackStaysRenamed(t *testing.T) {
	b := newBench(t)
	b.up("a")
	found, err := b.store.Backend().GetStack(b.ctx, b.ref)
	b.must(err)
	b.must(b.store.Backend().UpdateStackTags(b.ctx, found, map[string]string{"owner": "me"}))
	h := b.lock()
	_, err = b.store.Backend().RenameStack(b.ctx, found, "organization/shop/prod")
	b.must(err)
	b.must(h.Sync(b.ctx))
	h.Release()
	b.lock().Release()
	found, err = b.store.Backend().GetStack(b.ctx, b.ref)
	b.must(err)
	if found != nil {
		t.Fatal("it came back under its old name")
	}
	b.ref = b.parse("prod")
	h = b.lock()
	defer h.Release()
	if len(h.Warnings()) != 0 || len(b.urns()) != 1 {
		t.Fatalf("%v %q", b.urns(), h.Warnings())
	}
}
