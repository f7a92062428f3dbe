package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// self is this process among those of all machines.
var self = sync.OnceValue(func() owner {
	me := owner{Pid: os.Getpid(), Username: userName(), Hostname: hostName()}
	if boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		me.BootID = strings.TrimSpace(string(boot))
	}
	if namespace, err := os.Readlink("/proc/self/ns/pid"); err == nil {
		me.PidNamespace = namespace
	}
	me.StartTicks, _ = processStart(me.Pid)
	return me
})

// processStart says when a process of our process table started, in ticks since boot, and whether there is one. Of one
// that cannot be looked at the start is 0.
func processStart(pid int) (ticks uint64, exists bool) {
	if pid <= 0 || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return 0, false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, true
	}
	// The name of the program, in brackets, may hold spaces; the 22nd field is the start.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, true
	}
	if state := string(fields[0]); state == "Z" || state == "X" {
		return 0, false
	}
	ticks, err = strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return 0, true
	}
	return ticks, true
}

// localFileSystems are those whose device one kernel mounts, by their magic number in statfs(2).
var localFileSystems = map[int64]bool{
	0xEF53:     true, // ext2, ext3, ext4
	0x58465342: true, // xfs
	0x9123683E: true, // btrfs
	0xF2F52010: true, // f2fs
	0x2FC12FC1: true, // zfs
	0xCA451A4E: true, // bcachefs
	0x01021994: true, // tmpfs
	0x794C7630: true, // overlayfs, as in containers
}

// isLocal is true for a folder that no other machine can have mounted; of one that is not there yet its parent tells.
func isLocal(path string) bool {
	var about syscall.Statfs_t
	err := syscall.Statfs(path, &about)
	if errors.Is(err, syscall.ENOENT) && filepath.Dir(path) != path {
		return isLocal(filepath.Dir(path))
	}
	return err == nil && localFileSystems[int64(about.Type)&0xFFFFFFFF]
}

// holdFile takes the kernel's lock on a file, which ends with the process.
func holdFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	// Nobody else ever holds this file for longer than a look at it takes.
	if err := lockFile(file, syscall.LOCK_EX); err != nil {
		return errors.Join(err, file.Close())
	}
	heldFiles.Lock()
	defer heldFiles.Unlock()
	heldFiles.open = append(heldFiles.open, file)
	return nil
}

// heldFiles keeps them from the garbage collector, which would close them.
var heldFiles struct {
	sync.Mutex
	open []*os.File
}

func lockFile(file *os.File, how int) error {
	for {
		if err := syscall.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// flockOf says whether a process holds the kernel's lock on a file.
func flockOf(path string) flock {
	file, err := os.Open(path)
	if err != nil {
		return flockNotAsked
	}
	defer file.Close()
	switch err := lockFile(file, syscall.LOCK_SH|syscall.LOCK_NB); {
	case err == nil:
		return flockFree
	case errors.Is(err, syscall.EWOULDBLOCK):
		return flockHeld
	}
	return flockNotAsked
}
