package state

import "github.com/pulumi/pulumi/pkg/v3/backend"

func backendFilter() backend.ListStackNamesFilter { return backend.ListStackNamesFilter{} }
