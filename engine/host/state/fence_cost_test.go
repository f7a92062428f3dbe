package state

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"pilot/engine/host/pgserver"
)

// counted counts how often a server is waited for.
func counted(t *testing.T, url string) (through string, waits *atomic.Int64) {
	t.Helper()
	waits = &atomic.Int64{}
	return watched(t, url, func() { waits.Add(1) }), waits
}

// watched passes a server's connections on, and tells before each time that it is waited for: each ends what it asks for
// with one of two messages.
func watched(t *testing.T, url string, each func()) (through string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, rest, _ := strings.Cut(url, "@")
	address, _, _ := strings.Cut(rest, "/")
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(client, server)
				_ = client.Close()
			}()
			go func() {
				pass(client, server, each)
				_ = server.Close()
			}()
		}
	}()
	return strings.Replace(url, address, listener.Addr().String(), 1)
}

// pass reads messages of PostgreSQL's protocol: the first has no type, and each has its length.
func pass(from io.Reader, to io.Writer, each func()) {
	reader := bufio.NewReader(from)
	for typed := 0; ; typed = 1 {
		head, err := reader.Peek(typed + 4)
		if err != nil {
			return
		}
		if typed == 1 && (head[0] == 'S' || head[0] == 'Q') {
			each()
		}
		length := typed + int(binary.BigEndian.Uint32(head[typed:]))
		if _, err := io.CopyN(to, reader, int64(length)); err != nil {
			return
		}
	}
}

func TestAWriteBehindALockCostsNoRoundTripMore(t *testing.T) {
	url, waits := counted(t, pgserver.Start(t))
	b := &bench{T: t, ctx: t.Context(), url: url}
	b.store = b.open()
	b.ref = b.parse("dev")
	b.create()
	cost := func(call error) int64 {
		b.must(call)
		return waits.Swap(0)
	}
	measure := func(key string) [3]int64 {
		waits.Store(0)
		return [3]int64{
			cost(b.store.files.write(b.ctx, key, []byte("x"), true)), cost(b.store.files.copy(b.ctx, key, key+".bak")),
			cost(b.store.files.remove(b.ctx, key+".bak")),
		}
	}
	free := measure(path.Join(root, "of-nobody"))
	h := b.lock()
	held := measure(h.keys.checkpoint)
	h.Release()
	// One to have the statement read, and one to have it done.
	if want := [3]int64{2, 2, 2}; held != want || free != want {
		t.Errorf("behind a lock %v, without one %v, want %v", held, free, want)
	}
}
