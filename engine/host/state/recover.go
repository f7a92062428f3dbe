package state

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the stock backend's note, not a protection
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// findings is what the storage holds of a stack.
type findings struct {
	current checkpoint
	live    *journalFile // a journal that a dead process left
	done    *journalFile // the journal of the last change that became a checkpoint, without its entries
}

// look reads what the storage holds of a stack.
func (s *Store) look(ctx context.Context, k keys) (f findings, err error) {
	if f.current, err = loadCheckpoint(ctx, s.files, k); err != nil {
		return f, err
	}
	if f.live, err = readJournal(ctx, s.files, k.journal); err != nil {
		return f, &Corrupt{Stack: k.stack, Reason: "its journal " + k.journal + ": " + err.Error()}
	}
	// The last journal only helps; without it less can be told and mended.
	f.done = readSeal(ctx, s.files, k.done)
	return f, nil
}

// certified says whether the checkpoint holds the bytes that we wrote.
func (f findings) certified() bool {
	if !f.current.exists() {
		return false
	}
	sum := f.current.sum
	return f.live != nil && (f.live.leadsTo(sum) || f.live.header.Base == sum) ||
		f.done != nil && f.done.leadsTo(sum)
}

// knows says whether we ever noted what the checkpoint should be.
func (f findings) knows() bool {
	return f.live != nil && f.live.header.Base != "" || f.done != nil && len(f.done.committed) > 0
}

// settle makes the state readable and current, under the lock.
func (h *Held) settle(ctx context.Context) error {
	s, k := h.store, h.keys
	f, err := s.look(ctx, k)
	if err != nil {
		return err
	}
	problem, err := s.judge(ctx, k, f)
	if err != nil {
		return err
	}
	if problem != "" {
		if f.current, err = h.rescue(ctx, f, problem); err != nil {
			return err
		}
	}
	if f.live != nil {
		return h.bringIn(ctx, f)
	}
	return nil
}

// judge tells what is wrong with the checkpoint; nothing if it is good, or if the stack does not exist.
//
// A file is good if we or the stock backend wrote these bytes (it notes an MD5 beside them), also where the engine then
// refuses what is in them: somebody may have forced a state in. It is good, too, if it can be read and its writer cannot
// be known, and a copy equals STACK.json.bak. What neither we nor the stock backend
// wrote, although both note what they write, is damage: a flipped bit in a name would make the engine delete a resource
// and create another one. A human restores a state with `pulumi stack import`.
//
// A stack whose checkpoint is missing was lost if its history is there, else it was removed: `stack rm` and `stack
// rename` take the history away, and leave STACK.json.bak (and rename the tags) behind.
func (s *Store) judge(ctx context.Context, k keys, f findings) (problem string, err error) {
	if !f.current.exists() {
		history, err := s.history(ctx, k)
		if err != nil {
			return "", err
		}
		if len(history) > 0 {
			return k.checkpoint + ": it is missing, and the stack's history is there", nil
		}
		return "", nil
	}
	if f.certified() {
		return "", nil
	}
	if note := s.files.stockSum(f.current.key); note.kept {
		sum := md5.Sum(f.current.data) //nolint:gosec
		switch {
		case note.readable && bytes.Equal(note.md5, sum[:]):
			return "", nil
		case note.torn:
			// A power failure tore the note. The stock backend cannot read the file with it, but without.
			if err := s.dropNote(f.current.key); err != nil {
				return "", err
			}
		case f.knows():
			before, err := s.files.read(ctx, f.current.key+".bak")
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
			// The stock backend was killed between its note and its file.
			if err != nil || !bytes.Equal(before, f.current.data) {
				return f.current.key + ": neither Pilot nor Pulumi wrote what is in it", nil
			}
		}
	}
	found, err := parseCheckpoint(f.current.data, true)
	if err != nil {
		return f.current.key + ": " + err.Error(), nil
	}
	if found.foreign(k) {
		return f.current.key + ": it is the state of another stack", nil
	}
	return "", nil
}

func (s *Store) dropNote(key string) error {
	d, ok := s.files.(*folder)
	if !ok {
		return nil
	}
	return removeIfThere(d.path(key) + attrsSuffix)
}

// bringIn ends the work of a process that died during a change.
func (h *Held) bringIn(ctx context.Context, f findings) error {
	storage, k := h.store.files, h.keys
	switch {
	case f.live.lines == 0:
		// Not even the header was written: nothing had begun.
		return storage.removeLog(ctx, k.journal)
	case f.current.exists() && f.live.leadsTo(f.current.sum):
		return storage.retireLog(ctx, k.journal, k.done)
	case f.live.header.Base != f.current.sumOrNone():
		return h.setAside(ctx, f)
	case len(f.live.entries) == 0:
		return storage.removeLog(ctx, k.journal)
	}
	var base contents
	if f.current.exists() {
		var err error
		if base, err = parseCheckpoint(f.current.data, false); err != nil {
			return &Corrupt{Stack: k.stack, Reason: f.current.key + ": " + err.Error()}
		}
	}
	end := outcome{time: time.Now()}
	deployment, err := replay(base, f.live.entries, end)
	if err != nil {
		return &Corrupt{Stack: k.stack, Reason: k.journal + ": " + err.Error()}
	}
	if err := verify(&deployment); err != nil {
		h.warn("%v", err)
	}
	data, err := encodeCheckpoint(k, deployment)
	if err != nil {
		return err
	}
	out, err := storage.openLog(ctx, k.journal, f.live.valid)
	if err != nil {
		return err
	}
	log := newGroupLog(out, f.live.lines)
	if err := h.commit(ctx, log, f.current, data, committed{Sum: checksum(data), Time: end.time}); err != nil {
		return err
	}
	var pending []string
	for _, op := range deployment.Deployment.PendingOperations {
		pending = append(pending, fmt.Sprintf("%s %s", op.Type, op.Resource.URN))
	}
	h.warn("the process %d on %s died during a change; %d journal entries were brought into the state%s",
		f.live.header.Pid, f.live.header.Host, len(f.live.entries), listed("; still open: ", pending))
	return nil
}

func listed(title string, items []string) string {
	if len(items) == 0 {
		return ""
	}
	return title + strings.Join(items, ", ")
}

// setAside keeps a journal that does not belong to the state: somebody else wrote or removed that meanwhile.
func (h *Held) setAside(ctx context.Context, f findings) error {
	aside := aside(h.keys.journal, "superseded")
	if err := h.store.files.moveLog(ctx, h.keys.journal, aside); err != nil {
		return err
	}
	h.store.trimAside(ctx, h.keys.journal, "superseded")
	h.warn("the process %d on %s died during a change, and the state was changed by others since; its journal was not "+
		"brought in and is kept in %s. Refresh the stack", f.live.header.Pid, f.live.header.Host, aside)
	return nil
}
