package state

import (
	"path"
	"slices"
	"strings"
	"testing"
)

func TestOnlyWhatWasWrittenOfTheStackIsBroughtToTheDisk(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"one", "two"} {
		b.ref = b.parse(name)
		b.create()
	}
	b.ref = b.parse("three")
	var flushed []string
	b.folder().before = func(step, key string, _ int) error {
		if step == "flush" {
			flushed = append(flushed, key)
		}
		return nil
	}
	b.create()

	stack := b.keys()
	if !slices.Contains(flushed, stack.checkpoint) {
		t.Errorf("the new state is not on the disk: %v", flushed)
	}
	for _, key := range flushed {
		if path.Dir(key) == stack.stacks && !strings.HasPrefix(path.Base(key), "three.") {
			t.Errorf("of another stack: %s", key)
		}
	}
}
