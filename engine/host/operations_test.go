package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pilot/engine/host/protocol"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func TestTheWholeHistoryIsKeptUnlessANumberIsGiven(t *testing.T) {
	w := newWorld(t, things(0))
	w.must("stack", "init", "dev", "--no-select")
	const updates = 25
	for range updates {
		w.must(up("dev")...)
	}
	said := w.must("stack", "history", "--stack=dev", "--json", "--page-size=100")
	if kept := strings.Count(said.stdout, `"kind"`); kept != updates {
		t.Errorf("%d entries of %d are left", kept, updates)
	}
}

func TestStacksInTheLayoutWithoutProjectsAreRefusedWithWhatToDo(t *testing.T) {
	w := newWorld(t, things(0))
	old := filepath.Join(strings.TrimPrefix(w.place.Backend, "file://"), ".pulumi", "stacks")
	if err := os.MkdirAll(old, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, "dev.json"), []byte(`{"version": 3, "checkpoint": {}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"stack", "ls", "--json"}, up("dev")} {
		said := w.say(args...)
		if said.kind() != protocol.Invalid || !strings.Contains(said.ended.Fault.Message, "pulumi state upgrade") {
			t.Errorf("%v: %+v", args, said.ended.Fault)
		}
	}
}

func TestAPlanBindsTheChange(t *testing.T) {
	w := newWorld(t, things(1))
	w.must("stack", "init", "dev", "--no-select")
	plan := filepath.Join(w.place.Directory, "plan.json")
	w.must("preview", "--stack=dev", "--save-plan="+plan)
	w.program = w.serveProgram(things(2))
	if said := w.say(append(up("dev"), "--plan="+plan)...); said.kind() != protocol.Failed {
		t.Error(said.text)
	}
	w.program = w.serveProgram(things(1))
	w.must(append(up("dev"), "--plan="+plan)...)
}

func TestDestroyRemovesTheStackOnRequest(t *testing.T) {
	w := newWorld(t, things(1))
	w.must("stack", "init", "dev", "--no-select")
	w.must("config", "set", "--stack=dev", "a", "b")
	w.must(up("dev")...)
	w.must("destroy", "--preview-only", "--stack=dev")
	w.must(append(destroy("dev"), "--remove")...)
	if said := w.must("stack", "ls", "--json"); said.stdout != "[]\n" {
		t.Error(said.stdout)
	}
}

func TestProtectedResourcesAreSpared(t *testing.T) {
	w := newWorld(t, func(ctx *pulumi.Context) error {
		var made struct{ pulumi.CustomResourceState }
		if err := ctx.RegisterResource("pilot:index:Thing", "kept", pulumi.Map{}, &made, pulumi.Protect(true)); err != nil {
			return err
		}
		var other struct{ pulumi.CustomResourceState }
		return ctx.RegisterResource("pilot:index:Thing", "gone", pulumi.Map{}, &other)
	})
	w.must("stack", "init", "dev", "--no-select")
	w.must(up("dev")...)
	w.must(append(destroy("dev"), "--exclude-protected")...)
	exported := w.must("stack", "export", "--stack=dev").stdout
	if !strings.Contains(exported, "::kept") || strings.Contains(exported, "::gone") {
		t.Error(exported)
	}
}

func TestChangesThatNobodyExpectsAreAFault(t *testing.T) {
	w := newWorld(t, things(1))
	w.must("stack", "init", "dev", "--no-select")
	if said := w.say("preview", "--stack=dev", "--expect-no-changes"); said.kind() != protocol.NoChangesExpected ||
		said.ended.Code != 7 {
		t.Errorf("%+v", said.ended)
	}
}

func TestAStateIsExportedAndImported(t *testing.T) {
	w := newWorld(t, things(2))
	w.must("stack", "init", "dev", "--no-select")
	w.must(up("dev")...)
	exported := w.must("stack", "export", "--stack=dev").stdout
	w.must(destroy("dev")...)
	give := func(stack, text string) answer {
		return w.send(context.Background(), w.request(w.place, &text, "stack", "import", "--stack", stack))
	}
	if said := give("dev", exported); said.ended.Fault != nil {
		t.Error(said.text)
	}
	w.must("preview", "--stack=dev", "--expect-no-changes")
	w.must("stack", "init", "other", "--no-select")
	if said := give("other", exported); !strings.Contains(said.stderr, "from a different stack") {
		t.Error(said.text)
	}
	if said := give("dev", "not JSON"); said.kind() != protocol.Invalid {
		t.Error(said.text)
	}
}

func TestAStackIsRenamedWithItsSettings(t *testing.T) {
	w := newWorld(t, things(1))
	w.must("stack", "init", "dev")
	w.must("config", "set", "--stack=dev", "--secret", "token", "hush")
	w.must(up("dev")...)
	w.must("stack", "rename", "--stack", "dev", "--", "-prod")
	w.must("preview", "--stack=-prod")
	if value := w.entry(w.place, "-prod", "token"); value != "hush" {
		t.Error(value)
	}
	if said := w.must("stack", "ls", "--json"); !strings.Contains(said.stdout, `"current":true`) {
		t.Error(said.stdout)
	}
}

func TestANewPassphraseReplacesTheOldOne(t *testing.T) {
	w := newWorld(t, things(1))
	w.must("stack", "init", "dev", "--no-select")
	w.must("config", "set", "--stack", "dev", "--secret", "token", "hush")
	w.must(up("dev")...)
	phrase := "new one\n"
	run := w.request(w.place, &phrase, "stack", "change-secrets-provider", "--stack", "dev", "--", "passphrase")
	if said := w.send(context.Background(), run); said.ended.Fault != nil {
		t.Fatal(said.text)
	}
	if said := w.say("config", "get", "--json", "--stack", "dev", "token"); said.kind() != protocol.Secrets {
		t.Error(said.text)
	}
	path := filepath.Join(w.place.Directory, "phrase")
	if err := os.WriteFile(path, []byte(phrase), 0o600); err != nil {
		t.Fatal(err)
	}
	w.place.Passphrase = protocol.Passphrase{Kind: protocol.PassphraseFile, Path: path}
	if value := w.entry(w.place, "dev", "token"); value != "hush" {
		t.Error(value)
	}
	w.must(append(up("dev"), "--expect-no-changes")...)
	w.must("stack", "history", "--json", "--stack", "dev", "--show-secrets")
	w.must("recover", "--stack=dev")
}

func TestNamesThatAreOtherFoldersAreRefused(t *testing.T) {
	w := newWorld(t, things(0))
	for _, name := range []string{".", ".."} {
		if said := w.say("stack", "init", "--no-select", "--stack="+name); said.kind() != protocol.Invalid {
			t.Errorf("%q: %s", name, said.text)
		}
	}
}

func TestARenameWritesOverNothing(t *testing.T) {
	w := newWorld(t, things(0))
	w.must("stack", "init", "dev", "--no-select")
	w.must("config", "set", "--stack=dev", "--", "a", "b")
	if said := w.say("stack", "rename", "--stack=dev", "--", "organization/shop/dev"); said.kind() != protocol.StackExists {
		t.Error(said.text)
	}
	other := filepath.Join(w.place.Directory, "Pulumi.new.yaml")
	if err := os.WriteFile(other, []byte("config: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := w.say("stack", "rename", "--stack=dev", "--", "new"); said.kind() != protocol.Invalid {
		t.Error(said.text)
	}
	if text, err := os.ReadFile(other); err != nil || string(text) != "config: {}\n" {
		t.Errorf("%s, %v", text, err)
	}
	if value := w.entry(w.place, "dev", "a"); value != "b" {
		t.Errorf("%q", value)
	}
}

func TestARelativeFolderIsThatOfTheRun(t *testing.T) {
	w := newWorld(t, things(1))
	w.place.Backend = "file://states?metadata=skip"
	w.place.Directory = filepath.Join(w.place.Directory, "50% off")
	if err := os.MkdirAll(filepath.Join(w.place.Directory, "states"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.place.Directory, "Pulumi.yaml"), []byte("name: shop\nruntime: yaml\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.must("stack", "init", "dev", "--no-select")
	w.must(up("dev")...)
	if !strings.Contains(w.must("stack", "export", "--stack=dev").stdout, "pilot:index:Thing") {
		t.Error("what was made is not in the state")
	}
	if _, err := os.Stat(filepath.Join(w.place.Directory, "states/.pulumi/stacks/shop/dev.json")); err != nil {
		t.Error(err)
	}
}

func TestAStateInPlainTextWithoutASecretsProviderIsEncryptedWithTheStacksOwn(t *testing.T) {
	w := newWorld(t, func(ctx *pulumi.Context) error {
		ctx.Export("pin", pulumi.ToSecret(pulumi.String("hush")))
		return nil
	})
	w.must("stack", "init", "dev", "--no-select")
	w.must(up("dev")...)
	var exported map[string]any
	shown := w.must("stack", "export", "--show-secrets", "--stack=dev").stdout
	if err := json.Unmarshal([]byte(shown), &exported); err != nil || !strings.Contains(shown, "hush") {
		t.Fatal(err, shown)
	}
	delete(exported["deployment"].(map[string]any), "secrets_providers")
	text, err := json.Marshal(exported)
	if err != nil {
		t.Fatal(err)
	}
	given := string(text)
	run := w.request(w.place, &given, "stack", "import", "--stack=dev")
	if said := w.send(context.Background(), run); said.ended.Fault != nil {
		t.Fatal(said.text)
	}
	if kept := w.must("stack", "export", "--stack=dev").stdout; strings.Contains(kept, "hush") {
		t.Error(kept)
	}
	w.must(append(up("dev"), "--expect-no-changes")...)
}

func TestConfigurationThatItsFileWouldNotKeepIsRefused(t *testing.T) {
	w := newWorld(t, things(0))
	w.must("stack", "init", "dev", "--no-select")
	set := func(text string, how string) answer {
		return w.send(context.Background(), w.request(w.place, &text, "config", "set", "--stack=dev", how, "--", "k"))
	}
	for _, text := range []string{"\n x\n", "\n", "a\nb\n", " \n", "\r\n", "\tx", "# no comment", "'", "\u2028", "\u0085", "~", "0x1f"} {
		said := set(text, "--plaintext")
		if said.kind() == protocol.Invalid {
			if !strings.HasPrefix(text, "\n") {
				t.Errorf("%q: %s", text, said.text)
			}
			continue
		}
		if value := w.entry(w.place, "dev", "k"); value != text {
			t.Errorf("%q became %q", text, value)
		}
	}
	if said := set("\n x\n", "--secret"); said.ended.Fault != nil || w.entry(w.place, "dev", "k") != "\n x\n" {
		t.Error(said.text)
	}
}

func TestNumbersInConfigurationKeepTheirDigits(t *testing.T) {
	w := newWorld(t, things(0))
	w.must("stack", "init", "dev", "--no-select")
	w.must("config", "set", "--stack=dev", "--path", "--", "a.b", "9007199254740993")
	if said := w.must("config", "get", "--json", "--stack=dev", "--", "a"); !strings.Contains(said.stdout, `{"b":9007199254740993}`) {
		t.Error(said.stdout)
	}
}
