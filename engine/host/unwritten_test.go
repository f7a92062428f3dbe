package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pilot/engine/host/protocol"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// spoil makes it impossible to write the state of the place's stacks.
func (w *world) spoil() {
	stacks := filepath.Join(strings.TrimPrefix(w.place.Backend, "file://"), ".pulumi", "stacks", w.place.Project)
	if err := errors.Join(os.RemoveAll(stacks), os.WriteFile(stacks, nil, 0o600)); err != nil {
		w.Error(err)
	}
}

func TestAStateThatCannotBeWrittenIsToldBesideTheFailureOfTheRun(t *testing.T) {
	w := newWorld(t, func(ctx *pulumi.Context) error {
		return errors.Join(things(1)(ctx), errors.New("the program has had enough"))
	})
	w.must("stack", "init", "dev", "--no-select")
	w.provider.creating = func(context.Context) { w.spoil() }
	said := w.say(up("dev")...)
	if said.kind() != protocol.StateUnwritten || said.ended.Code == 0 {
		t.Fatalf("%+v", said.ended)
	}
	if !strings.Contains(said.ended.Fault.Message, "writing the state: ") || !strings.Contains(said.stderr, "writing the state: ") {
		t.Errorf("%s\n%s", said.ended.Fault.Message, said.stderr)
	}
}

func TestACancelDoesNotHideAStateThatCannotBeWritten(t *testing.T) {
	w := newWorld(t, things(1))
	w.must("stack", "init", "dev", "--no-select")
	run := w.request(w.place, nil, up("dev")...)
	w.provider.creating = func(context.Context) {
		w.spoil()
		w.cancel(run.ID, false)
	}
	if said := w.send(t.Context(), run); said.kind() != protocol.StateUnwritten {
		t.Fatalf("%+v", said.ended)
	}
}
