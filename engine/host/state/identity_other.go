//go:build !linux

package state

import (
	"os"
	"sync"
)

// What Linux tells of processes and file systems is not asked elsewhere: no owner of a lock is ever proven dead, and a
// person frees the stack of one that was killed.

var self = sync.OnceValue(func() owner {
	return owner{Pid: os.Getpid(), Username: userName(), Hostname: hostName()}
})

func processStart(int) (ticks uint64, exists bool) { return 0, true }

func isLocal(string) bool { return false }

func holdFile(string) error { return nil }

func flockOf(string) flock { return flockNotAsked }
