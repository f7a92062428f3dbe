package secret

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"pilot/engine/host/protocol"
)

func TestAPassphraseFileThatCannotBeReadIsNamedAndIsNoPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone")
	opener := Opener{from: protocol.Passphrase{Kind: protocol.PassphraseFile, Path: path}}
	_, err := opener.phrase()
	if !errors.Is(err, ErrAbsent) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	if strings.Contains(err.Error(), "must be set") {
		t.Errorf("it was set: %v", err)
	}
}
