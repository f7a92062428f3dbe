package place

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// editTimeout is how long an edit waits for those of other processes. One takes milliseconds.
	editTimeout = 30 * time.Second
	editPause   = 5 * time.Millisecond
)

// edits excludes edits of the settings in one folder: those of this process wait for a mutex, those of other hosts for
// the folder's own lock, which leaves no file behind in a project and ends with the process.
var edits = &folders{paths: map[string]*counted{}}

type folders struct {
	mutex sync.Mutex
	paths map[string]*counted
}

type counted struct {
	sync.Mutex
	users int
}

// lock waits for the folder, which it makes if need be; what it returns lets go of it.
func (f *folders) lock(path string) (release func(), err error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("edit settings: %w", err)
	}
	here := f.enter(path)
	ctx, cancel := context.WithTimeout(context.Background(), editTimeout)
	defer cancel()
	folder, err := flock(ctx, path)
	if err != nil {
		here()
		return nil, err
	}
	return func() {
		// Its lock ends with it.
		_ = folder.Close()
		here()
	}, nil
}

// enter waits for the other edits of this process.
func (f *folders) enter(path string) (leave func()) {
	f.mutex.Lock()
	found, known := f.paths[path]
	if !known {
		found = &counted{}
		f.paths[path] = found
	}
	found.users++
	f.mutex.Unlock()
	found.Lock()
	return func() {
		found.Unlock()
		f.mutex.Lock()
		defer f.mutex.Unlock()
		if found.users--; found.users == 0 {
			delete(f.paths, path)
		}
	}
}

// flock locks the folder itself. Where the file system has no such locks, it opens it only.
func flock(ctx context.Context, path string) (*os.File, error) {
	folder, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("edit settings: %w", err)
	}
	for {
		err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return folder, nil
		}
		select {
		case <-ctx.Done():
			_ = folder.Close()
			return nil, fmt.Errorf("another process has been editing the settings in %s for %s", path, editTimeout)
		case <-time.After(editPause):
		}
	}
}
