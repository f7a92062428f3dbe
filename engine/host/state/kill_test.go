package state

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	childDir = "PILOT_TEST_STATE_CHILD"
	childURL = "PILOT_TEST_STATE_CHILD_URL"
)

// lockWasLost is what a child ends with whose every write was refused at the end.
const lockWasLost = 3

// TestMain lets the test program be the process that is killed, or stopped.
func TestMain(m *testing.M) {
	dir, url := os.Getenv(childDir), os.Getenv(childURL)
	if dir != "" || url != "" {
		makeForever(dir, url)
	}
	os.Exit(m.Run())
}

// makeForever makes things and tells their names, each after its success is in the journal.
func makeForever(dir, url string) {
	b := &bench{T: &testing.T{}, ctx: context.Background(), dir: dir, url: url}
	b.store = b.open()
	b.ref = b.parse("dev")
	c := b.begin()
	for i := 0; ; i++ {
		name := fmt.Sprintf("r%d", i)
		if err := c.make(name); err != nil {
			if ended := c.finish(); isLost(err) && isLost(ended) {
				os.Exit(lockWasLost)
			}
			os.Exit(1)
		}
		fmt.Println(name)
	}
}

func TestAKilledProcessLosesNothingThatItTold(t *testing.T) {
	for _, told := range []int{1, 7, 50} {
		b := newBench(t)
		b.up("a")
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+b.dir)
		out, err := child.StdoutPipe()
		b.must(err)
		b.must(child.Start())
		var names []string
		lines := bufio.NewScanner(out)
		for len(names) < told && lines.Scan() {
			names = append(names, lines.Text())
		}
		if _, err := b.store.Lock(b.ctx, b.ref); !isLocked(err) ||
			!strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", child.Process.Pid)) {
			t.Fatalf("while it lives: %v", err)
		}
		b.must(child.Process.Kill())
		_ = child.Wait()
		h := b.lock()
		got := b.urns()
		for _, name := range names {
			if !slices.Contains(got, name+"=id-"+name) {
				t.Fatalf("%s was told and is not in the state", name)
			}
		}
		if len(names) != told || !slices.Contains(got, "a=id-a") || len(h.Warnings()) != 1 {
			t.Fatalf("told %d, state %v, warnings %q", len(names), got, h.Warnings())
		}
		h.Release()
	}
}
