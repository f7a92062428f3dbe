package state

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"time"
)

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

// rescue puts the newest good copy in the place of a damaged or lost checkpoint, and keeps the damaged one beside it.
// Without a good copy nothing is changed.
func (h *Held) rescue(ctx context.Context, f findings, problem string) (checkpoint, error) {
	s, k := h.store, h.keys
	spares, err := h.spares(ctx)
	if err != nil {
		return checkpoint{}, err
	}
	chosen := choose(k, spares, f)
	if chosen == nil {
		return checkpoint{}, &Corrupt{Stack: k.stack, Reason: problem + "; there is no good copy of it"}
	}
	kept := ""
	if f.current.exists() {
		copied := aside(f.current.key, "corrupt")
		if err := s.files.copy(ctx, f.current.key, copied); err != nil {
			return checkpoint{}, err
		}
		s.trimAside(ctx, f.current.key, "corrupt")
		kept = "; the damaged file is " + copied
	}
	restored := checkpoint{key: k.checkpoint, data: chosen.data, sum: checksum(chosen.data)}
	if compressed := path.Ext(chosen.key); compressed == ".gz" || compressed == ".zst" {
		restored.key += compressed
	}
	// What we noted of the last checkpoint is not true of this one. The new note comes first: killed in between, the
	// damaged file is still seen, and the same copy is chosen again.
	if !chosen.exact && s.files.stockSum(restored.key).kept {
		if err := s.seal(ctx, k, committed{Sum: restored.sum, Time: chosen.time}); err != nil {
			return checkpoint{}, err
		}
	}
	if err := s.files.write(ctx, restored.key, restored.data, true); err != nil {
		return checkpoint{}, err
	}
	if f.current.exists() && f.current.key != restored.key {
		if err := s.files.remove(ctx, f.current.key); err != nil {
			return checkpoint{}, err
		}
	}
	if chosen.exact {
		h.warn("%s; it was rebuilt without loss from %s%s", problem, chosen.key, kept)
	} else {
		h.warn("%s; the copy %s of %s was put in its place, and later changes are missing: refresh the stack%s",
			problem, chosen.key, chosen.time.UTC().Format(time.RFC3339), kept)
	}
	return restored, nil
}

// seal notes a checkpoint that no journal leads to.
func (s *Store) seal(ctx context.Context, k keys, next committed) error {
	first, err := marshal(newHeader(""))
	if err != nil {
		return err
	}
	last, err := marshal(record{Committed: &next})
	if err != nil {
		return err
	}
	return s.files.replaceLog(ctx, k.done, appendFrame(appendFrame(nil, 1, 0, first), 2, 0, last))
}

// spares gives the copies, the best first.
func (h *Held) spares(ctx context.Context) ([]spare, error) {
	s, k := h.store, h.keys
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

// rebuild makes the last checkpoint from the one before and the journal between the two; nil if they do not fit.
func rebuild(k keys, done *journalFile, before []byte) []byte {
	if done == nil || len(done.committed) == 0 || done.header.Base != checksum(before) {
		return nil
	}
	base, err := parseCheckpoint(before, false)
	if err != nil {
		return nil
	}
	last := done.committed[len(done.committed)-1]
	deployment, err := replay(base, done.entries, outcome{time: last.Time, destroyed: last.Emptied})
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
	good := func(s spare, strict bool) bool {
		found, err := parseCheckpoint(s.data, strict)
		return err == nil && !found.foreign(k) && (s.latest || !found.empty())
	}
	if f.live != nil && f.live.header.Base != "" {
		for i, s := range spares {
			if checksum(s.data) == f.live.header.Base {
				if _, err := parseCheckpoint(s.data, false); err == nil {
					spares[i].exact = true
					return &spares[i]
				}
			}
		}
	}
	for _, strict := range []bool{true, false} {
		for i, s := range spares {
			// A copy that shares its blocks with the damaged file has the damage too, also where it can be read.
			if f.current.exists() && checksum(s.data) == f.current.sum {
				continue
			}
			if s.exact || good(s, strict) {
				return &spares[i]
			}
		}
	}
	return nil
}
