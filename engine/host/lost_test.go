package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pilot/engine/host/pgserver"
	"pilot/engine/host/protocol"
)

func TestAStackOfATableLivesFromInitToRemovalBehindItsLocks(t *testing.T) {
	w := newWorld(t, things(2))
	w.place.Backend = pgserver.Start(t)
	w.must("stack", "init", "dev", "--no-select")
	w.must(up("dev")...)
	state := w.must("stack", "export", "--stack", "dev").stdout
	if said := w.send(t.Context(), w.request(w.place, &state, "stack", "import", "--stack", "dev")); said.ended.Fault != nil {
		t.Fatal(said.text)
	}
	w.must("stack", "rename", "--stack", "dev", "--", "new")
	w.must(append(up("new"), "--expect-no-changes")...)
	w.must("refresh", "--yes", "--skip-preview", "--stack=new")
	w.must("stack", "init", "dev", "--no-select")
	w.must(append(destroy("new"), "--remove")...)
	w.must("stack", "rm", "--yes", "dev")
	for key := range pgserver.Rows(t, pgserver.Open(t, w.place.Backend)) {
		for _, kind := range []string{"locks", "history", "journals"} {
			if strings.Contains(key, "/.pulumi/"+kind+"/") {
				t.Errorf("%s is left", key)
			}
		}
		if strings.Contains(key, "/.pulumi/stacks/") && !strings.HasSuffix(key, ".json.bak") {
			t.Errorf("%s is left", key)
		}
	}
}

func TestAnUpdateWhoseLockWasTakenAwayEndsAndLeavesTheStackToItsSuccessor(t *testing.T) {
	w := newWorld(t, things(4))
	w.place.Backend = pgserver.Start(t)
	db := pgserver.Open(t, w.place.Backend)
	w.must("stack", "init", "dev", "--no-select")
	theirs := &provider{}
	successor := w.newPlace("shop")
	successor.Backend, successor.Attached["pilot"] = pgserver.Alias(w.place.Backend), w.serveProvider(theirs)
	var left map[string]string
	w.provider.creating = func(context.Context) {
		for _, args := range [][]string{{"cancel", "--yes", "--stack", "dev"}, up("dev")} {
			if said := w.send(t.Context(), w.request(successor, nil, args...)); said.ended.Fault != nil {
				t.Errorf("%v: %s", args, said.text)
			}
		}
		left = pgserver.Rows(t, db)
	}
	said := w.say(append(up("dev"), "--parallel=1")...)
	if said.kind() != protocol.LockLost || said.ended.Code == 0 {
		t.Errorf("%+v", said.ended)
	}
	if !strings.Contains(said.stderr, "the lock of stack organization/shop/dev is gone") {
		t.Error(said.stderr)
	}
	if made := w.provider.created.Load(); made != 1 {
		t.Errorf("it has made %d", made)
	}
	if made := theirs.created.Load(); made != 4 {
		t.Errorf("its successor has made %d", made)
	}
	pgserver.Same(t, left, pgserver.Rows(t, db))
}

func TestACancelFreesTheLockOfWhoWasMakingAStackThatIsNotThereYet(t *testing.T) {
	w := newWorld(t, things(1))
	w.must("stack", "init", "other", "--no-select")
	// As a process leaves it that dies, or sleeps, between the lock and the first state.
	locks := filepath.Join(strings.TrimPrefix(w.place.Backend, "file://"), ".pulumi", "locks", "organization", "shop", "dev")
	if err := os.MkdirAll(locks, 0o700); err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(locks, "0a1b.json")
	if err := os.WriteFile(lock, []byte(`{"pid":1,"username":"x","hostname":"elsewhere","timestamp":"2026-11-29T00:00:00Z"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := w.say("cancel", "--yes", "--stack", "dev"); said.kind() != protocol.StackNotFound {
		t.Error(said.text)
	}
	if _, err := os.Stat(lock); !os.IsNotExist(err) {
		t.Error("the lock is left", err)
	}
	w.must("stack", "init", "dev", "--no-select")
}
