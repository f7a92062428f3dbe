package place

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"pilot/engine/host/protocol"
	"pilot/engine/host/run"
)

// project is a place in a folder, with its own storage.
func project(t *testing.T, directory string) *Place {
	t.Helper()
	asked := &run.Run{Stop: run.NewStop(), Stdout: t.Output(), Stderr: t.Output(), Run: protocol.Run{
		Place: protocol.Place{Directory: directory, Backend: "file://" + t.TempDir()},
	}}
	opened, err := NewStores(0).Open(asked)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func shop(t *testing.T) string {
	t.Setenv("PULUMI_HOME", t.TempDir())
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "Pulumi.yaml"), []byte("name: shop\nruntime: yaml\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return directory
}

// file is what is kept of the selection, nil when nothing is.
func file(t *testing.T, p *Place, write map[string]any) map[string]any {
	t.Helper()
	path, err := p.selectionPath()
	if err != nil {
		t.Fatal(err)
	}
	if write != nil {
		text, _ := json.Marshal(write)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var read map[string]any
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

func TestEachBackendOfAProjectHasItsOwnSelectedStack(t *testing.T) {
	directory := shop(t)
	one, other := project(t, directory), project(t, directory)
	for place, name := range map[*Place]string{one: "organization/shop/dev", other: "organization/shop/prod"} {
		if err := place.Select(name); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := one.Selected(), other.Selected(); a != "organization/shop/dev" || b != "organization/shop/prod" {
		t.Errorf("%q and %q are selected", a, b)
	}
	if err := one.Select(""); err != nil {
		t.Fatal(err)
	}
	if a, b := one.Selected(), other.Selected(); a != "" || b != "organization/shop/prod" {
		t.Errorf("%q and %q are selected", a, b)
	}
	if err := other.Select(""); err != nil || file(t, other, nil) != nil {
		t.Errorf("%v is left: %v", file(t, other, nil), err)
	}
}

func TestWhatANewerCLIKeepsBesideTheSelectionIsKept(t *testing.T) {
	place := project(t, shop(t))
	file(t, place, map[string]any{
		"stacks": map[string]any{"https://api.pulumi.com": "ada/shop/dev"}, "later": map[string]any{"deep": []any{1.5}},
	})
	if err := place.Select("organization/shop/dev"); err != nil {
		t.Fatal(err)
	}
	kept := file(t, place, nil)
	if stacks, _ := kept["stacks"].(map[string]any); len(stacks) != 2 || stacks["https://api.pulumi.com"] != "ada/shop/dev" {
		t.Errorf("%v", kept)
	}
	if err := place.Select(""); err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(file(t, place, nil))
	if want := `{"later":{"deep":[1.5]},"stacks":{"https://api.pulumi.com":"ada/shop/dev"}}`; string(text) != want {
		t.Errorf("%s", text)
	}
}

func TestASelectionOfAnOldCLIHoldsForABackendThatHasNone(t *testing.T) {
	place := project(t, shop(t))
	file(t, place, map[string]any{"stack": "organization/shop/old"})
	if name := place.Selected(); name != "organization/shop/old" {
		t.Errorf("%q", name)
	}
	file(t, place, map[string]any{"stack": "ada/shop/dev"})
	if name := place.Selected(); name != "" {
		t.Errorf("%q of a service is taken for one in a folder", name)
	}
}
