package state

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// noTags is what the stock backend keeps of a stack without tags, if it keeps anything.
const noTags = `{"version":1,"tags":{}}`

// Remove removes the stack, as the stock backend does it; hasResources is why it refuses without force.
//
// That removes the state first and the history last: cut off in between, it leaves what a stack leaves whose state was
// lost. So the history and the backups go before it is asked.
//
// That tries three times to delete a file that is not there, with pauses of 140 ms in all. What it is about to delete
// is therefore put there first, in a form that is right if this process dies in between.
func (h *Held) Remove(ctx context.Context, stack backend.Stack, force, backups bool) (hasResources bool, err error) {
	s, k := h.store, h.keys
	current, err := loadCheckpoint(ctx, s.files, k)
	if err != nil {
		return false, err
	}
	tags := k.tags()
	if err := s.putIfAbsent(ctx, tags, func() error { return s.files.write(ctx, tags, []byte(noTags), false) }); err != nil {
		return false, err
	}
	if backups && current.exists() {
		before := current.key + ".bak"
		put := func() error { return s.files.copy(ctx, current.key, before) }
		if err := s.putIfAbsent(ctx, before, put); err != nil {
			return false, err
		}
	}
	if current.exists() {
		found, err := parseCheckpoint(current.data, false)
		if err != nil {
			return false, &Corrupt{Stack: k.stack, Reason: current.key + ": " + err.Error()}
		}
		if force || found.removable() {
			if err := s.removeRecords(ctx, k, backups); err != nil {
				return false, err
			}
		}
	}
	if hasResources, err = backend.RemoveStack(ctx, stack, force, backups); err == nil {
		// It goes past what it cannot delete.
		err = h.lost()
	}
	return hasResources, err
}

// removable is what the stock backend asks before it removes a stack: there may be nothing in it but itself.
func (c contents) removable() bool {
	return c.empty() || len(c.deployment.Resources) == 1 && c.deployment.Resources[0].Type == resource.RootStackType
}

// removeRecords removes the history, and the backups as well if they are to go. They are gone for good before the state
// is touched.
func (s *Store) removeRecords(ctx context.Context, k keys, backups bool) error {
	dirs := []string{k.history}
	if backups {
		dirs = append(dirs, k.backups)
	}
	for _, dir := range dirs {
		found, err := s.files.list(ctx, dir)
		if err != nil {
			return err
		}
		for _, f := range found {
			if err := s.files.remove(ctx, path.Join(dir, f.name)); err != nil {
				return err
			}
		}
		if err := s.files.flush(ctx, dir, "", time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// emptied says whether an operation of the history has destroyed all that there was. A removal that was cut off may have
// taken the copy of the state already that lies beside it.
func (s *Store) emptied(ctx context.Context, k keys, last past) (bool, error) {
	at := slices.IndexFunc(last.all, func(name string) bool { return strings.HasSuffix(name, ".history.json") })
	if at < 0 {
		return false, nil
	}
	data, err := s.files.read(ctx, path.Join(k.history, last.all[at]))
	if err != nil {
		return false, err
	}
	var told struct {
		Kind   apitype.UpdateKind   `json:"kind"`
		Result backend.UpdateResult `json:"result"`
	}
	if json.Unmarshal(data, &told) != nil || told.Kind != apitype.DestroyUpdate || told.Result != backend.SucceededResult {
		return false, nil
	}
	if last.checkpoint == "" {
		return true, nil
	}
	if data, err = s.files.read(ctx, path.Join(k.history, last.checkpoint)); err != nil {
		return false, err
	}
	// A destroy can leave what is protected.
	found, err := parseCheckpoint(data, true)
	return err == nil && found.removable(), nil
}

// endRemoval removes what a removal that was cut off has left; the history last, which tells that there is something left.
func (h *Held) endRemoval(ctx context.Context) error {
	s, k := h.store, h.keys
	if err := s.files.remove(ctx, k.tags()); err != nil {
		return err
	}
	if err := s.removeRecords(ctx, k, false); err != nil {
		return err
	}
	h.warn("the removal of the stack had been cut off, and has been ended now")
	return nil
}

func (s *Store) putIfAbsent(ctx context.Context, key string, put func() error) error {
	if _, err := s.files.read(ctx, key); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return put()
}
