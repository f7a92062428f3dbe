package place

import (
	"crypto/sha1" //nolint:gosec // the CLI names its files so
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	pkgworkspace "github.com/pulumi/pulumi/pkg/v3/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// selection is what the CLI keeps about a project. Its own reader is not used, because it reads once for
// a process's life.
type selection struct {
	Stack string `json:"stack,omitempty"`
}

func (p *Place) selectionPath() (string, error) {
	if err := p.NeedProject(); err != nil {
		return "", err
	}
	sum := sha1.Sum([]byte(p.File)) //nolint:gosec // not for security
	name := p.Project.Name.String() + "-" + hex.EncodeToString(sum[:]) + "-" + pkgworkspace.WorkspaceFile
	return workspace.GetPulumiPath(pkgworkspace.WorkspaceDir, name)
}

// Selected is the name of the selected stack, or nothing.
func (p *Place) Selected() string {
	path, err := p.selectionPath()
	if err != nil {
		return ""
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	var selected selection
	if json.Unmarshal(text, &selected) != nil {
		return ""
	}
	return selected.Stack
}

// Select makes a stack the selected one; an empty name selects none.
func (p *Place) Select(name string) error {
	path, err := p.selectionPath()
	if err != nil {
		return err
	}
	if name == "" {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	text, err := json.MarshalIndent(selection{name}, "", "    ")
	if err != nil {
		return err
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
