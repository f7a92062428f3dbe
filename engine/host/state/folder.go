package state

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// folder is the storage of a file:// backend.
type folder struct {
	root string
	// before is called before every step that changes the disk; an error stops it there. Tests count and break here.
	before func(step, key string, bytes int) error
}

const (
	attrsSuffix = ".attrs"
	tempSuffix  = ".tmp"
)

func (d *folder) path(key string) string { return filepath.Join(d.root, filepath.FromSlash(key)) }

func (d *folder) step(step, key string, bytes int) error {
	if d.before == nil {
		return nil
	}
	return d.before(step, key, bytes)
}

func (d *folder) read(_ context.Context, key string) ([]byte, error) { return os.ReadFile(d.path(key)) }

func (d *folder) write(_ context.Context, key string, data []byte, durable bool) error {
	path := d.path(key)
	if err := d.makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := d.step("create", key, len(data)); err != nil {
		return err
	}
	// The name is fixed, since writers hold the stack's lock: what a dead process left is replaced, not collected.
	// It is removed first, never truncated: no file that could be a link is ever written in place.
	temp := path + tempSuffix
	if err := removeIfThere(temp); err != nil {
		return err
	}
	if err := writeNew(temp, data, durable); err != nil {
		_ = os.Remove(temp)
		return err
	}
	if err := d.step("rename", key, 0); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	if durable {
		if err := d.step("sync folder", key, 0); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(path)); err != nil {
			return err
		}
	}
	// The stock backend reads a file without the .attrs; one that describes older bytes would only mislead.
	return removeIfThere(path + attrsSuffix)
}

func (d *folder) copy(ctx context.Context, from, to string) error {
	if err := d.step("link", to, 0); err != nil {
		return err
	}
	source, target := d.path(from), d.path(to)
	if err := d.makeDir(filepath.Dir(target)); err != nil {
		return err
	}
	temp := target + tempSuffix
	if err := removeIfThere(temp); err != nil {
		return err
	}
	if err := os.Link(source, temp); err != nil {
		// Some file systems refuse links.
		data, readErr := os.ReadFile(source)
		if readErr != nil {
			return errors.Join(err, readErr)
		}
		return d.write(ctx, to, data, true)
	}
	if err := d.step("rename", to, 0); err != nil {
		return err
	}
	if err := os.Rename(temp, target); err != nil {
		return err
	}
	// A rename onto another link of the same file does nothing, and leaves the temporary name.
	return errors.Join(removeIfThere(temp), removeIfThere(target+attrsSuffix))
}

func (d *folder) remove(_ context.Context, key string) error {
	if err := d.step("remove", key, 0); err != nil {
		return err
	}
	path := d.path(key)
	return errors.Join(removeIfThere(path), removeIfThere(path+attrsSuffix))
}

func (d *folder) list(_ context.Context, dir string) ([]file, error) {
	entries, err := os.ReadDir(d.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []file
	for _, entry := range entries {
		if entry.IsDir() || filepath.Ext(entry.Name()) == attrsSuffix {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, file{name: entry.Name(), modified: info.ModTime()})
	}
	return found, nil
}

func (d *folder) flush(_ context.Context, dir, prefix string, since time.Time) error {
	entries, err := os.ReadDir(d.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() || !strings.HasPrefix(entry.Name(), prefix) {
			continue
		}
		info, err := entry.Info()
		if err != nil || info.ModTime().Before(since) {
			continue
		}
		key := path.Join(dir, entry.Name())
		if err := d.step("flush", key, 0); err != nil {
			return err
		}
		if err := syncDir(d.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(d.path(dir))
}

func (d *folder) tree(_ context.Context, dir string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(d.path(dir), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() || filepath.Ext(path) == attrsSuffix {
			return err
		}
		key, err := filepath.Rel(d.root, path)
		found = append(found, filepath.ToSlash(key))
		return err
	})
	return found, err
}

func (d *folder) local() bool { return isLocal(d.root) }

func (d *folder) hold(key string) error { return holdFile(d.path(key)) }

func (d *folder) holds(key string) bool {
	_, err := os.Stat(d.path(key))
	return err == nil
}

func (d *folder) flock(key string) flock { return flockOf(d.path(key)) }

// makeDir makes a folder, each level of it durable.
func (d *folder) makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrNotExist}
	}
	if err := d.makeDir(parent); err != nil {
		return err
	}
	// The mode is the one that the stock backend's folders have.
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func writeNew(path string, data []byte, durable bool) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	if err == nil && durable {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir brings a file or the names in a folder to the disk.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// newest gives the files that exist among these, the last written first.
func (d *folder) newest(keys []string) []string {
	var found []string
	times := map[string]time.Time{}
	for _, key := range keys {
		if info, err := os.Stat(d.path(key)); err == nil {
			found = append(found, key)
			times[key] = info.ModTime()
		}
	}
	slices.SortStableFunc(found, func(a, b string) int { return times[b].Compare(times[a]) })
	return found
}
