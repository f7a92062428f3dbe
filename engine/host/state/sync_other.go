//go:build !linux

package state

import "os"

// syncData waits until the bytes of a file are on the disk.
func syncData(f *os.File) error { return f.Sync() }
