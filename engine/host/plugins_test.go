package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func TestAPluginGetsTheTokenOfItsRunAndNothingOfOthers(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	t.Setenv("PULUMI_ACCESS_TOKEN", "of-the-process")
	// It tells what it has got, and serves nothing.
	told := filepath.Join(folder, "told")
	script := "#!/bin/sh\nenv > " + told + "\nexit 1\n"
	if err := os.WriteFile(filepath.Join(folder, "pulumi-resource-teller"), []byte(script), 0o700); err != nil { //nolint:gosec // it runs
		t.Fatal(err)
	}
	w := newWorld(t, func(ctx *pulumi.Context) error {
		var made struct{ pulumi.CustomResourceState }
		return ctx.RegisterResource("teller:index:Thing", "one", pulumi.Map{}, &made)
	})
	w.place.AccessToken = "of-this-run"
	w.must("stack", "init", "dev", "--no-select")
	w.say(up("dev")...)
	text, err := os.ReadFile(told)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		got[name] = value
	}
	if got["PULUMI_ACCESS_TOKEN"] != "of-this-run" || got["PULUMI_BACKEND_URL"] != w.place.Backend {
		t.Errorf("its token is %q, its backend %q", got["PULUMI_ACCESS_TOKEN"], got["PULUMI_BACKEND_URL"])
	}
	for _, name := range []string{"PULUMI_CREDENTIALS_PATH", "PULUMI_DEV", "PULUMI_GOROUTINE_PANIC_RECOVERY"} {
		if value, there := got[name]; there {
			t.Errorf("it has got %s=%s", name, value)
		}
	}
}
