package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"pilot/engine/host/deadline"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// bucket is the storage of every other backend. Objects are replaced as a whole and are durable when written.
type bucket struct {
	blobs *blob.Bucket
	// before is called before every call that changes the bucket; an error stops it there. Tests count and break here.
	before func(step, key string, bytes int) error
}

func (b *bucket) call(ctx context.Context, key string, do func(context.Context) error) error {
	return deadline.Within(ctx, deadline.Call, key, do)
}

func (b *bucket) step(step, key string, bytes int) error {
	if b.before == nil {
		return nil
	}
	return b.before(step, key, bytes)
}

func (b *bucket) read(ctx context.Context, key string) ([]byte, error) {
	var data []byte
	err := b.call(ctx, key, func(ctx context.Context) (err error) {
		data, err = b.blobs.ReadAll(ctx, key)
		return err
	})
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	return data, err
}

func (b *bucket) write(ctx context.Context, key string, data []byte, _ bool) error {
	if err := b.step("write", key, len(data)); err != nil {
		return err
	}
	return b.call(ctx, key, func(ctx context.Context) error { return b.blobs.WriteAll(ctx, key, data, nil) })
}

func (b *bucket) copy(ctx context.Context, from, to string) error {
	if err := b.step("copy", to, 0); err != nil {
		return err
	}
	err := b.call(ctx, to, func(ctx context.Context) error { return b.blobs.Copy(ctx, to, from, nil) })
	if err == nil {
		return nil
	}
	// Some S3 servers refuse the copy that others allow.
	data, readErr := b.read(ctx, from)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	return b.write(ctx, to, data, true)
}

func (b *bucket) remove(ctx context.Context, key string) error {
	if err := b.step("remove", key, 0); err != nil {
		return err
	}
	err := b.call(ctx, key, func(ctx context.Context) error { return b.blobs.Delete(ctx, key) })
	if err == nil || gcerrors.Code(err) == gcerrors.NotFound {
		return nil
	}
	// Not every storage has a code for what is not there.
	var exists bool
	asked := b.call(ctx, key, func(ctx context.Context) (err error) {
		exists, err = b.blobs.Exists(ctx, key)
		return err
	})
	if asked == nil && !exists {
		return nil
	}
	return err
}

func (b *bucket) list(ctx context.Context, dir string) ([]file, error) {
	var found []file
	err := b.each(ctx, dir, "/", func(object *blob.ListObject) {
		if !object.IsDir {
			found = append(found, file{name: path.Base(object.Key), modified: object.ModTime})
		}
	})
	return found, err
}

// each gives the objects below a folder, up to a delimiter in what follows.
func (b *bucket) each(ctx context.Context, dir, delimiter string, take func(*blob.ListObject)) error {
	objects := b.blobs.List(&blob.ListOptions{Prefix: dir + "/", Delimiter: delimiter})
	for {
		var object *blob.ListObject
		err := b.call(ctx, dir, func(ctx context.Context) (err error) {
			object, err = objects.Next(ctx)
			return err
		})
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		take(object)
	}
}

func (b *bucket) flush(context.Context, string, string, time.Time) error { return nil }

func (b *bucket) tree(ctx context.Context, dir string) ([]string, error) {
	var found []string
	err := b.each(ctx, dir, "", func(object *blob.ListObject) { found = append(found, object.Key) })
	return found, err
}

func (b *bucket) local() bool { return false }

func (b *bucket) hold(string) error { return nil }

func (b *bucket) holds(string) bool { return true }

func (b *bucket) flock(string) flock { return flockNotAsked }

// parts is the folder of a log's objects: STACK.ndjson is STACK/000000000001.ndjson and so on.
func parts(key string) string { return strings.TrimSuffix(key, ".ndjson") }

func part(key string, n int) string { return fmt.Sprintf("%s/%012d.ndjson", parts(key), n) }

func (b *bucket) readLog(ctx context.Context, key string) ([]byte, error) {
	found, err := b.list(ctx, parts(key))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 || found[0].name != path.Base(part(key, 1)) {
		return nil, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	var all []byte
	for _, f := range found {
		data, err := b.read(ctx, parts(key)+"/"+f.name)
		if err != nil {
			return nil, err
		}
		// What replaceLog was about to remove when its process died is in the first object already.
		first, _, _ := bytes.Cut(data, []byte{'\n'})
		if number, _, _, ok := parseFrame(first); ok && number <= bytes.Count(all, []byte{'\n'}) {
			continue
		}
		all = append(all, data...)
	}
	return all, nil
}

func (b *bucket) openLog(ctx context.Context, key string, keep int64) (appender, error) {
	if keep == 0 {
		if err := b.removeLog(ctx, key); err != nil {
			return nil, err
		}
	}
	found, err := b.list(ctx, parts(key))
	if err != nil {
		return nil, err
	}
	last := 0
	if n := len(found); n > 0 {
		if _, err := fmt.Sscanf(found[n-1].name, "%d.ndjson", &last); err != nil {
			return nil, fmt.Errorf("%s: %w", found[n-1].name, err)
		}
	}
	log := &bucketLog{b: b, ctx: context.WithoutCancel(ctx), key: key, next: last + 1, kick: make(chan struct{}, 1)}
	log.running.Add(1)
	go log.run()
	return log, nil
}

// replaceLog puts all into the first object, which takes one call, before the others go.
func (b *bucket) replaceLog(ctx context.Context, key string, data []byte) error {
	if err := b.write(ctx, part(key, 1), data, true); err != nil {
		return err
	}
	found, err := b.list(ctx, parts(key))
	if err != nil {
		return err
	}
	return b.removeParts(ctx, key, slices.DeleteFunc(found, func(f file) bool { return f.name == path.Base(part(key, 1)) }))
}

func (b *bucket) retireLog(ctx context.Context, key, _ string) error { return b.removeLog(ctx, key) }

func (b *bucket) moveLog(ctx context.Context, key, as string) error {
	data, err := b.readLog(ctx, key)
	if err != nil {
		return err
	}
	if err := b.write(ctx, as, data, true); err != nil {
		return err
	}
	return b.removeLog(ctx, key)
}

// removeLog begins with the first object: a log without it is one that was being removed, and counts as none.
func (b *bucket) removeLog(ctx context.Context, key string) error {
	found, err := b.list(ctx, parts(key))
	if err != nil {
		return err
	}
	return b.removeParts(ctx, key, found)
}

func (b *bucket) removeParts(ctx context.Context, key string, found []file) error {
	for _, f := range found {
		if err := b.remove(ctx, parts(key)+"/"+f.name); err != nil {
			return err
		}
	}
	return nil
}

// bucketLog appends objects: each holds all that was added while the one before was on its way.
type bucketLog struct {
	b   *bucket
	ctx context.Context
	key string

	kick    chan struct{}
	running sync.WaitGroup

	sending sync.Mutex // one object at a time, in order
	next    int

	mu     sync.Mutex
	buffer []byte
	closed bool
}

func (l *bucketLog) Write(data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fs.ErrClosed
	}
	l.buffer = append(l.buffer, data...)
	select {
	case l.kick <- struct{}{}:
	default:
	}
	return nil
}

// run sends what nobody waits for, so that little is lost when the process dies.
func (l *bucketLog) run() {
	defer l.running.Done()
	for range l.kick {
		// A failure is met again, and told, by the next sync: the bytes stay in the buffer.
		_ = l.Sync()
	}
}

func (l *bucketLog) Sync() error {
	l.sending.Lock()
	defer l.sending.Unlock()
	l.mu.Lock()
	data := l.buffer
	l.buffer = nil
	l.mu.Unlock()
	if len(data) == 0 {
		return nil
	}
	if err := l.b.write(l.ctx, part(l.key, l.next), data, true); err != nil {
		l.mu.Lock()
		l.buffer = append(data, l.buffer...)
		l.mu.Unlock()
		return err
	}
	l.next++
	return nil
}

func (l *bucketLog) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.kick)
	l.mu.Unlock()
	l.running.Wait()
	return nil
}
