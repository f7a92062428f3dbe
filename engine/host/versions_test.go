package main

import (
	"encoding/json"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

func TestTheHostIsBuiltOfTheVersionsThatTheBridgeNames(t *testing.T) {
	var named struct {
		Pulumi struct{ Newest string }
		Go     string
	}
	text, err := os.ReadFile("../../automation/versions.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &named); err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if asked := regexp.MustCompile(`(?m)^go (.+)$`).FindSubmatch(module); asked == nil || string(asked[1]) != named.Go {
		t.Errorf("go.mod asks for Go %s, and not for %s", asked, named.Go)
	}
	built, read := debug.ReadBuildInfo()
	if !read {
		t.Fatal("this test does not know what it was built of")
	}
	seen := 0
	for _, dependency := range built.Deps {
		if strings.HasPrefix(dependency.Path, "github.com/pulumi/pulumi/") {
			seen++
			if dependency.Version != "v"+named.Pulumi.Newest {
				t.Errorf("%s is %s", dependency.Path, dependency.Version)
			}
		}
	}
	if seen != 2 {
		t.Errorf("%d parts of Pulumi were found", seen)
	}
}
