// Package run is what a command knows about the request that it answers.
package run

import (
	"fmt"
	"io"
	"sync"

	"pilot/engine/host/protocol"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// Run is one request while it is worked on.
type Run struct {
	protocol.Run
	Stdout, Stderr io.Writer
	Emit           func(apitype.EngineEvent)
	Stop           *Stop
	Table          *Table
	// stack is what the run changes.
	stack string
}

// Warn prints warnings as the CLI does.
func (r *Run) Warn(warnings []string) {
	for _, warning := range warnings {
		fmt.Fprintf(r.Stderr, "warning: %s\n", warning)
	}
}

// Changes says which stack the run changes, so that `cancel` finds it.
func (r *Run) Changes(stack string) {
	r.Table.mutex.Lock()
	defer r.Table.mutex.Unlock()
	r.stack = stack
}

// Table holds all runs that have not ended.
type Table struct {
	mutex sync.Mutex
	runs  map[string]*Run
}

// NewTable makes an empty one.
func NewTable() *Table { return &Table{runs: map[string]*Run{}} }

// Add refuses a second run of the same name.
func (t *Table) Add(run *Run) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if _, taken := t.runs[run.ID]; taken {
		return false
	}
	t.runs[run.ID] = run
	return true
}

// Remove forgets a run.
func (t *Table) Remove(run *Run) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.runs, run.ID)
}

// Count is how many have not ended.
func (t *Table) Count() int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return len(t.runs)
}

// Cancel ends one run.
func (t *Table) Cancel(id string, force bool) bool {
	t.mutex.Lock()
	run, known := t.runs[id]
	t.mutex.Unlock()
	if !known {
		return false
	}
	if force {
		run.Stop.ByForce()
	} else {
		run.Stop.InOrder()
	}
	return true
}

// IsChanged says whether a run changes the stack.
func (t *Table) IsChanged(stack string) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, run := range t.runs {
		if run.stack == stack {
			return true
		}
	}
	return false
}

// CancelStack ends the runs that change a stack, and is false when there are none.
func (t *Table) CancelStack(stack string) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	found := false
	for _, run := range t.runs {
		if run.stack == stack {
			run.Stop.InOrder()
			found = true
		}
	}
	return found
}

// CancelAll ends every run.
func (t *Table) CancelAll(force bool) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, run := range t.runs {
		if force {
			run.Stop.ByForce()
		} else if !run.Stop.Asked() {
			run.Stop.InOrder()
		}
	}
}
