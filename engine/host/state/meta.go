package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
)

// mendMeta removes what a power failure made of the backend's meta.yaml and the note beside it: the stock backend does
// not sync them, and cannot be opened with a torn one. It writes an absent meta.yaml anew, with the version that the
// stacks' folders have.
func mendMeta(storage files) error {
	d, ok := storage.(*folder)
	if !ok {
		return nil
	}
	meta := d.path(path.Join(root, "meta.yaml"))
	data, err := os.ReadFile(meta)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return errors.Join(removeIfThere(meta), removeIfThere(meta+attrsSuffix))
	}
	note, err := os.ReadFile(meta + attrsSuffix)
	if err == nil && !json.Valid(note) {
		return removeIfThere(meta + attrsSuffix)
	}
	return nil
}
