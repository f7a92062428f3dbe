package state

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The test needs the plain CLI: PILOT_TEST_PULUMI is its path.
func TestThePlainCLIReadsRenamesAndRemovesWhatWeWrote(t *testing.T) {
	program := os.Getenv("PILOT_TEST_PULUMI")
	if program == "" {
		t.Skip("PILOT_TEST_PULUMI is not set")
	}
	b := newBench(t)
	b.up("a", "b")
	b.up("c")
	work := t.TempDir()
	b.must(os.WriteFile(work+"/Pulumi.yaml", []byte("name: shop\nruntime: yaml\n"), 0o600))
	pulumi := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(program, append(args, "--non-interactive")...)
		cmd.Dir = work
		cmd.Env = append(os.Environ(), "PULUMI_BACKEND_URL="+fileScheme+b.dir, "PULUMI_HOME="+t.TempDir(),
			"PULUMI_SKIP_UPDATE_CHECK=true", "PULUMI_CONFIG_PASSPHRASE=x")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("pulumi %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if list := pulumi("stack", "ls", "--json"); strings.Count(list, `"name"`) != 1 || !strings.Contains(list, `"resourceCount": 3`) {
		t.Fatalf("it lists %s", list)
	}
	if history := pulumi("stack", "history", "-s", "dev", "--json"); strings.Count(history, `"kind"`) != 2 {
		t.Fatalf("the history is %s", history)
	}
	if exported := pulumi("stack", "export", "-s", "dev"); !strings.Contains(exported, string(urnOf("c"))) {
		t.Fatalf("it exports %s", exported)
	}
	pulumi("stack", "rename", "-s", "dev", "organization/shop/prod")
	pulumi("stack", "rename", "-s", "prod", "organization/shop/dev")
	_, err := b.store.Check(b.ctx, b.ref)
	b.must(err)
	b.wantURNs(ids("c", "a", "b")...)
	pulumi("stack", "rm", "-s", "dev", "--yes", "--force")
	_, err = b.store.Check(b.ctx, b.ref)
	b.must(err)
	if list := pulumi("stack", "ls", "--json"); strings.Contains(list, `"name"`) {
		t.Fatalf("after the removal it lists %s", list)
	}
}
