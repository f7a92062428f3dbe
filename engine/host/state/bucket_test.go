package state

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"gocloud.dev/blob"
)

// onBuckets runs a test on a folder that is taken for a bucket, and on a server of S3's protocol. Each bench is new.
func onBuckets(t *testing.T, test func(t *testing.T, bench func() *bench)) {
	kinds := map[string]func(t *testing.T) *bench{
		"folder": func(t *testing.T) *bench { return &bench{T: t, ctx: t.Context(), dir: t.TempDir(), bucket: true} },
		"s3":     func(t *testing.T) *bench { return &bench{T: t, ctx: t.Context(), url: s3(t)} },
	}
	for kind, bare := range kinds {
		t.Run(kind, func(t *testing.T) {
			test(t, func() *bench {
				b := bare(t)
				b.store = b.open()
				b.ref = b.parse("dev")
				b.create()
				return b
			})
		})
	}
}

func (b *bench) objects() *bucket { return b.store.files.(*bucket) }

func openBucket(b *bench) *bucket {
	b.Helper()
	blobs, err := blob.OpenBucket(b.ctx, fileScheme+b.dir+"?no_tmp_dir=true")
	b.must(err)
	b.Cleanup(func() { _ = blobs.Close() })
	return &bucket{blobs: blobs}
}

func (b *bench) journalParts() int {
	b.Helper()
	found, err := b.store.files.list(b.ctx, parts(b.keys().journal))
	b.must(err)
	return len(found)
}

func TestABucketKeepsChangesToo(t *testing.T) {
	onBuckets(t, func(t *testing.T, bench func() *bench) {
		b := bench()
		b.up("a", "b")
		c := b.begin()
		b.must(c.update("b", "2"))
		b.must(c.make("c"))
		b.must(c.finish())
		b.wantURNs("b=id-b", "c=id-c", "a=id-a")
		if n := b.journalParts(); n != 0 {
			t.Fatalf("%d objects of the journal are left", n)
		}
		history, err := b.store.Backend().GetHistory(b.ctx, b.ref, 0, 0)
		b.must(err)
		if len(history) != 2 {
			t.Fatalf("the history has %d entries", len(history))
		}
		found, err := parseCheckpoint(b.bytes(b.keys().checkpoint+".bak"), true)
		b.must(err)
		if len(found.deployment.Resources) != 2 {
			t.Fatalf("the backup has %d resources", len(found.deployment.Resources))
		}
	})
}

func TestABucketBringsInAJournal(t *testing.T) {
	onBuckets(t, func(t *testing.T, bench func() *bench) {
		b := bench()
		b.up("a")
		c := b.begin()
		b.must(c.make("b"))
		c.die()
		if b.journalParts() == 0 {
			t.Fatal("there is no journal")
		}
		b.lock().Release()
		// The last success may have been on its way: then the create is pending.
		snap := b.snapshot()
		if len(snap.Resources)+len(snap.PendingOperations) != 2 {
			t.Fatalf("%v, pending %v", names(snap), snap.PendingOperations)
		}
	})
}

func TestABucketSurvivesACrashAfterAnyStep(t *testing.T) {
	onBuckets(t, func(t *testing.T, bench func() *bench) {
		for n := 0; ; n++ {
			b := bench()
			b.up("a", "b", "c")
			c := b.begin()
			b.must(c.update("b", "2"))
			b.must(c.make("d"))
			b.must(c.delete("c"))
			// Everything is in the journal before the end begins, as with a folder.
			b.must(c.recorder.log.wait(c.recorder.log.lines))
			steps := 0
			b.objects().before = func(string, string, int) error {
				if steps++; steps > n {
					return errPower
				}
				return nil
			}
			err := c.Finish(b.ctx, c.info(apitype.UpdateUpdate))
			c.die()
			h, lockErr := b.store.Lock(b.ctx, b.ref)
			if lockErr != nil {
				t.Fatalf("after step %d: %v", n, lockErr)
			}
			for _, warning := range h.Warnings() {
				if strings.Contains(warning, "by others") {
					t.Fatalf("after step %d nobody else wrote: %s", n, warning)
				}
			}
			b.wantURNs("b=id-b", "d=id-d", "a=id-a")
			if live, err := readJournal(b.ctx, b.store.files, b.keys().journal); live != nil || err != nil {
				t.Fatalf("after step %d the journal is still there: %v", n, err)
			}
			h.Release()
			if err == nil {
				t.Logf("Finish takes %d steps", n)
				return
			}
		}
	})
}

func TestABucketsDamagedStateIsRefusedAndRepaired(t *testing.T) {
	onBuckets(t, func(t *testing.T, bench func() *bench) {
		b := bench()
		b.up("a")
		b.up("b")
		good := b.bytes(b.keys().checkpoint)
		b.put(b.keys().checkpoint, good[:len(good)/2])
		_, err := b.store.Lock(b.ctx, b.ref)
		if corrupt := new(Corrupt); !errors.As(err, &corrupt) {
			t.Fatalf("the error is %v", err)
		}
		// The history's copy is an object of its own here.
		b.repair(true)
		b.lock().Release()
		if !bytes.Equal(good, b.bytes(b.keys().checkpoint)) {
			t.Fatal("the newest copy did not come back")
		}
	})
}

func TestAMissingObjectOfAJournalIsSeen(t *testing.T) {
	onBuckets(t, func(t *testing.T, bench func() *bench) {
		b := bench()
		c := b.begin()
		for _, name := range []string{"a", "b", "c"} {
			b.must(c.make(name))
			b.must(c.recorder.log.wait(c.recorder.log.lines))
		}
		c.die()
		b.must(b.store.files.remove(b.ctx, part(b.keys().journal, 2)))
		_, err := b.store.Lock(b.ctx, b.ref)
		if corrupt := new(Corrupt); !errors.As(err, &corrupt) {
			t.Fatalf("the error is %v", err)
		}
	})
}

func TestAJournalInABucketIsThereWheneverItsReplacementIsCutOff(t *testing.T) {
	onBuckets(t, func(t *testing.T, bench func() *bench) {
		lines := func(n int) (frames [][]byte) {
			for i := range n {
				frames = append(frames, appendFrame(nil, i+1, 0, []byte(`{}`)))
			}
			return frames
		}
		for n := 0; ; n++ {
			b := bench()
			storage, key := b.objects(), b.keys().journal
			for i, line := range lines(4) {
				b.must(storage.write(b.ctx, part(key, i+1), line, true))
			}
			steps := 0
			storage.before = func(string, string, int) error {
				if steps++; steps > n {
					return errPower
				}
				return nil
			}
			err := storage.replaceLog(b.ctx, key, bytes.Join(lines(5), nil))
			data, read := storage.readLog(b.ctx, key)
			b.must(read)
			found, _, damage := parseFrames(data)
			if damage != nil || len(found) < 4 {
				t.Fatalf("after step %d: %d lines, %v", n, len(found), damage)
			}
			if err == nil {
				if len(found) != 5 {
					t.Fatalf("%d lines", len(found))
				}
				return
			}
		}
	})
}
