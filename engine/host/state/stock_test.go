package state

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob"
)

func backendFilter() backend.ListStackNamesFilter { return backend.ListStackNamesFilter{} }

// stockWrite writes a file the way the stock backend does, with its note.
func (b *bench) stockWrite(key string, data []byte) {
	b.Helper()
	blobs, err := blob.OpenBucket(b.ctx, fileScheme+b.dir+"?no_tmp_dir=true")
	b.must(err)
	b.must(blobs.WriteAll(b.ctx, key, data, nil))
	b.must(blobs.Close())
}

func TestWhatThePlainCLIWroteIsTaken(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.stockWrite(b.keys().checkpoint, b.importedBy("b"))
	h := b.lock()
	if len(h.Warnings()) != 0 {
		t.Fatalf("%q", h.Warnings())
	}
	h.Release()
	b.wantURNs(ids("b")...)
	b.up("c")
	b.wantURNs(ids("c", "b")...)
	if _, err := os.Stat(b.file(b.keys().checkpoint) + attrsSuffix); err == nil {
		t.Fatal("the note of older bytes is still there")
	}
}

func TestATornNoteIsRemoved(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.stockWrite(b.keys().checkpoint, b.importedBy("b"))
	b.put(b.keys().checkpoint+attrsSuffix, nil)
	b.lock().Release()
	b.wantURNs(ids("b")...)
}

func TestATornMetaFileDoesNotCloseTheStore(t *testing.T) {
	b := newBench(t)
	b.up("a")
	b.put(root+"/meta.yaml", nil)
	b.put(root+"/meta.yaml"+attrsSuffix, nil)
	b.store = b.open()
	b.wantURNs(ids("a")...)
}

func TestACompressedStateIsReadAndWrittenPlain(t *testing.T) {
	b := newBench(t)
	b.up("a")
	k := b.keys()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, err := zip.Write(b.importedBy("b"))
	b.must(errors.Join(err, zip.Close()))
	b.stockWrite(k.checkpoint+".gz", packed.Bytes())
	b.must(os.Remove(b.file(k.checkpoint)))
	b.up("c")
	b.wantURNs(ids("c", "b")...)
	left, _ := filepath.Glob(b.file(k.checkpoint) + "*")
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if want := "[dev.json dev.json.bak dev.json.gz.bak]"; fmt.Sprint(left) != want {
		t.Fatalf("left are %v, want %s", left, want)
	}
}

func TestTheHistoryIsTrimmed(t *testing.T) {
	b := newBench(t)
	b.store.keepHistory = 2
	for _, name := range []string{"a", "b", "c", "d"} {
		b.up(name)
	}
	found, err := b.store.Backend().GetHistory(b.ctx, b.ref, 0, 0)
	b.must(err)
	if len(found) != 2 {
		t.Fatalf("%d entries", len(found))
	}
	entries, err := os.ReadDir(b.file(b.keys().history))
	b.must(err)
	if len(entries) != 4 {
		t.Fatalf("the folder holds %v", entries)
	}
}

func TestASecondLockInThisProcessIsRefused(t *testing.T) {
	b := newBench(t)
	h := b.lock()
	other := b.open()
	_, err := other.Lock(b.ctx, b.ref)
	locked := new(Locked)
	if !errors.As(err, &locked) || !strings.Contains(locked.Owner, fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Fatalf("the error is %v", err)
	}
	h.Release()
	again, err := other.Lock(b.ctx, b.ref)
	b.must(err)
	again.Release()
}

func TestSyncTakesTheLockAgainThatAStockCallRemoved(t *testing.T) {
	b := newBench(t)
	b.ref = b.parse("next")
	h := b.lock()
	defer h.Release()
	_, err := b.store.Backend().CreateStack(b.ctx, b.ref, "", nil, nil)
	b.must(err)
	b.must(h.Sync(b.ctx))
	found, err := b.store.files.list(b.ctx, b.keys().locks)
	b.must(err)
	if len(found) != 1 {
		t.Fatalf("the locks are %v", found)
	}
}
