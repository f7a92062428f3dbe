package state

import (
	"os"
	"testing"
)

// The test needs a server: PILOT_TEST_POSTGRES=postgres://USER@HOST:PORT/DATABASE?sslmode=disable.
func TestAPostgresBackendKeepsAndBringsInChanges(t *testing.T) {
	url := os.Getenv("PILOT_TEST_POSTGRES")
	if url == "" {
		t.Skip("PILOT_TEST_POSTGRES is not set")
	}
	b := &bench{T: t, ctx: t.Context(), url: url}
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
	if found, err := b.store.files.list(b.ctx, parts(b.keys().journal)); err != nil || len(found) > 0 {
		t.Fatalf("the journal is still there: %v %v", found, err)
	}
}
