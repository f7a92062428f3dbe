package operate

import (
	"testing"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/pkg/v3/pluginstorage"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

func TestAnAttachedProviderIsNeverLookedForToInstallIt(t *testing.T) {
	t.Setenv("PULUMI_HOME", t.TempDir())
	run := plugins{Context: pluginstorage.Instance, attached: map[string]uint16{"shop": 1}}
	for _, c := range []struct {
		name      string
		kind      apitype.PluginKind
		available bool
	}{
		{"shop", apitype.ResourcePlugin, true},
		{"shop", apitype.LanguagePlugin, false},
		{"aws", apitype.ResourcePlugin, false},
	} {
		version := semver.MustParse("1.2.3")
		wanted := workspace.PluginDescriptor{Name: c.name, Kind: c.kind, Version: &version}
		if got := run.HasPlugin(t.Context(), wanted).Available(); got != c.available {
			t.Errorf("%s %s: %v", c.kind, c.name, got)
		}
		wanted.Version = nil
		if got, _, _ := run.HasPluginGTE(t.Context(), wanted); got != c.available {
			t.Errorf("%s %s of any version: %v", c.kind, c.name, got)
		}
	}
}
