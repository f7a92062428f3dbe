package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// findings is what the storage holds of a stack.
type findings struct {
	current checkpoint
	live    *journalFile // a journal that a dead process left
	done    *journalFile // the journal of the last change that became a checkpoint, without its entries
	history []past       // of a stack whose checkpoint is missing
	removed bool         // its checkpoint is missing because its removal was cut off
}

// look reads what the storage holds of a stack.
func (s *Store) look(ctx context.Context, k keys) (f findings, err error) {
	if f.current, err = loadCheckpoint(ctx, s.files, k); err != nil {
		return f, err
	}
	f.live, err = readJournal(ctx, s.files, k.journal)
	if newer := new(Newer); errors.As(err, &newer) {
		newer.Stack = k.stack
		return f, newer
	}
	if err != nil {
		return f, &Corrupt{Stack: k.stack, Reason: "its journal " + k.journal + ": " + err.Error()}
	}
	// The last journal only helps; without it less can be told.
	f.done = readSeal(ctx, s.files, k.done)
	if f.current.exists() {
		return f, nil
	}
	if f.history, err = s.history(ctx, k); err != nil || len(f.history) == 0 || f.live != nil {
		return f, err
	}
	f.removed, err = s.emptied(ctx, k, f.history[0])
	return f, err
}

// ours says whether we wrote the bytes of the checkpoint: then nothing need be asked of them.
func (f findings) ours() bool {
	sum := f.current.sum
	return f.live != nil && (f.live.leadsTo(sum) || f.live.header.Base == sum) || f.done != nil && f.done.leadsTo(sum)
}

// settle makes the state current, under the lock.
func (h *Held) settle(ctx context.Context) error {
	s, k := h.store, h.keys
	if err := s.dropTornNote(k); err != nil {
		return err
	}
	f, err := s.look(ctx, k)
	if err != nil {
		return err
	}
	if f.live != nil && !h.fence.stands() && s.lives(f.live.header) {
		// Somebody has taken its lock away while it works. Behind a fence it can write no more.
		return &Locked{Owner: f.live.header.owner().String(), Stack: k.name}
	}
	if err := s.check(ctx, k, f, true); err != nil {
		return err
	}
	switch {
	case f.live != nil:
		return h.bringIn(ctx, f)
	case f.removed:
		return h.endRemoval(ctx)
	}
	return nil
}

// lives is true for a process that is known to run, and is another one than this.
func (s *Store) lives(writer header) bool {
	o := writer.owner()
	return o.key() != self().key() && judge(&o, s.sight(o.key(), o)) == alive
}

// check tells what is wrong with the checkpoint; nothing if it is good, or if the stack does not exist. So nothing is
// ever written over what cannot be read or would be lost. Of whoever changes the stack more is asked.
//
// A stack whose checkpoint is missing was lost if its history is there, else it was removed: `stack rm` and `stack
// rename` take the history away, and leave STACK.json.bak (and rename the tags) behind. Where the last that its history
// tells is that all was destroyed, nothing was lost, and its removal was cut off.
func (s *Store) check(ctx context.Context, k keys, f findings, change bool) error {
	corrupt := func(reason string) error { return &Corrupt{Stack: k.stack, Reason: reason} }
	if !f.current.exists() {
		if len(f.history) > 0 && !f.removed {
			return corrupt(k.checkpoint + ": it is missing, and the stack's history is there (a stack that is to be gone has no " +
				k.history + " either)")
		}
		return nil
	}
	if f.ours() {
		return nil
	}
	found, err := parseCheckpoint(f.current.data, true)
	if newer := new(Newer); errors.As(err, &newer) {
		newer.Stack = k.stack
		return newer
	}
	if err != nil {
		return corrupt(f.current.key + ": " + err.Error())
	}
	if !change {
		return nil
	}
	if err := found.sound(); err != nil {
		return corrupt(f.current.key + ": " + err.Error())
	}
	return nil
}

// dropTornNote removes the note beside a checkpoint that a process left half-written: the stock backend writes it in
// place, and cannot read the whole file beside it then. It holds nothing that is needed.
func (s *Store) dropTornNote(k keys) error {
	d, ok := s.files.(*folder)
	if !ok {
		return nil
	}
	for _, key := range k.variants() {
		note := d.path(key) + attrsSuffix
		if data, err := os.ReadFile(note); err == nil && !json.Valid(data) {
			if err := removeIfThere(note); err != nil {
				return err
			}
		}
	}
	return nil
}

// bringIn ends the work of a process that was cut off during a change.
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
	end := outcome{time: time.Now(), adopts: f.live.header.Adopts}
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
	h.warn("%s was cut off during a change; %d journal entries were brought into the state%s",
		f.live.header.owner(), len(f.live.entries), listed("; still open: ", pending))
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
	kept, err := h.store.keepLog(ctx, h.keys.journal)
	if err != nil {
		return err
	}
	h.warn("%s was cut off during a change, and the state was changed by others since; its journal was not brought in and is "+
		"kept in %s. Refresh the stack", f.live.header.owner(), kept)
	return nil
}

// putAside keeps a copy of a state that cannot be used, and takes its journal out of use.
func (h *Held) putAside(ctx context.Context) error {
	s, k := h.store, h.keys
	current, err := loadCheckpoint(ctx, s.files, k)
	if err != nil {
		return err
	}
	if current.exists() {
		kept, err := s.keepState(ctx, current.key)
		if err != nil {
			return err
		}
		h.warn("the state that was damaged is kept in %s", kept)
	}
	if _, err := s.files.readLog(ctx, k.journal); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	kept, err := s.keepLog(ctx, k.journal)
	if err != nil {
		return err
	}
	h.warn("the journal of a change that was cut off is kept in %s", kept)
	return nil
}
