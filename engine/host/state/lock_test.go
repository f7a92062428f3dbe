package state

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The table that the tests of both languages read.
const lockOwners = "../../../automation/lock-owners.json"

func TestTheOwnerOfALockIsDeadExactlyWhereTheTableSaysSo(t *testing.T) {
	text, err := os.ReadFile(lockOwners)
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Here  owner
		Cases []struct {
			Name    string
			Owner   *owner
			Process *uint64
			Flock   *string
			Storage string
			Verdict verdict
		}
	}
	if err := json.Unmarshal(text, &table); err != nil || len(table.Cases) == 0 {
		t.Fatalf("%d cases, %v", len(table.Cases), err)
	}
	for _, c := range table.Cases {
		seen := sighting{
			bootID: table.Here.BootID, pidNamespace: table.Here.PidNamespace, local: c.Storage == "local",
		}
		if c.Process != nil {
			seen.exists, seen.ticks = true, *c.Process
		}
		if c.Flock != nil {
			seen.flock = map[string]flock{"held": flockHeld, "free": flockFree}[*c.Flock]
		}
		if got := judge(c.Owner, seen); got != c.Verdict {
			t.Errorf("%s: %s, want %s", c.Name, got, c.Verdict)
		}
	}
}

func (b *bench) mustBeLockedBy(o owner, unproven bool) {
	b.Helper()
	_, err := b.store.Lock(b.ctx, b.ref)
	locked := new(Locked)
	if !errors.As(err, &locked) || locked.Owner != o.String() || locked.Unproven != unproven {
		b.Fatalf("the error is %v, want the owner %s (unproven %v)", err, o, unproven)
	}
	if unproven != strings.Contains(err.Error(), "`pulumi cancel dev`") {
		b.Fatalf("the way out is told where there is one, and only there: %v", err)
	}
}

func TestALockOfAnotherProcessIsRespectedUntilItDies(t *testing.T) {
	b := newBench(t)
	living := exec.Command("sleep", "1000")
	b.must(living.Start())
	eve := self()
	eve.Pid, eve.Username, eve.Flock = living.Process.Pid, "eve", false
	eve.StartTicks, _ = processStart(eve.Pid)
	b.putLock("0000.json", eve)
	b.mustBeLockedBy(eve, false)
	_, err := b.store.Check(b.ctx, b.ref)
	b.must(err)
	b.must(living.Process.Kill())
	_ = living.Wait()
	b.lock().Release()
}

func TestALockOfAnotherProcessWithTheSameNumberIsOld(t *testing.T) {
	b := newBench(t)
	before := self()
	before.StartTicks--
	b.putLock("0000.json", before)
	b.lock().Release()
}

func TestAClockThatIsSetMakesNoLockOld(t *testing.T) {
	b := newBench(t)
	living := exec.Command("sleep", "1000")
	b.must(living.Start())
	defer func() { _ = living.Process.Kill(); _ = living.Wait() }()
	eve := self()
	eve.Pid = living.Process.Pid
	eve.StartTicks, _ = processStart(eve.Pid)
	// The lock says that it was taken long before the process started: that is what a step of the clock looks like.
	b.putLock("0000.json", eve)
	long := time.Now().Add(-1000 * time.Hour)
	b.must(os.Chtimes(b.file(b.keys().locks+"/0000.json"), long, long))
	b.mustBeLockedBy(eve, false)
}

func TestALockOfAnotherContainerIsRespectedWhileItsOwnerFileIsHeld(t *testing.T) {
	b := newBench(t)
	eve := gone()
	eve.PidNamespace, eve.Flock = "pid:[1]", true
	b.putLock("0000.json", eve)
	// The container is a process that holds the file as we hold ours.
	holder := exec.Command("flock", "--exclusive", "--nonblock", b.file(eve.key()), "sh", "-c", "echo held; exec sleep 1000")
	out, err := holder.StdoutPipe()
	b.must(err)
	b.must(holder.Start())
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	b.mustBeLockedBy(eve, false)
	b.must(exec.Command("pkill", "--parent", strconv.Itoa(holder.Process.Pid)).Run())
	_ = holder.Wait()
	b.lock().Release()
}

func TestALockOfAnotherMachineIsRespectedAndTheWayOutIsTold(t *testing.T) {
	b := newBench(t)
	eve := owner{Pid: 1, Username: "eve", Hostname: "elsewhere"}
	b.put(b.keys().locks+"/0000.json", stockLock(eve))
	b.mustBeLockedBy(eve, true)
}

func TestALockOfAPlainCLIThatIsGoneIsRespectedBecauseNothingIsProven(t *testing.T) {
	b := newBench(t)
	b.put(b.keys().locks+"/0000.json", stockLock(gone()))
	b.mustBeLockedBy(gone(), true)
	// What the error says is true.
	b.must(b.store.Backend().CancelCurrentUpdate(b.ctx, b.ref))
	b.lock().Release()
}

func TestALockIsOldOnlyIfNobodyWithItsNumberAndHostLives(t *testing.T) {
	b := newBench(t)
	first, second := gone(), gone()
	second.PidNamespace = "pid:[1]"
	b.putLock("0000.json", first)
	data, err := json.Marshal(second)
	b.must(err)
	b.put(second.key(), data)
	b.mustBeLockedBy(first, true)
}

func TestOwnerFilesOfTheDeadGoWithTheirLocks(t *testing.T) {
	b := newBench(t)
	b.putLock("0000.json", gone())
	b.must(b.store.dropDeadOwners(b.ctx))
	if !b.folder().holds(gone().key()) {
		t.Fatal("the proof of a lock that is still there was removed")
	}
	b.lock().Release()
	b.must(b.store.dropDeadOwners(b.ctx))
	if b.folder().holds(gone().key()) || !b.folder().holds(self().key()) {
		t.Fatal("only the file of the dead owner was to go")
	}
}

func TestALockThatWasNeverFinishedHoldsNobodyUpForLong(t *testing.T) {
	b := newBench(t)
	b.put(b.keys().locks+"/0000.json.18f.tmp", nil)
	start := time.Now()
	b.lock().Release()
	if took := time.Since(start); took < writing/2 {
		t.Fatalf("its writer had %v to finish", took)
	}
}
