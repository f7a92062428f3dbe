package state

import (
	"context"
	"time"
)

// files is the storage of a backend: a folder, or a bucket. Keys are slash separated and relative to the backend's root.
type files interface {
	// read gives the bytes of a file; the error is fs.ErrNotExist when there is none.
	read(ctx context.Context, key string) ([]byte, error)
	// write replaces a file as a whole: a reader sees the old bytes or the new ones. A durable write is on the disk
	// when it returns.
	write(ctx context.Context, key string, data []byte, durable bool) error
	// copy makes `to` a file with the bytes of `from`, without writing them again where the storage can.
	copy(ctx context.Context, from, to string) error
	// remove deletes a file, and what the stock backend keeps beside it. A file that is not there is no error.
	remove(ctx context.Context, key string) error
	// list gives the files directly in a folder, sorted by name. A folder that is not there is empty.
	list(ctx context.Context, dir string) ([]file, error)
	// flush brings to the disk what others wrote since a moment: the names in a folder, and its files whose names begin
	// so.
	flush(ctx context.Context, dir, prefix string, since time.Time) error

	// tree gives the keys of all files below a folder, at any depth.
	tree(ctx context.Context, dir string) ([]string, error)

	// local is true where no other machine can have this storage mounted.
	local() bool
	// hold takes the kernel's lock on a file until this process ends; holds says whether the file is there still.
	hold(key string) error
	holds(key string) bool
	// flock says whether a process holds the kernel's lock on a file.
	flock(key string) flock

	// readLog gives all bytes of a log; the error is fs.ErrNotExist when there is none.
	readLog(ctx context.Context, key string) ([]byte, error)
	// openLog opens a log to append after its first `keep` bytes; what lies behind them is cut off.
	openLog(ctx context.Context, key string, keep int64) (appender, error)
	// replaceLog puts a whole log in the place of one that can no longer be appended to.
	replaceLog(ctx context.Context, key string, data []byte) error
	// retireLog ends a log. A storage that renames for free keeps it under the new name; others remove it.
	retireLog(ctx context.Context, key, as string) error
	// moveLog keeps a log under another name.
	moveLog(ctx context.Context, key, as string) error
	// removeLog deletes a log.
	removeLog(ctx context.Context, key string) error
}

// appender is the open end of a log.
type appender interface {
	// Write adds bytes; they survive the death of this process as soon as the storage allows.
	Write(data []byte) error
	// Sync returns when all that was written before the call is on the disk.
	Sync() error
	// Close ends the appending, without a sync.
	Close() error
}

// file is an entry of a listing.
type file struct {
	name     string
	modified time.Time
}
