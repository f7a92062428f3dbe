package state

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	pkgresource "github.com/pulumi/pulumi/pkg/v3/resource"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
)

// entriesVersion is the form of the engine's entries: since 2 they carry migrations of state.
const entriesVersion = 2

// Journal records a change. It is the engine's SnapshotManager.
type Journal struct {
	*engine.JournalSnapshotManager
	held     *Held
	recorder *recorder
}

var _ engine.SnapshotManager = (*Journal)(nil)

// Journal starts a change of the state. The base must be the snapshot that the engine gets, by pointer. A create of the
// packages in adopts finds what an earlier call has made; of all others a create that was cut off stays pending.
func (h *Held) Journal(
	ctx context.Context, base *deploy.Snapshot, sm secrets.Manager, adopts []string,
) (*Journal, error) {
	current, err := loadCheckpoint(ctx, h.store.files, h.keys)
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	var found contents
	if current.exists() {
		if found, err = parseCheckpoint(current.data, false); err != nil {
			return nil, &Corrupt{Stack: h.keys.stack, Reason: current.key + ": " + err.Error()}
		}
	}
	r := &recorder{
		ctx: context.WithoutCancel(ctx), storage: h.store.files, key: h.keys.journal,
		base: current, sm: reuse(base, sm), adopts: adopts,
	}
	h.adopts = adopts
	manager, err := engine.NewJournalSnapshotManagerWithVersion(r, base, r.sm, entriesVersion)
	if err != nil {
		return nil, err
	}
	if !sameResources(base, found.deployment) {
		// The entries name resources of the base by position. A base that is not the one on the disk goes into the
		// journal as a whole.
		if base == nil {
			base = &deploy.Snapshot{}
		}
		err := errors.Join(manager.Write(base), manager.RegisterSecretsManager(r.sm))
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	return &Journal{JournalSnapshotManager: manager, held: h, recorder: r}, nil
}

// reuse prefers the base's own secrets manager when it is the same: it knows the ciphertexts, and secrets that did not
// change keep theirs.
func reuse(base *deploy.Snapshot, sm secrets.Manager) secrets.Manager {
	if base == nil || base.SecretsManager == nil || sm == nil {
		return sm
	}
	own := base.SecretsManager
	if own.Type() == sm.Type() && string(own.State()) == string(sm.State()) {
		return own
	}
	return sm
}

func sameResources(base *deploy.Snapshot, onDisk *apitype.DeploymentV3) bool {
	var given []*pkgresource.State
	if base != nil {
		given = base.Resources
	}
	var stored []apitype.ResourceV3
	if onDisk != nil {
		stored = onDisk.Resources
	}
	if len(given) != len(stored) {
		return false
	}
	for i := range given {
		if given[i].URN != stored[i].URN || given[i].ID != stored[i].ID {
			return false
		}
	}
	return true
}

// recorder writes the engine's entries to the journal file, and keeps them for the end.
type recorder struct {
	ctx     context.Context
	storage files
	key     string
	base    checkpoint
	sm      secrets.Manager
	adopts  []string

	mu      sync.Mutex
	log     *groupLog // nil until something is to be written
	entries []apitype.JournalEntry
	// elided are lines that only matter if others follow: an operation that changes nothing writes no journal.
	elided [][]byte
	sealed bool
}

// AddJournalEntry implements engine.Journal. It returns after the entry is on the disk if the engine goes on to call a
// provider that changes something.
func (r *recorder) AddJournalEntry(entry engine.JournalEntry) error {
	serialized, err := r.serialize(entry)
	if err != nil {
		return fmt.Errorf("serialize a journal entry: %w", err)
	}
	body, err := marshal(record{Entry: &serialized})
	if err != nil {
		return fmt.Errorf("serialize a journal entry: %w", err)
	}
	log, line, err := r.record(serialized, body, entry.ElideWrite)
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	if startsChange(entry) {
		if err := log.wait(line); err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
	}
	return nil
}

func (r *recorder) serialize(entry engine.JournalEntry) (apitype.JournalEntry, error) {
	if r.sm == nil {
		return backend.SerializeJournalEntry(r.ctx, entry, config.NewErrorCrypter("the stack has no secrets manager"))
	}
	return stack.BatchEncrypt(r.ctx, r.sm,
		func(ctx context.Context, enc config.Encrypter) (apitype.JournalEntry, error) {
			return backend.SerializeJournalEntry(ctx, entry, enc)
		})
}

// startsChange says whether the engine calls a provider to change something after this entry.
func startsChange(entry engine.JournalEntry) bool {
	if entry.Kind != engine.JournalEntryBegin || entry.Operation == nil {
		return false
	}
	return entry.Operation.Type != pkgresource.OperationTypeReading
}

// record puts an entry into the file, and in the same order into memory.
func (r *recorder) record(entry apitype.JournalEntry, body []byte, elide bool) (*groupLog, int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sealed {
		return nil, 0, errors.New("the change has ended")
	}
	if elide && r.log == nil {
		r.elided = append(r.elided, body)
		r.entries = append(r.entries, entry)
		return nil, 0, nil
	}
	line, err := r.append(body)
	// What has begun without a line in the file does not happen: the engine is told. What has ended happened, and the
	// checkpoint at the end may still be written.
	if err == nil || entry.Kind != apitype.JournalEntryKindBegin {
		r.entries = append(r.entries, entry)
	}
	return r.log, line, err
}

// append writes a line, and before the first one the header and what was elided.
func (r *recorder) append(body []byte) (int, error) {
	if r.log != nil {
		return r.log.write(body)
	}
	first, err := marshal(newHeader(r.base.sumOrNone(), r.adopts))
	if err != nil {
		return 0, err
	}
	out, err := r.storage.openLog(r.ctx, r.key, 0)
	if err != nil {
		return 0, err
	}
	r.log = newGroupLog(out, 0)
	lines := append(append([][]byte{first}, r.elided...), body)
	r.elided = nil
	return r.log.write(lines...)
}

// seal ends the recording. It gives the entries, and whether each of them may be left unwritten.
func (r *recorder) seal() (entries []apitype.JournalEntry, elidable bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sealed = true
	return r.entries, r.log == nil
}

// Close implements engine.Journal. The end of a change is Journal.Finish.
func (r *recorder) Close() error { return nil }

func (r *recorder) close() error {
	if r.log == nil {
		return nil
	}
	return r.log.close()
}

func (c checkpoint) sumOrNone() string {
	if !c.exists() {
		return ""
	}
	return c.sum
}
