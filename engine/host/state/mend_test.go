package state

import (
	"slices"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// needing is a resource of a deployment with what it depends on.
func needing(name string, dependencies ...string) apitype.ResourceV3 {
	made := apitype.ResourceV3{URN: urnOf(name), Type: "pilot:index:Thing", Custom: true}
	for _, dependency := range dependencies {
		made.Dependencies = append(made.Dependencies, urnOf(dependency))
	}
	return made
}

func order(resources []apitype.ResourceV3) []string {
	var found []string
	for _, r := range resources {
		found = append(found, r.URN.Name())
	}
	return found
}

func TestMendingPutsEachBehindAllThatItRefersTo(t *testing.T) {
	provider := apitype.ResourceV3{URN: resource.NewURN("dev", testProject, "", "pulumi:providers:pilot", "p"), ID: "id"}
	byProperty, byParent, byDeath, byProvider := needing("property"), needing("child"), needing("dead"), needing("made")
	byProperty.PropertyDependencies = map[resource.PropertyKey][]resource.URN{"key": {urnOf("base")}}
	byParent.Parent, byDeath.DeletedWith = urnOf("base"), urnOf("base")
	byProvider.Provider = string(provider.URN) + "::id"
	given := []apitype.ResourceV3{
		byProvider, byDeath, byParent, byProperty, needing("last", "dead", "base"), needing("base"), provider,
	}
	mended := order(mend(given))
	if len(mended) != len(given) {
		t.Fatalf("%v", mended)
	}
	at := func(name string) int { return slices.Index(mended, name) }
	for _, name := range []string{"dead", "child", "property", "last"} {
		if at(name) < at("base") {
			t.Errorf("%s before its base: %v", name, mended)
		}
	}
	if at("made") < at("p") || at("last") < at("dead") {
		t.Errorf("%v", mended)
	}
}

func TestMendingKeepsAnOrderThatIsGood(t *testing.T) {
	given := []apitype.ResourceV3{needing("c"), needing("a", "c"), needing("b", "c"), needing("d", "a")}
	if mended := order(mend(given)); !slices.Equal(mended, []string{"c", "a", "b", "d"}) {
		t.Errorf("%v", mended)
	}
}

func TestMendingDropsReferencesToWhatIsNotThereAndLeavesWhatItWasGiven(t *testing.T) {
	child := needing("child", "gone", "base")
	child.Parent, child.DeletedWith = urnOf("gone"), urnOf("gone")
	child.PropertyDependencies = map[resource.PropertyKey][]resource.URN{"key": {urnOf("gone"), urnOf("base")}}
	mended := mend([]apitype.ResourceV3{child, needing("base")})
	if len(mended) != 2 {
		t.Fatalf("%v", order(mended))
	}
	r, base := mended[1], []resource.URN{urnOf("base")}
	if r.Parent != "" || r.DeletedWith != "" || !slices.Equal(r.Dependencies, base) ||
		!slices.Equal(r.PropertyDependencies["key"], base) {
		t.Errorf("%+v", r)
	}
	if len(child.Dependencies) != 2 || len(child.PropertyDependencies["key"]) != 2 {
		t.Error("the resource that was given has changed")
	}
}

func TestACircleIsNotMended(t *testing.T) {
	if mended := mend([]apitype.ResourceV3{needing("a", "b"), needing("b", "a")}); mended != nil {
		t.Errorf("%v", order(mended))
	}
}
