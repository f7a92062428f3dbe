package place

import (
	"sync"
	"testing"
)

func TestTheLockOfAnEditedFileIsGoneAfterTheLastEdit(t *testing.T) {
	l := &locks{paths: map[string]*counted{}}
	var all sync.WaitGroup
	edits := 0
	for range 20 {
		all.Go(func() {
			defer l.lock("a")()
			edits++
		})
	}
	all.Wait()
	if edits != 20 || len(l.paths) != 0 {
		t.Errorf("%d edits, %d locks are left", edits, len(l.paths))
	}
}
