// Package ambient gives the engine what it reads from its environment. Only the engine of this process sees it:
// plugins, language hosts and programs get the environment that this process was started with, as they do from a CLI.
package ambient

import (
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/env"
)

// defaults hold where whoever started this process has said nothing.
var defaults = map[string]string{
	"PULUMI_SKIP_UPDATE_CHECK":                    "true",
	"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
	"PULUMI_DISABLE_REGISTRY_RESOLVE":             "true",
	"PULUMI_DIY_BACKEND_NO_LEGACY_WARNING":        "true",
	// A panic in a goroutine of the engine ends its run and not the process; the second needs the first.
	"PULUMI_DEV":                      "true",
	"PULUMI_GOROUTINE_PANIC_RECOVERY": "true",
}

// always holds whatever the environment says: a run's token comes with the run, and passes through a file that
// nobody else has.
var always = map[string]string{
	"PULUMI_CREDENTIAL_HELPER": "none",
	"PULUMI_CREDENTIAL_STORE":  "plaintext",
}

// perRun are what each run brings for itself.
var perRun = []string{
	"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_DEBUG_PROVIDERS", "PULUMI_ACCESS_TOKEN",
}

// Set is called once, before anything of the engine is.
func Set() {
	for _, name := range perRun {
		_ = os.Unsetenv(name)
	}
	env.Global = store{env.NewEnvStore()}
}

// store is the process's environment, with more to be found by name; to list, for children, it is the environment.
type store struct{ env.Store }

func (s store) Raw(name string) (string, bool) {
	if value, fixed := always[name]; fixed {
		return value, true
	}
	if value, there := s.Store.Raw(name); there {
		return value, true
	}
	value, there := defaults[name]
	return value, there
}
