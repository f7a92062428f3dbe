package state

import (
	"maps"
	"slices"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

func TestExtensionsAreKeptAsLongAsSomethingRefersToThem(t *testing.T) {
	base := contents{deployment: &apitype.DeploymentV3{
		Resources: []apitype.ResourceV3{{URN: urnOf("a"), ExtensionRef: "used"}},
		PendingOperations: []apitype.OperationV2{{
			Resource: apitype.ResourceV3{URN: urnOf("b"), ExtensionRef: "pending"},
			Type:     apitype.OperationTypeCreating,
		}},
		Extensions: map[apitype.ExtensionRef]apitype.Extension{"used": {}, "pending": {}, "unused": {}},
	}}
	out, err := replay(base, nil, outcome{})
	if err != nil {
		t.Fatal(err)
	}
	kept := slices.Sorted(maps.Keys(out.Deployment.Extensions))
	if !slices.Equal(kept, []apitype.ExtensionRef{"pending", "used"}) {
		t.Fatalf("%v are kept", kept)
	}
}
