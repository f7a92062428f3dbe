package state

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/providers"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// mend puts each resource behind those that it refers to, and drops references to resources that do not exist. It is
// called for a list that contradicts itself only, and gives nil when there is a circle.
func mend(resources []apitype.ResourceV3) []apitype.ResourceV3 {
	exists := map[resource.URN]bool{}
	for _, r := range resources {
		exists[r.URN] = true
	}
	left := make([]apitype.ResourceV3, len(resources))
	for i, r := range resources {
		left[i] = withoutDangling(r, exists)
	}
	placed := map[resource.URN]bool{}
	var ordered []apitype.ResourceV3
	for len(left) > 0 {
		before := len(left)
		left = slices.DeleteFunc(left, func(r apitype.ResourceV3) bool {
			for _, urn := range references(r) {
				if !placed[urn] {
					return false
				}
			}
			placed[r.URN] = true
			ordered = append(ordered, r)
			return true
		})
		if len(left) == before {
			return nil
		}
	}
	return ordered
}

func withoutDangling(r apitype.ResourceV3, exists map[resource.URN]bool) apitype.ResourceV3 {
	missing := func(urn resource.URN) bool { return !exists[urn] }
	if missing(r.Parent) {
		r.Parent = ""
	}
	if missing(r.DeletedWith) {
		r.DeletedWith = ""
	}
	r.Dependencies = slices.DeleteFunc(slices.Clone(r.Dependencies), missing)
	deps := make(map[resource.PropertyKey][]resource.URN, len(r.PropertyDependencies))
	for key, urns := range r.PropertyDependencies {
		deps[key] = slices.DeleteFunc(slices.Clone(urns), missing)
	}
	if len(deps) > 0 {
		r.PropertyDependencies = deps
	}
	return r
}

// references gives the resources that must come before one.
func references(r apitype.ResourceV3) []resource.URN {
	urns := slices.Clone(r.Dependencies)
	for _, more := range r.PropertyDependencies {
		urns = append(urns, more...)
	}
	if r.Parent != "" {
		urns = append(urns, r.Parent)
	}
	if r.DeletedWith != "" {
		urns = append(urns, r.DeletedWith)
	}
	if provider := providerURN(r.Provider); provider != "" {
		urns = append(urns, provider)
	}
	return urns
}

func providerURN(reference string) resource.URN {
	if reference == "" {
		return ""
	}
	parsed, err := providers.ParseReference(reference)
	if err != nil {
		return ""
	}
	return parsed.URN()
}
