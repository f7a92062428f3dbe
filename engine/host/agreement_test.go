package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"pilot/engine/host/protocol"
)

// cli runs the CLI that PILOT_TEST_PULUMI names in the world's place.
func (w *world) cli(args ...string) string {
	w.Helper()
	path := os.Getenv("PILOT_TEST_PULUMI")
	if path == "" {
		w.Skip("PILOT_TEST_PULUMI does not name a CLI")
	}
	return w.cliAt(path, args...)
}

// cliAt runs another CLI there.
func (w *world) cliAt(path string, args ...string) string {
	w.Helper()
	command := exec.Command(path, args...)
	command.Dir = w.place.Directory
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("PULUMI_HOME"), "PULUMI_HOME=" + os.Getenv("PULUMI_HOME"),
		"PULUMI_BACKEND_URL=" + w.place.Backend, "PULUMI_CONFIG_PASSPHRASE=", "PULUMI_SKIP_UPDATE_CHECK=true",
		"NO_COLOR=1", fmt.Sprintf("PULUMI_DEBUG_PROVIDERS=pilot:%d", w.port),
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true", "PULUMI_DEBUG_COMMANDS=true",
	}
	for _, pair := range os.Environ() {
		// What opens a bucket.
		if strings.HasPrefix(pair, "AWS_") {
			command.Env = append(command.Env, pair)
		}
	}
	said, err := command.Output()
	if err != nil {
		text := ""
		if failed, is := err.(*exec.ExitError); is {
			text = string(failed.Stderr)
		}
		w.Fatalf("%v: %v\n%s%s", args, err, said, text)
	}
	return string(said)
}

func TestTheCLIAgreesAboutWhatTheHostMade(t *testing.T) {
	w := newWorld(t, things(3))
	w.must("stack", "init", "dev", "--no-select")
	w.must("config", "set", "--stack", "dev", "--secret", "token", "hush")
	w.must(up("dev")...)
	for _, args := range [][]string{
		{"stack", "ls", "--json"}, {"stack", "export", "--stack", "dev"},
		{"stack", "export", "--show-secrets", "--stack", "dev"}, {"config", "--json", "--stack", "dev"},
		{"config", "--json", "--show-secrets", "--stack", "dev"}, {"config", "get", "--json", "--stack", "dev", "token"},
		{"stack", "history", "--json", "--page-size=0", "--stack", "dev"}, {"whoami", "--json"},
	} {
		// What a program reads: the CLI breaks the lines for people.
		var theirs, ours any
		if err := json.Unmarshal([]byte(w.cli(args...)), &theirs); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(w.must(args...).stdout), &ours); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(theirs, ours) {
			t.Errorf("%v: the CLI says\n%v\nand the host\n%v", args, theirs, ours)
		}
	}
	w.cli("preview", "--stack", "dev", "--expect-no-changes", "--client="+w.program)
	w.cli("up", "--yes", "--skip-preview", "--stack", "dev", "--expect-no-changes", "--client="+w.program)
	w.must(append(up("dev"), "--expect-no-changes")...)
	w.cli("destroy", "--yes", "--skip-preview", "--stack", "dev")
	w.must("stack", "rm", "--yes", "dev")
	// And the other way around.
	w.cli("stack", "init", "theirs", "--no-select")
	w.cli("up", "--yes", "--skip-preview", "--stack", "theirs", "--client="+w.program)
	w.must(append(up("theirs"), "--expect-no-changes")...)
}

func TestTheEventsAreThoseOfTheCLI(t *testing.T) {
	w := newWorld(t, things(2))
	w.must("stack", "init", "dev", "--no-select")
	w.cli("stack", "init", "theirs", "--no-select")
	for _, words := range [][]string{
		{"preview"}, {"up", "--yes", "--skip-preview"}, {"up", "--yes", "--skip-preview"},
		{"refresh", "--preview-only"}, {"refresh", "--yes", "--skip-preview"}, {"destroy", "--yes", "--skip-preview"},
	} {
		log := w.TempDir() + "/events"
		theirs := append(append([]string{}, words...), "--stack=theirs", "--event-log="+log)
		if words[0] != "refresh" && words[0] != "destroy" {
			theirs = append(theirs, "--client="+w.program)
		}
		w.cli(theirs...)
		ours := w.must(append(append([]string{}, words...), "--stack=dev")...)
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		var expected []string
		for _, line := range splitLines(text) {
			expected = append(expected, shape(t, line))
		}
		var found []string
		for _, event := range ours.events {
			found = append(found, shape(t, event))
		}
		// Resources run side by side, so that the order between them is chance.
		if !reflect.DeepEqual(counts(expected), counts(found)) {
			t.Errorf("%v: the CLI tells\n%v\nand the host\n%v", words, expected, found)
		}
	}
}

func BenchmarkUpOfAnUnchangedStack(b *testing.B) {
	w := newWorld(b, things(3))
	w.must("stack", "init", "dev", "--no-select")
	w.must(up("dev")...)
	for b.Loop() {
		w.must(up("dev")...)
	}
}

func BenchmarkPreviewOfAnUnchangedStack(b *testing.B) {
	w := newWorld(b, things(3))
	w.must("stack", "init", "dev", "--no-select")
	w.must(up("dev")...)
	for b.Loop() {
		w.must("preview", "--stack=dev")
	}
}

func BenchmarkAStacksLife(b *testing.B) {
	w := newWorld(b, things(3))
	w.must("stack", "init", "warm", "--no-select")
	at := 0
	for b.Loop() {
		at++
		name := fmt.Sprintf("s%d", at)
		w.must("stack", "init", name, "--no-select")
		w.must(up(name)...)
		w.must(destroy(name)...)
		w.must("stack", "rm", "--yes", name)
	}
}

func BenchmarkConfigGet(b *testing.B) {
	w := newWorld(b, things(0))
	w.must("stack", "init", "dev", "--no-select")
	w.must("config", "set", "--stack", "dev", "--secret", "token", "hush")
	run := func() protocol.Ended {
		return w.send(context.Background(), w.request(w.place, nil, "config", "get", "--stack", "dev", "token")).ended
	}
	for b.Loop() {
		if run().Fault != nil {
			b.Fatal("it fails")
		}
	}
}

// shape leaves out of an event what differs from run to run.
func shape(t *testing.T, text json.RawMessage) string {
	t.Helper()
	var event map[string]any
	if err := json.Unmarshal(text, &event); err != nil {
		t.Fatal(err)
	}
	delete(event, "sequence")
	delete(event, "timestamp")
	if summary, is := event["summaryEvent"].(map[string]any); is {
		delete(summary, "durationSeconds")
	}
	written, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(written, []byte("pulumi:theirs:"), []byte("pulumi:dev:"))
	text = bytes.ReplaceAll(text, []byte("shop-theirs"), []byte("shop-dev"))
	return ids.ReplaceAllString(string(text), "ID")
}

// ids are those of providers, which the engine makes up.
var ids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func counts(of []string) map[string]int {
	counted := map[string]int{}
	for _, one := range of {
		counted[one]++
	}
	return counted
}

func splitLines(text []byte) []json.RawMessage {
	var lines []json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(text))
	for decoder.More() {
		var line json.RawMessage
		if decoder.Decode(&line) != nil {
			break
		}
		lines = append(lines, line)
	}
	return lines
}
