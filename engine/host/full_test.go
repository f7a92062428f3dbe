package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pilot/engine/host/fault"
	"pilot/engine/host/protocol"
)

func TestStorageThatIsFullIsToldAsSuchAndTheDiskOfAProviderIsNot(t *testing.T) {
	full := &fault.Unwritten{Err: syscall.ENOSPC, Run: context.Canceled}
	if _, told := fault.Of(full, true); told.Kind != protocol.StateUnwritten || !told.StorageFull {
		t.Errorf("%+v", told)
	}
	elsewhere := &fault.Unwritten{Err: syscall.EROFS, Run: syscall.ENOSPC}
	_, told := fault.Of(elsewhere, false)
	if told.Kind != protocol.StateUnwritten || told.StorageFull || !strings.Contains(told.Message, "no space") {
		t.Errorf("%+v", told)
	}
}

// The lock is the first that a run writes, with the stock backend: its library must pass on why it cannot.
func TestARunThatFindsTheStorageFullSaysSoBeforeAnythingHappens(t *testing.T) {
	w := newWorld(t, things(1))
	disk := smallDisk(t)
	w.place.Backend = "file://" + disk
	w.must("stack", "init", "dev", "--no-select")
	filler := filepath.Join(disk, "filler")
	fill(t, filler)
	said := w.say(up("dev")...)
	if said.kind() != protocol.Failed || !said.ended.Fault.StorageFull || w.provider.created.Load() != 0 {
		t.Errorf("%+v", said.ended.Fault)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	w.must(up("dev")...)
}

// What the engine has done before the disk was full is in no state then, and the run says so before all else.
func TestADiskThatFillsUpDuringARunLosesNothingThatCanBeKept(t *testing.T) {
	w := newWorld(t, things(40))
	disk := smallDisk(t)
	w.place.Backend = "file://" + disk
	w.must("stack", "init", "dev", "--no-select")
	filler := filepath.Join(disk, "filler")
	w.provider.creating = func(context.Context) { fill(t, filler) }
	said := w.say(up("dev")...)
	if said.kind() != protocol.StateUnwritten || !said.ended.Fault.StorageFull {
		t.Errorf("%+v", said.ended.Fault)
	}
	w.provider.creating = nil
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	// The create that began is in the journal, and stays to be decided.
	w.must(up("dev")...)
}

func smallDisk(t *testing.T) string {
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatalf("these tests need root, to make a small disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(folder, syscall.MNT_DETACH) })
	return folder
}

func fill(t *testing.T, path string) {
	file, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 1<<10))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
}
