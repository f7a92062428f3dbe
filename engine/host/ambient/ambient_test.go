package ambient

import (
	"os"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/env"
	environment "github.com/pulumi/pulumi/sdk/v3/go/common/util/env"
)

func set(t *testing.T) {
	t.Helper()
	t.Setenv("PULUMI_ACCESS_TOKEN", "hush")
	before := environment.Global
	t.Cleanup(func() { environment.Global = before })
	Set()
}

func TestTheEngineRecoversFromPanicsAndNoChildHearsOfIt(t *testing.T) {
	set(t)
	if !env.GoroutinePanicRecovery.Value() || !env.SkipUpdateCheck.Value() || env.CredentialHelper.Value() != "none" {
		t.Error("the engine does not see its settings")
	}
	for _, pair := range os.Environ() {
		if strings.HasPrefix(pair, "PULUMI_DEV=") || strings.HasPrefix(pair, "PULUMI_GOROUTINE_PANIC_RECOVERY=") {
			t.Errorf("children inherit %s", pair)
		}
	}
	for name := range environment.Global.Values() {
		if name == "PULUMI_DEV" {
			t.Error("a list for children has PULUMI_DEV")
		}
	}
}

func TestTheEnvironmentOfTheProcessWins(t *testing.T) {
	t.Setenv("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "false")
	set(t)
	if env.DisableAutomaticPluginAcquisition.Value() {
		t.Error("what the environment says is not heard")
	}
}

func TestNoRunInheritsTheTokenOfTheProcess(t *testing.T) {
	set(t)
	if token, there := os.LookupEnv("PULUMI_ACCESS_TOKEN"); there {
		t.Errorf("%q is left", token)
	}
}
