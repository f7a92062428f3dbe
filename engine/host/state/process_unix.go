//go:build unix

package state

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// processStart says whether a process lives, and since when; the time is zero where the system does not tell.
func processStart(pid int) (started time.Time, alive bool) {
	if err := syscall.Kill(pid, 0); err == syscall.ESRCH {
		return time.Time{}, false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return time.Time{}, true
	}
	// The name of the program, in brackets, may hold spaces; the 22nd field is the start in ticks since boot.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return time.Time{}, true
	}
	if state := string(fields[0]); state == "Z" || state == "X" {
		return time.Time{}, false
	}
	ticks, err := strconv.ParseInt(string(fields[19]), 10, 64)
	if err != nil {
		return time.Time{}, true
	}
	boot, ok := bootTime()
	if !ok {
		return time.Time{}, true
	}
	const perSecond = 100 // USER_HZ is 100 on every Linux that Go supports
	return boot.Add(time.Duration(ticks) * time.Second / perSecond), true
}

func bootTime() (time.Time, bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, false
	}
	for line := range bytes.Lines(stat) {
		if rest, ok := bytes.CutPrefix(line, []byte("btime ")); ok {
			seconds, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			return time.Unix(seconds, 0), err == nil
		}
	}
	return time.Time{}, false
}
