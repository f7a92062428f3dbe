package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// bucket starts a server of S3's protocol, and gives the URL of a bucket in it.
func bucket(t *testing.T) string {
	t.Helper()
	for name, value := range map[string]string{
		// CLIs before 3.256 send checksums. This server keeps the one of an object that is replaced by one without,
		// which then the stock CLIs of both ages refuse to read from each other.
		"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
		"AWS_ACCESS_KEY_ID":                "of-the-test", "AWS_SECRET_ACCESS_KEY": "of-the-test", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	kept := s3mem.New()
	server := httptest.NewServer(gofakes3.New(kept, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	t.Cleanup(server.Close)
	if err := kept.CreateBucket("states"); err != nil {
		t.Fatal(err)
	}
	return "s3://states?region=us-east-1&s3ForcePathStyle=true&endpoint=" + server.URL
}

// clis are the CLIs that there are: PILOT_TEST_PULUMI, and those that PILOT_TEST_OLDER_PULUMI lists as PATH does.
// `cargo xtask tools --older` builds the older ones of automation/versions.json, once for a machine, and
// `cargo xtask test` names those that were built.
func clis(t *testing.T) map[string]string {
	t.Helper()
	newest := os.Getenv("PILOT_TEST_PULUMI")
	if newest == "" {
		t.Skip("PILOT_TEST_PULUMI does not name a CLI")
	}
	found := map[string]string{}
	for _, path := range append(filepath.SplitList(os.Getenv("PILOT_TEST_OLDER_PULUMI")), newest) {
		version, err := exec.Command(path, "version").Output()
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		found[strings.TrimSpace(string(version))] = path
	}
	return found
}

func TestEveryCLIAndTheHostWriteOneStackInTurnsAndLoseNothing(t *testing.T) {
	for version, path := range clis(t) {
		for kind, open := range map[string]func(*testing.T) string{
			"folder": func(t *testing.T) string { return "file://" + t.TempDir() }, "bucket": bucket,
		} {
			t.Run(version+" in a "+kind, func(t *testing.T) {
				backend := open(t)
				w := newWorld(t, things(0))
				w.place.Backend = backend
				takeTurns(t, w, path)
			})
		}
	}
}

func takeTurns(t *testing.T, w *world, path string) {
	w.cliAt(path, "stack", "init", "dev", "--no-select")
	w.must("config", "set", "--stack", "dev", "--secret", "ours", "hush")
	w.cliAt(path, "config", "set", "--stack", "dev", "--secret", "theirs", "quiet")
	const turns = 6
	for turn := range turns {
		made := turn + 1
		w.program = w.serveProgram(things(made))
		if turn%2 == 0 {
			w.must(up("dev")...)
		} else {
			w.cliAt(path, "up", "--yes", "--skip-preview", "--stack", "dev", "--client="+w.program)
		}
		for who, say := range map[string]func(...string) string{
			"the host": func(args ...string) string { return w.must(args...).stdout },
			"the CLI":  func(args ...string) string { return w.cliAt(path, args...) },
		} {
			exported := say("stack", "export", "--stack", "dev")
			if found := names(t, exported); len(found) != made {
				t.Errorf("after turn %d %s knows %v", turn, who, found)
			}
			history := say("stack", "history", "--json", "--page-size=0", "--stack", "dev")
			if entries := strings.Count(history, `"kind"`); entries != made {
				t.Errorf("after turn %d %s tells %d changes", turn, who, entries)
			}
		}
	}
	for key, value := range map[string]string{"ours": "hush", "theirs": "quiet"} {
		theirs, ours := w.cliAt(path, "config", "get", "--stack", "dev", key), w.entry(w.place, "dev", key)
		if strings.TrimSpace(theirs) != value || ours != value {
			t.Errorf("%s is %q to the CLI and %q to the host", key, theirs, ours)
		}
	}
	w.cliAt(path, "up", "--yes", "--skip-preview", "--stack", "dev", "--expect-no-changes", "--client="+w.program)
	w.must(append(up("dev"), "--expect-no-changes")...)
	w.cliAt(path, "destroy", "--yes", "--skip-preview", "--stack", "dev")
	if found := names(t, w.must("stack", "export", "--stack", "dev").stdout); len(found) != 0 {
		t.Errorf("%v are left", found)
	}
	w.must("stack", "rm", "--yes", "dev")
}

// names are the resources of a state that the provider made.
func names(t *testing.T, exported string) []string {
	t.Helper()
	var read struct {
		Deployment struct {
			Resources []struct{ URN, Type string }
		}
	}
	if err := json.Unmarshal([]byte(exported), &read); err != nil {
		t.Fatal(fmt.Errorf("%w in %s", err, exported))
	}
	var found []string
	for _, resource := range read.Deployment.Resources {
		if resource.Type == "pilot:index:Thing" {
			found = append(found, resource.URN)
		}
	}
	return found
}
