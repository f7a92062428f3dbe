package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
)

// edited gives the checkpoint after a change of its JSON.
func (b *bench) edited(change func(outer, deployment map[string]any)) []byte {
	b.Helper()
	var outer map[string]any
	b.must(json.Unmarshal(b.bytes(b.keys().checkpoint), &outer))
	latest := outer["checkpoint"].(map[string]any)["latest"].(map[string]any)
	latest["manifest"].(map[string]any)["version"] = "v9.9.9"
	change(outer, latest)
	data, err := json.Marshal(outer)
	b.must(err)
	return data
}

var newerStates = map[string]func(outer, deployment map[string]any){
	"a field of the deployment": func(_, d map[string]any) { d["novel"] = []any{} },
	"a field of a resource": func(_, d map[string]any) {
		d["resources"].([]any)[0].(map[string]any)["novel"] = true
	},
	"a field beside the deployment": func(outer, _ map[string]any) { outer["novel"] = 1 },
	"a version of the schema":       func(outer, _ map[string]any) { outer["version"] = 99 },
	"a feature": func(outer, _ map[string]any) {
		outer["version"], outer["features"] = 4, []any{"novel"}
	},
}

func TestAStateOfANewerPulumiIsRefusedAndLeftAsItIs(t *testing.T) {
	for _, stockWrites := range []bool{true, false} {
		for name, change := range newerStates {
			b := newBench(t)
			b.up("a")
			b.up("b")
			b.up("c")
			data := b.edited(change)
			if stockWrites {
				b.stockWrite(b.keys().checkpoint, data)
			} else {
				// As on a bucket: no note of the stock backend.
				b.put(b.keys().checkpoint, data)
			}
			before := tree(t, b.dir)
			refused := func(by string, err error) {
				t.Helper()
				newer := new(Newer)
				if !errors.As(err, &newer) || newer.Writer != "v9.9.9" || newer.Reader != version.Version {
					t.Fatalf("%s: %s says %v", name, by, err)
				}
			}
			_, err := b.store.Lock(b.ctx, b.ref)
			refused("a change", err)
			_, err = b.store.Check(b.ctx, b.ref)
			refused("a reader", err)
			_, err = b.store.Repair(b.ctx, b.ref, true)
			refused("a repair", err)
			if after := tree(t, b.dir); after != before {
				t.Fatalf("%s: before\n%s\nafter\n%s", name, before, after)
			}
		}
	}
}

func TestAStateOfANewerPulumiIsRefusedInABucket(t *testing.T) {
	onBuckets(t, func(t *testing.T, bench func() *bench) {
		for name, change := range newerStates {
			b := bench()
			b.up("a")
			b.up("b")
			data := b.edited(change)
			b.put(b.keys().checkpoint, data)
			_, err := b.store.Lock(b.ctx, b.ref)
			if newer := new(Newer); !errors.As(err, &newer) {
				t.Fatalf("%s: the error is %v", name, err)
			}
			if !bytes.Equal(data, b.bytes(b.keys().checkpoint)) {
				t.Fatalf("%s: the state was changed", name)
			}
		}
	})
}

func TestADeploymentOfANewerPulumiIsNotTakenForAnImport(t *testing.T) {
	for _, c := range []struct {
		deployment string
		version    int
		newer      bool
	}{
		{`{"manifest":{"version":"v9.9.9"},"novel":1}`, 3, true},
		{`{"manifest":{"version":"v9.9.9"},"resources":[{"urn":"urn:pulumi:d::p::t::n","type":"t","novel":1}]}`, 3, true},
		{`{"manifest":{"version":"v9.9.9"}}`, 99, true},
		{`{"manifest":{"version":"v9.9.9"}}`, 3, false},
		{`{"manifest":[]}`, 3, false},
	} {
		err := Known(&apitype.UntypedDeployment{Version: c.version, Deployment: json.RawMessage(c.deployment)})
		newer := new(Newer)
		if errors.As(err, &newer) != c.newer || c.newer && newer.Writer != "v9.9.9" {
			t.Fatalf("%s, version %d: %v", c.deployment, c.version, err)
		}
	}
}
