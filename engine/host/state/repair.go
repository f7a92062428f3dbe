package state

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
)

// Repair is what a repair of a stack's state would do, or has done.
type Repair struct {
	// Problem is what is wrong with the state; empty when it is good, and then there is nothing to do.
	Problem string `json:"problem,omitempty"`
	// Damaged is the file that cannot be used; empty when it is missing.
	Damaged string `json:"damaged,omitempty"`
	// Copy is the good copy that takes its place; empty when there is none.
	Copy string `json:"copy,omitempty"`
	// Time is when the state in the copy was made.
	Time time.Time `json:"time,omitzero"`
	// Exact: the copy is what the damaged file held. Else later changes are missing, and a refresh finds them.
	Exact bool `json:"exact"`
	// Resources is how many there are in the copy.
	Resources int `json:"resources"`
	// Kept is where the damaged file is now; empty until the repair was done.
	Kept string `json:"kept,omitempty"`
	// Done is false for a repair that was only looked at.
	Done bool `json:"done"`
}

// Repair finds the newest good copy of a state that cannot be read; with apply, it takes the place of the damaged file,
// which is kept beside it. A good state, and one that a newer version wrote, is left alone.
func (s *Store) Repair(ctx context.Context, ref backend.StackReference, apply bool) (*Repair, error) {
	k := keysOf(ref)
	h, err := s.hold(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer h.Release()
	f, err := s.look(ctx, k)
	if err != nil {
		return nil, err
	}
	var corrupt *Corrupt
	if err := s.check(ctx, k, f, true); err == nil {
		if !f.current.exists() && f.live == nil {
			return nil, backenderr.StackNotFoundError{StackName: ref.String()}
		}
		return &Repair{}, nil
	} else if !errors.As(err, &corrupt) {
		return nil, err
	}
	spares, err := s.spares(ctx, k)
	if err != nil {
		return nil, err
	}
	plan := &Repair{Problem: corrupt.Reason, Damaged: f.current.key}
	chosen := choose(k, spares, f)
	if chosen == nil {
		return plan, nil
	}
	found, err := parseCheckpoint(chosen.data, true)
	if err != nil {
		return nil, err
	}
	plan.Copy, plan.Time, plan.Exact = chosen.key, chosen.time, chosen.exact
	if found.deployment != nil {
		plan.Resources = len(found.deployment.Resources)
	}
	if !apply {
		return plan, nil
	}
	plan.Kept, err = s.restore(ctx, k, f, chosen)
	plan.Done = err == nil
	return plan, err
}

// restore puts a copy in the place of the checkpoint, and gives where the damaged one is kept.
func (s *Store) restore(ctx context.Context, k keys, f findings, chosen *spare) (kept string, err error) {
	if f.current.exists() {
		if kept, err = s.keepState(ctx, f.current.key); err != nil {
			return "", err
		}
	}
	key := k.checkpoint
	if compressed := path.Ext(chosen.key); compressed == ".gz" || compressed == ".zst" {
		key += compressed
	}
	if err := s.files.write(ctx, key, chosen.data, true); err != nil {
		return "", err
	}
	if f.current.exists() && f.current.key != key {
		if err := s.files.remove(ctx, f.current.key); err != nil {
			return "", err
		}
	}
	if chosen.exact {
		return kept, nil
	}
	// What we noted of the last checkpoint is not true of this one.
	return kept, s.files.removeLog(ctx, k.done)
}

// spare is a copy that may take the place of a damaged checkpoint.
type spare struct {
	key  string
	time time.Time
	// latest: nothing newer than this is known.
	latest bool
	// exact: it is the checkpoint itself, rebuilt.
	exact bool
	data  []byte
}

// spares gives the copies, the best first.
func (s *Store) spares(ctx context.Context, k keys) ([]spare, error) {
	last, err := readJournal(ctx, s.files, k.done)
	if err != nil {
		// Only a help, and damaged too.
		last = nil
	}
	var found []spare
	for _, variant := range k.variants() {
		key := variant + ".bak"
		data, err := s.files.read(ctx, key)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, spare{key: key, data: data, time: madeAt(data)})
		if rebuilt := rebuild(k, last, data); rebuilt != nil {
			found = append(found, spare{
				key: key + " and " + k.done, data: rebuilt, time: last.committed[len(last.committed)-1].Time,
				latest: true, exact: true,
			})
		}
	}
	history, err := s.history(ctx, k)
	if err != nil {
		return nil, err
	}
	for i, entry := range history {
		if entry.checkpoint == "" {
			continue
		}
		data, err := s.files.read(ctx, path.Join(k.history, entry.checkpoint))
		if err != nil {
			return nil, err
		}
		found = append(found, spare{
			key: path.Join(k.history, entry.checkpoint), data: data, time: entry.time, latest: i == 0,
		})
	}
	slices.SortStableFunc(found, func(a, b spare) int {
		if a.exact != b.exact {
			if a.exact {
				return -1
			}
			return 1
		}
		return b.time.Compare(a.time)
	})
	return found, nil
}

// madeAt is when the deployment in a checkpoint file was made; long ago if it cannot be read.
func madeAt(data []byte) time.Time {
	found, err := parseCheckpoint(data, false)
	if err != nil || found.deployment == nil {
		return time.Time{}
	}
	return found.deployment.Manifest.Time
}

// rebuild makes the last checkpoint from the one before and the journal between the two; nil if they do not fit. Only
// the version that made the entries gives the same bytes again.
func rebuild(k keys, done *journalFile, before []byte) []byte {
	if done == nil || len(done.committed) == 0 || done.header.Base != checksum(before) ||
		done.header.Engine != version.Version {
		return nil
	}
	base, err := parseCheckpoint(before, false)
	if err != nil {
		return nil
	}
	last := done.committed[len(done.committed)-1]
	deployment, err := replay(base, done.entries,
		outcome{time: last.Time, destroyed: last.Emptied, adopts: done.header.Adopts})
	if err != nil || verify(&deployment) != nil {
		return nil
	}
	data, err := encodeCheckpoint(k, deployment)
	if err != nil || checksum(data) != last.Sum {
		return nil
	}
	return data
}

// choose gives the first spare that is good. One that a journal of a dead process continues goes before all others. One
// without resources is taken only if nothing newer is known: a state of before the first change is no copy of the state.
func choose(k keys, spares []spare, f findings) *spare {
	for i, s := range spares {
		if f.live != nil && f.live.header.Base == checksum(s.data) {
			spares[i].exact = true
			return &spares[i]
		}
	}
	for i, s := range spares {
		// A copy that shares its blocks with the damaged file has the damage too.
		if f.current.exists() && checksum(s.data) == f.current.sum {
			continue
		}
		found, err := parseCheckpoint(s.data, true)
		if err == nil && found.sound() == nil && !found.foreign(k) && (s.exact || s.latest || !found.empty()) {
			return &spares[i]
		}
	}
	return nil
}
