package place

import (
	"crypto/sha1" //nolint:gosec // the CLI names its files so
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	pkgstate "github.com/pulumi/pulumi/pkg/v3/backend/state"
	pkgworkspace "github.com/pulumi/pulumi/pkg/v3/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// The CLI keeps which stack of a project is selected, for each backend. Its own reader is not used, because it reads
// once for a process's life, and its writer is not, because it drops what a newer CLI has written beside.

func (p *Place) selectionPath() (string, error) {
	if err := p.NeedProject(); err != nil {
		return "", err
	}
	sum := sha1.Sum([]byte(p.File)) //nolint:gosec // not for security
	name := p.Project.Name.String() + "-" + hex.EncodeToString(sum[:]) + "-" + pkgworkspace.WorkspaceFile
	return workspace.GetPulumiPath(pkgworkspace.WorkspaceDir, name)
}

// selection is the file: what we know of it, and all fields as they are.
type selection struct {
	pkgworkspace.Settings
	fields map[string]json.RawMessage
}

func readSelection(path string) (*selection, error) {
	read := &selection{}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return read, nil
	}
	if err != nil {
		return nil, err
	}
	return read, errors.Join(json.Unmarshal(text, &read.fields), json.Unmarshal(text, &read.Settings))
}

// text is the file with our fields renewed; nothing when nothing is left to say.
func (s *selection) text() ([]byte, error) {
	ours, err := json.Marshal(s.Settings)
	if err != nil {
		return nil, err
	}
	all := map[string]json.RawMessage{}
	maps.Copy(all, s.fields)
	delete(all, "stack")
	delete(all, "stacks")
	if err := json.Unmarshal(ours, &all); err != nil || len(all) == 0 {
		return nil, err
	}
	return json.MarshalIndent(all, "", "    ")
}

// Selected is the name of the selected stack, or nothing.
func (p *Place) Selected() string {
	path, err := p.selectionPath()
	if err != nil {
		return ""
	}
	selected, err := readSelection(path)
	if err != nil {
		return ""
	}
	name, old := selected.StackForBackend(pkgstate.BackendURLKey(p.Backend()))
	if _, err := p.Backend().ParseStackReference(name); err != nil && old {
		// From before there was one for each backend: it may be another's.
		return ""
	}
	return name
}

// Select makes a stack the selected one; an empty name selects none.
func (p *Place) Select(name string) error {
	path, err := p.selectionPath()
	if err != nil {
		return err
	}
	release, err := edits.lock(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer release()
	selected, err := readSelection(path)
	if err != nil {
		// Nobody can read it, so nothing is lost.
		selected = &selection{}
	}
	selected.SetStackForBackend(pkgstate.BackendURLKey(p.Backend()), name)
	text, err := selected.text()
	if err != nil {
		return err
	}
	if text == nil {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path))
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(text)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
