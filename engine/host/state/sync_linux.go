package state

import (
	"os"
	"syscall"
)

// syncData waits until the bytes of a file are on the disk. It leaves out the times, which nobody needs.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
