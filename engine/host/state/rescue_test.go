package state

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// damage writes into the checkpoint in place, as a bad disk does: the links to the file have the damage too.
func (b *bench) damage(data []byte) {
	b.Helper()
	b.must(os.WriteFile(b.file(b.keys().checkpoint), data, 0o600))
}

func TestATruncatedCheckpointIsRebuiltWithoutLoss(t *testing.T) {
	b := newBench(t)
	b.up("a", "b")
	b.up("c")
	good := b.bytes(b.keys().checkpoint)
	for cut := 0; cut < len(good); cut += 64 {
		b.damage(good[:cut])
		h := b.lock()
		if !bytes.Equal(good, b.bytes(b.keys().checkpoint)) {
			t.Fatalf("cut at %d: another state came back: %q", cut, h.Warnings())
		}
		if w := h.Warnings(); len(w) != 1 || !strings.Contains(w[0], "without loss") {
			t.Fatalf("cut at %d: %q", cut, w)
		}
		h.Release()
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

func TestAnyFlippedBitOfACheckpointIsSeenAndMended(t *testing.T) {
	b := newBench(t)
	b.up("a", "b")
	b.up("c")
	good := b.bytes(b.keys().checkpoint)
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		broken := bytes.Clone(good)
		for range 1 + random.IntN(4) {
			broken[random.IntN(len(broken))] ^= 1 << random.IntN(8)
		}
		b.damage(broken)
		b.must(b.store.Settle(b.ctx, b.ref))
		if !bytes.Equal(good, b.bytes(b.keys().checkpoint)) && !bytes.Equal(good, broken) {
			t.Fatalf("not mended: %s", broken)
		}
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
		err := b.store.Settle(b.ctx, b.ref)
		if corrupt := new(Corrupt); errors.As(err, &corrupt) {
			continue
		}
		b.must(err)
		found, err := parseCheckpoint(b.bytes(b.keys().checkpoint), false)
		b.must(err)
		if found.empty() || len(found.deployment.Resources) < 2 {
			t.Fatalf("a flip at %d left nothing: %s", at, broken)
		}
	}
}

func TestALostCheckpointComesBack(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.up("b")
	b.must(os.Remove(b.file(b.keys().checkpoint)))
	h := b.lock()
	defer h.Release()
	b.wantURNs(ids("b", "a")...)
	if len(h.Warnings()) != 1 {
		t.Fatalf("%q", h.Warnings())
	}
}

func TestWithoutTheLastJournalTheNewestGoodCopyIsTaken(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.up("b")
	b.up("c")
	b.must(os.Remove(b.file(b.keys().done)))
	b.damage([]byte(`{"version":3`))
	h := b.lock()
	defer h.Release()
	b.wantURNs(ids("b", "a")...)
	if w := h.Warnings(); len(w) != 1 || !strings.Contains(w[0], "refresh the stack") {
		t.Fatalf("%q", w)
	}
}

func TestWithoutAGoodCopyNothingIsChanged(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.damage(nil)
	b.must(os.Remove(b.file(b.keys().done)))
	// What is left is the state of before the first change: an empty one, which is no copy.
	before := tree(t, b.dir)
	for range 2 {
		_, err := b.store.Lock(b.ctx, b.ref)
		corrupt := new(Corrupt)
		if !errors.As(err, &corrupt) || corrupt.Stack != "organization/shop/dev" {
			t.Fatalf("the error is %v", err)
		}
		if err := b.store.Settle(b.ctx, b.ref); !errors.As(err, &corrupt) {
			t.Fatalf("a reader gets %v", err)
		}
	}
	if after := tree(t, b.dir); after != before {
		t.Fatalf("before\n%s\nafter\n%s", before, after)
	}
}

func tree(t *testing.T, dir string) string {
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
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

func TestADamagedStateWithAJournalIsMendedAndContinued(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.up("b")
	c := b.begin()
	b.must(c.make("c"))
	c.die()
	b.damage([]byte("garbage"))
	h := b.lock()
	defer h.Release()
	b.wantURNs(ids("c", "b", "a")...)
}

func TestTheStateOfAnotherStackIsSeen(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.up("b")
	b.must(os.Remove(b.file(b.keys().done)))
	foreign := bytes.ReplaceAll(b.bytes(b.keys().checkpoint), []byte("urn:pulumi:dev"), []byte("urn:pulumi:prod"))
	b.damage(foreign)
	h := b.lock()
	defer h.Release()
	b.wantURNs(ids("a")...)
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
	b.must(b.store.Settle(b.ctx, b.ref))
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

func TestACrashAfterAnyStepOfARestoreChoosesTheSameCopy(t *testing.T) {
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
			h, err := b.store.Lock(b.ctx, b.ref)
			if err == nil {
				h.Release()
			}
			b.store = b.open()
			h = b.lock()
			if got := b.urns(); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Fatalf("exact %v, after step %d: %v, want %v (%q)", exact, n, got, want, h.Warnings())
			}
			h.Release()
			h = b.lock()
			if len(h.Warnings()) != 0 {
				t.Fatalf("exact %v, after step %d it is mended again: %q", exact, n, h.Warnings())
			}
			h.Release()
			if err == nil {
				break
			}
		}
	}
}
