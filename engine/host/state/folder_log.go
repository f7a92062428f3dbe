package state

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// folderLog appends to one file.
type folderLog struct {
	d    *folder
	key  string
	out  *os.File
	made bool // the file's name may not be on the disk yet
}

func (d *folder) readLog(ctx context.Context, key string) ([]byte, error) { return d.read(ctx, key) }

func (d *folder) openLog(_ context.Context, key string, keep int64) (appender, error) {
	if err := d.step("open log", key, 0); err != nil {
		return nil, err
	}
	path := d.path(key)
	if err := d.makeDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := out.Truncate(keep); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	if _, err := out.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return &folderLog{d: d, key: key, out: out, made: true}, nil
}

func (l *folderLog) Write(data []byte) error {
	if err := l.d.step("append", l.key, len(data)); err != nil {
		return err
	}
	_, err := l.out.Write(data)
	return err
}

func (l *folderLog) Sync() error {
	if err := l.d.step("sync log", l.key, 0); err != nil {
		return err
	}
	if err := syncData(l.out); err != nil {
		return err
	}
	if l.made {
		if err := syncDir(filepath.Dir(l.out.Name())); err != nil {
			return err
		}
		l.made = false
	}
	return nil
}

func (l *folderLog) Close() error { return l.out.Close() }

func (d *folder) replaceLog(ctx context.Context, key string, data []byte) error {
	return d.write(ctx, key, data, true)
}

// retireLog needs no sync: a log that comes back after a power failure is recognised by its last line.
func (d *folder) retireLog(ctx context.Context, key, as string) error { return d.moveLog(ctx, key, as) }

func (d *folder) moveLog(_ context.Context, key, as string) error {
	if err := d.step("rename", as, 0); err != nil {
		return err
	}
	return os.Rename(d.path(key), d.path(as))
}

func (d *folder) removeLog(ctx context.Context, key string) error { return d.remove(ctx, key) }
