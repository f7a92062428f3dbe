package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pilot/engine/host/protocol"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
)

func TestAStackLivesFromInitToRemoval(t *testing.T) {
	w := newWorld(t, things(3))
	if said := w.must("stack", "init", "dev", "--no-select"); said.stdout != "" {
		t.Error(said.stdout)
	}
	if said := w.say("stack", "init", "dev", "--no-select"); said.kind() != protocol.StackExists {
		t.Errorf("%+v", said.ended)
	}
	first := w.must(up("dev")...)
	if len(first.events) < 8 || !strings.Contains(first.stdout, "Updating (dev):") {
		t.Errorf("%d events: %s", len(first.events), first.stdout)
	}
	if last := string(first.events[len(first.events)-1]); !strings.Contains(last, `"cancelEvent":{}`) {
		t.Errorf("the last event is %s", last)
	}
	if w.provider.created.Load() != 3 {
		t.Errorf("%d created", w.provider.created.Load())
	}
	if again := w.must(append(up("dev"), "--expect-no-changes")...); !strings.Contains(again.text, `"same":4`) {
		t.Error(again.text)
	}
	w.must("preview", "--stack=dev", "--expect-no-changes")
	w.must("refresh", "--yes", "--skip-preview", "--stack=dev")
	var exported struct {
		Version    int
		Deployment struct{ Resources []json.RawMessage }
	}
	if err := json.Unmarshal([]byte(w.must("stack", "export", "--stack", "dev").stdout), &exported); err != nil {
		t.Fatal(err)
	}
	if exported.Version < 3 || len(exported.Deployment.Resources) != 5 {
		t.Errorf("version %d, %d resources", exported.Version, len(exported.Deployment.Resources))
	}
	if said := w.say("stack", "rm", "--yes", "dev"); !strings.Contains(said.stderr, "still has resources") {
		t.Error(said.text)
	}
	w.must(destroy("dev")...)
	w.must("stack", "rm", "--yes", "dev")
	if said := w.say(up("dev")...); said.kind() != protocol.StackNotFound || said.ended.Code != 6 {
		t.Errorf("%+v", said.ended)
	}
	if _, err := os.Stat(filepath.Join(w.place.Directory, "Pulumi.dev.yaml")); !os.IsNotExist(err) {
		t.Error("the settings are still there")
	}
}

func TestConfigurationIsKeptAndSecretsAreEncrypted(t *testing.T) {
	w := newWorld(t, things(0))
	w.must("stack", "init", "dev", "--no-select")
	hush := "hush -- \"quoted\"\n"
	for _, args := range [][]string{{"--secret", "--", "token"}, {"--plaintext", "--", "plain"}} {
		run := w.request(w.place, &hush, append([]string{"config", "set", "--stack", "dev", "--raw"}, args...)...)
		if said := w.send(context.Background(), run); said.ended.Fault != nil {
			t.Fatalf("%+v", said.ended.Fault)
		}
	}
	w.must("config", "set", "--stack", "dev", "--path", "--", "outer.inner", "7")
	text, err := os.ReadFile(filepath.Join(w.place.Directory, "Pulumi.dev.yaml"))
	if err != nil || strings.Count(string(text), "hush") != 1 {
		t.Errorf("%v: %s", err, text)
	}
	var all map[string]struct {
		Value  *string
		Secret bool
	}
	read := func(args ...string) {
		said := w.must(append([]string{"config", "--json", "--stack", "dev"}, args...)...)
		if err := json.Unmarshal([]byte(said.stdout), &all); err != nil {
			t.Fatal(err)
		}
	}
	read()
	if all["shop:token"].Value != nil || !all["shop:token"].Secret || *all["shop:plain"].Value != hush {
		t.Errorf("%+v", all)
	}
	read("--show-secrets")
	if *all["shop:token"].Value != hush || *all["shop:outer"].Value != `{"inner":7}` {
		t.Errorf("%+v", all)
	}
	if value := w.entry(w.place, "dev", "plain"); value != hush {
		t.Errorf("%q", value)
	}
	w.must("config", "rm-all", "--stack", "dev", "--", "plain", "outer")
	if said := w.say("config", "get", "--json", "--stack", "dev", "--", "plain"); !strings.Contains(said.stderr,
		"configuration key 'plain' not found for stack 'dev'") {
		t.Error(said.text)
	}
	w.must(append(up("dev"), "--config=given=1")...)
	if value := w.entry(w.place, "dev", "given"); value != "1" {
		t.Error(value)
	}
}

func TestAWrongPassphraseStaysWrongAfterTheRightOne(t *testing.T) {
	w := newWorld(t, things(1))
	write := func(text string) protocol.Passphrase {
		path := filepath.Join(t.TempDir(), "passphrase")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return protocol.Passphrase{Kind: protocol.PassphraseFile, Path: path}
	}
	right, wrong, absent := w.place, w.place, w.place
	right.Passphrase, wrong.Passphrase = write("right\n"), write("wrong")
	absent.Passphrase.Kind = protocol.PassphraseAbsent
	w.place = right
	w.must("stack", "init", "dev", "--no-select")
	w.must("config", "set", "--stack", "dev", "--secret", "token", "hush")
	w.must(up("dev")...)
	for _, try := range []struct {
		at    protocol.Place
		words string
	}{{wrong, "incorrect passphrase"}, {absent, "passphrase must be set"}} {
		w.place = try.at
		for _, args := range [][]string{up("dev"), {"config", "get", "--stack", "dev", "token"}, destroy("dev")} {
			said := w.say(args...)
			if said.kind() != protocol.Secrets || !strings.Contains(said.ended.Fault.Message, try.words) {
				t.Errorf("%v: %s", args, said.text)
			}
		}
	}
	w.place = right
	if err := os.Remove(filepath.Join(right.Directory, "Pulumi.dev.yaml")); err != nil {
		t.Fatal(err)
	}
	w.place = wrong
	if said := w.say(up("dev")...); said.kind() != protocol.Secrets {
		t.Errorf("a lost settings file: %s", said.text)
	}
	w.place = right
	w.must(destroy("dev")...)
}

func TestPlacesWithDifferentPassphrasesDoNotMix(t *testing.T) {
	w := newWorld(t, things(1))
	var places []protocol.Place
	for _, phrase := range []string{"one", "two"} {
		at := w.newPlace("shop")
		path := filepath.Join(at.Directory, "phrase")
		if err := os.WriteFile(path, []byte(phrase), 0o600); err != nil {
			t.Fatal(err)
		}
		at.Passphrase = protocol.Passphrase{Kind: protocol.PassphraseFile, Path: path}
		places = append(places, at)
	}
	var all sync.WaitGroup
	for _, at := range places {
		all.Go(func() {
			for _, args := range [][]string{
				{"stack", "init", "dev", "--no-select"}, {"config", "set", "--stack", "dev", "--secret", "token", at.Directory},
				up("dev"),
			} {
				if said := w.send(context.Background(), w.request(at, nil, args...)); said.ended.Fault != nil {
					t.Errorf("%v: %s", args, said.text)
				}
			}
			if value := w.entry(at, "dev", "token"); value != at.Directory {
				t.Error(value)
			}
		})
	}
	all.Wait()
}

func TestACancelledCreateEndsInOrderAndFreesTheStack(t *testing.T) {
	w := newWorld(t, things(1))
	begun, finish := make(chan struct{}, 1), make(chan struct{})
	w.provider.creating = func(context.Context) {
		begun <- struct{}{}
		<-finish
	}
	w.must("stack", "init", "dev", "--no-select")
	run := w.request(w.place, nil, up("dev")...)
	said := make(chan answer)
	go func() { said <- w.send(context.Background(), run) }()
	<-begun
	if other := w.say(up("dev")...); other.kind() != protocol.ConcurrentUpdate || other.ended.Fault.Owner == "" {
		t.Errorf("%+v", other.ended)
	}
	if !w.cancel(run.ID, false) || w.cancel("nobody", false) {
		t.Error("known")
	}
	close(finish)
	if ended := <-said; ended.kind() != protocol.Canceled || ended.ended.Code != 8 {
		t.Error(ended.text)
	}
	w.provider.creating = nil
	w.must(up("dev")...)
	if w.provider.created.Load() != 1 {
		t.Error("what was created in order was created again")
	}
}

func TestAForcedCancelDoesNotWaitForTheProvider(t *testing.T) {
	w := newWorld(t, things(1))
	begun, finish := make(chan struct{}, 1), make(chan struct{})
	t.Cleanup(func() { close(finish) })
	w.provider.creating = func(context.Context) {
		begun <- struct{}{}
		<-finish
	}
	w.must("stack", "init", "dev", "--no-select")
	run := w.request(w.place, nil, up("dev")...)
	said := make(chan answer)
	go func() { said <- w.send(context.Background(), run) }()
	<-begun
	w.cancel(run.ID, false)
	w.cancel(run.ID, false)
	select {
	case ended := <-said:
		if ended.kind() != protocol.Canceled {
			t.Error(ended.text)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits")
	}
	if other := w.say("stack", "rm", "--yes", "--force", "dev"); other.ended.Fault != nil {
		t.Error(other.text)
	}
}

// untilCancelled makes a create take until the engine says that the run is to end; what it gives tells of the begin.
func (w *world) untilCancelled() <-chan struct{} {
	begun, told := make(chan struct{}, 1), make(chan struct{}, 1)
	w.provider.cancelling = func() {
		select {
		case told <- struct{}{}:
		default:
		}
	}
	w.provider.creating = func(ctx context.Context) {
		begun <- struct{}{}
		select {
		case <-told:
		case <-ctx.Done():
		}
	}
	return begun
}

func TestACommandCancelsTheRunOfItsStack(t *testing.T) {
	w := newWorld(t, things(1))
	begun := w.untilCancelled()
	w.must("stack", "init", "dev", "--no-select")
	said := make(chan answer)
	go func() { said <- w.say(up("dev")...) }()
	<-begun
	w.must("cancel", "--yes", "--stack", "dev")
	if ended := <-said; ended.kind() != protocol.Canceled {
		t.Error(ended.text)
	}
}

func TestAClientThatGoesCancelsItsRun(t *testing.T) {
	w := newWorld(t, things(1))
	begun := w.untilCancelled()
	w.must("stack", "init", "dev", "--no-select")
	ctx, leave := context.WithCancel(context.Background())
	go func() {
		<-begun
		leave()
	}()
	body, _ := json.Marshal(w.request(w.place, nil, up("dev")...))
	w.post(ctx, body)
	w.provider.creating = nil
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if w.say(up("dev")...).ended.Fault == nil {
			return
		}
	}
	t.Error("the stack is never free")
}

func TestOneRunsSecretsDoNotBlindAnothers(t *testing.T) {
	w := newWorld(t, func(ctx *pulumi.Context) error {
		if token := config.Get(ctx, "token"); token != "" {
			return errors.New("it says " + token)
		}
		ctx.Export("url", pulumi.String("http://shop.example"))
		return nil
	})
	w.must("stack", "init", "one", "--no-select")
	w.must("stack", "init", "two", "--no-select")
	w.must("config", "set", "--stack", "one", "--secret", "token", "shop.example")
	said := w.say(up("one")...)
	if strings.Contains(said.text, "shop.example") || !strings.Contains(said.text, "it says [secret]") {
		t.Errorf("a secret is shown: %s", said.text)
	}
	if said := w.must(up("two")...); !strings.Contains(said.text, "http://shop.example") {
		t.Errorf("another's secret is blinded: %s", said.text)
	}
}

func TestRunsGetTheProviderOfTheirOwnPlace(t *testing.T) {
	w := newWorld(t, things(1))
	var all sync.WaitGroup
	for _, name := range []string{"one", "two"} {
		other := &provider{}
		at := w.newPlace(name)
		at.Attached = map[string]uint16{"pilot": w.serveProvider(other)}
		all.Go(func() {
			w.send(context.Background(), w.request(at, nil, "stack", "init", "dev"))
			w.send(context.Background(), w.request(at, nil, up("dev")...))
			if other.created.Load() != 1 {
				t.Errorf("%s: %d created", name, other.created.Load())
			}
		})
	}
	all.Wait()
	if w.provider.created.Load() != 0 {
		t.Error("another's provider created")
	}
}

func TestWhatTheHostDoesNotHaveIsTheCLIsBeforeAnythingHappens(t *testing.T) {
	w := newWorld(t, things(0))
	w.must("stack", "init", "dev", "--no-select")
	before := w.must("stack", "export", "--stack", "dev").stdout
	for words, message := range map[string]string{
		"frob":                                   "`frob` is not a command",
		"stack frob":                             "`stack frob` is not a command",
		"plugin ls":                              "`plugin` is not a command",
		"config env ls":                          "`config env` is not a command",
		"up --frob --stack dev":                  "`up` has no option \"frob\"",
		"up --remote --stack dev":                "`up` has no option \"remote\"",
		"up --disable-integrity-checking":        "`up` has no option \"disable-integrity-checking\"",
		"up --verbose=3":                         "`up` has no option \"verbose\"",
		"preview --json --stack dev":             "`preview` has no option \"json\"",
		"preview --import-file=x --stack dev":    "`preview` has no option \"import-file\"",
		"stack init --copy-config-from=dev new":  "`stack init` has no option \"copy-config-from\"",
		"stack export --file=x --stack dev":      "`stack export` has no option \"file\"",
		"config --stack dev":                     "`config` answers in JSON",
		"config set --type=int --stack dev -- a": "`config set` has no option \"type\"",
	} {
		said := w.say(strings.Fields(words)...)
		if said.kind() != protocol.NeedsCLI || !strings.Contains(said.ended.Fault.Message, message) {
			t.Errorf("%s: %s", words, said.text)
		}
	}
	if after := w.must("stack", "export", "--stack", "dev").stdout; after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

func TestWhatDoesNotFitTogetherIsInvalid(t *testing.T) {
	w := newWorld(t, things(0))
	for words, message := range map[string]string{
		"up --parallel=x":                        "the options of `up`",
		"up more":                                "`up` takes no arguments",
		"stack rm --yes --stack=a b":             "`stack rm` takes 0 arguments, and was given 1",
		"stack rename --stack=a":                 "`stack rename` takes 1 arguments, and was given 0",
		"preview --target=a --exclude=b":         "only one of target and exclude",
		"destroy --target=a --exclude-protected": "only one of target and exclude-protected",
		"up --color=pink":                        "unsupported color option",
	} {
		said := w.say(strings.Fields(words)...)
		if said.kind() != protocol.Invalid || !strings.Contains(said.ended.Fault.Message, message) {
			t.Errorf("%s: %s", words, said.text)
		}
	}
}
