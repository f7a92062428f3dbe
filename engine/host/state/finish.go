package state

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack/snapshot"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Finish writes the checkpoint, the history entry, trims the history and removes the journal. It is also called when
// the operation failed or was cancelled; a cancelled context does not stop it. When it fails, the journal stays, and
// the next Lock ends the work.
func (j *Journal) Finish(ctx context.Context, info backend.UpdateInfo) error {
	ctx = context.WithoutCancel(ctx)
	r := j.recorder
	entries, elidable := r.seal()
	if err := j.held.lost(); err != nil {
		return errors.Join(err, r.close())
	}
	err := j.save(ctx, entries, elidable, info)
	if broken := new(integrityError); err != nil && !errors.As(err, &broken) {
		return errors.Join(fmt.Errorf("save the state: %w", err), r.close())
	}
	if historyErr := j.held.addHistory(ctx, info); historyErr != nil {
		err = errors.Join(err, fmt.Errorf("save the history: %w", historyErr))
	}
	return err
}

func (j *Journal) save(
	ctx context.Context, entries []apitype.JournalEntry, elidable bool, info backend.UpdateInfo,
) error {
	var base contents
	if j.recorder.base.exists() {
		var err error
		if base, err = parseCheckpoint(j.recorder.base.data, false); err != nil {
			return err
		}
	}
	if elidable && keepsAll(base.deployment, entries) {
		return nil
	}
	end := outcome{
		time:      time.Now(),
		destroyed: info.Kind == apitype.DestroyUpdate && info.Result == backend.SucceededResult,
		adopts:    j.held.adopts,
	}
	var before []byte
	if base.deployment != nil {
		var err error
		if before, err = withoutManifest(base.deployment); err != nil {
			return err
		}
	}
	deployment, err := replay(base, entries, end)
	if err != nil {
		return err
	}
	if before != nil {
		same, err := equals(before, deployment.Deployment)
		if err != nil {
			return err
		}
		if same {
			return j.drop(ctx)
		}
	}
	invalid := verify(&deployment)
	data, err := encodeCheckpoint(j.held.keys, deployment)
	if err != nil {
		return err
	}
	log, err := j.wholeLog(ctx, entries)
	if err != nil {
		return err
	}
	next := committed{Sum: checksum(data), Time: end.time, Emptied: end.destroyed}
	if err := j.held.commit(ctx, log, j.recorder.base, data, next); err != nil {
		return err
	}
	return invalid
}

// keepsAll says whether entries that may all be left unwritten leave the base as it is.
func keepsAll(base *apitype.DeploymentV3, entries []apitype.JournalEntry) bool {
	if base == nil || len(base.PendingOperations) > 0 {
		return false
	}
	for _, entry := range entries {
		sp := entry.SecretsProvider
		if entry.Kind != apitype.JournalEntryKindSecretsManager || sp == nil {
			continue
		}
		own := base.SecretsProviders
		if own == nil || own.Type != sp.Type || !bytes.Equal(own.State, sp.State) {
			return false
		}
	}
	return true
}

// equals compares a deployment that was read with one that was made. The latter holds empty lists where a reader finds
// none, so it is read as well.
func equals(before []byte, made *apitype.DeploymentV3) (bool, error) {
	after, err := withoutManifest(made)
	if err != nil || bytes.Equal(before, after) {
		return err == nil, err
	}
	var read apitype.DeploymentV3
	if err := json.Unmarshal(after, &read); err != nil {
		return false, err
	}
	after, err = withoutManifest(&read)
	return bytes.Equal(before, after), err
}

// withoutManifest gives a deployment's bytes without the time and the version that wrote it. It sorts the resources:
// those that do not refer to each other are registered in any order, and a state that is good in one order stays so.
func withoutManifest(deployment *apitype.DeploymentV3) ([]byte, error) {
	copied := *deployment
	copied.Manifest = apitype.ManifestV1{}
	copied.Resources = slices.Clone(copied.Resources)
	for i, r := range copied.Resources {
		// A refresh drops such lists where there is nothing to list, and the next update brings them back.
		none := func(urns []resource.URN) bool { return len(urns) == 0 }
		if len(r.Dependencies) == 0 && all(r.PropertyDependencies, none) {
			copied.Resources[i].PropertyDependencies = nil
		}
	}
	slices.SortStableFunc(copied.Resources, func(a, b apitype.ResourceV3) int {
		return cmp.Or(cmp.Compare(a.URN, b.URN), cmp.Compare(a.ID, b.ID))
	})
	return marshal(copied)
}

func all[K comparable, V any](values map[K]V, holds func(V) bool) bool {
	for _, value := range values {
		if !holds(value) {
			return false
		}
	}
	return true
}

// drop ends a change that changed nothing.
func (j *Journal) drop(ctx context.Context) error {
	if j.recorder.log == nil {
		return nil
	}
	if err := j.recorder.close(); err != nil {
		return err
	}
	return j.held.store.files.removeLog(ctx, j.held.keys.journal)
}

// wholeLog gives the journal with all entries in it: opened now if nothing had to be written before, and written anew
// if a write had failed.
func (j *Journal) wholeLog(ctx context.Context, entries []apitype.JournalEntry) (*groupLog, error) {
	r := j.recorder
	if r.log != nil && r.log.err == nil {
		return r.log, nil
	}
	if r.log != nil {
		_ = r.log.close()
	}
	first, err := marshal(newHeader(r.base.sumOrNone(), r.adopts))
	if err != nil {
		return nil, err
	}
	data := appendFrame(nil, 1, 0, first)
	for i := range entries {
		body, err := marshal(record{Entry: &entries[i]})
		if err != nil {
			return nil, err
		}
		data = appendFrame(data, i+2, 0, body)
	}
	if err := r.storage.replaceLog(ctx, r.key, data); err != nil {
		return nil, err
	}
	out, err := r.storage.openLog(ctx, r.key, int64(len(data)))
	if err != nil {
		return nil, err
	}
	r.log = newGroupLog(out, len(entries)+1)
	return r.log, nil
}

// overtaken is *LockLost when the state is no longer the one that the change began with: somebody took the lock away, and
// another process wrote. What it wrote stays, and the next Lock puts our journal aside. A state that is merely gone is
// written again, since all of it is known.
func (h *Held) overtaken(ctx context.Context, base checkpoint) (gone bool, err error) {
	current, err := loadCheckpoint(ctx, h.store.files, h.keys)
	if err != nil {
		return false, err
	}
	if current.exists() && current.sum != base.sumOrNone() {
		lost := &LockLost{Stack: h.keys.stack, Found: current.key + " was written by others meanwhile"}
		if !h.fence.stands() {
			lost.Found += "; what this change has done is in " + h.keys.journal
		}
		return false, lost
	}
	return !current.exists(), nil
}

// commit makes a journal a checkpoint. Killed at any point, it can be done again from the journal.
func (h *Held) commit(ctx context.Context, log *groupLog, base checkpoint, data []byte, next committed) error {
	gone, err := h.overtaken(ctx, base)
	if err != nil {
		return errors.Join(err, log.close())
	}
	body, err := marshal(record{Committed: &next})
	if err != nil {
		return err
	}
	line, err := log.write(body)
	if err == nil {
		err = log.wait(line)
	}
	if err = errors.Join(err, log.close()); err != nil {
		return err
	}
	storage := h.store.files
	if base.exists() && !gone {
		if err := storage.copy(ctx, base.key, base.key+".bak"); err != nil {
			return err
		}
	}
	if err := storage.write(ctx, h.keys.checkpoint, data, true); err != nil {
		return err
	}
	if base.exists() && !gone && base.key != h.keys.checkpoint {
		if err := storage.remove(ctx, base.key); err != nil {
			return err
		}
	}
	return storage.retireLog(ctx, h.keys.journal, h.keys.done)
}

// integrityError says that the engine made a deployment that contradicts itself. It was written all the same.
type integrityError struct{ err error }

func (e *integrityError) Error() string { return "the new state contradicts itself: " + e.err.Error() }
func (e *integrityError) Unwrap() error { return e.err }

// verify marks a deployment that contradicts itself the way the stock code does, so that it is not taken for a damaged
// file: `pulumi state repair` mends it.
func verify(deployment *apitype.TypedDeployment) error {
	d := deployment.Deployment
	d.Metadata.IntegrityErrorMetadata = nil
	err := snapshot.VerifyIntegrity(d)
	if err == nil {
		return nil
	}
	d.Metadata.IntegrityErrorMetadata = &apitype.SnapshotIntegrityErrorMetadataV1{
		Version: strconv.Itoa(deployment.Version),
		Command: strings.Join(os.Args, " "),
		Error:   err.Error(),
	}
	return &integrityError{err}
}
