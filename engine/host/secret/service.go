package secret

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi/pkg/v3/backend/httpstate/client"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/pkg/v3/secrets/service"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// kept is what a state says of the service that keeps its secrets.
type kept struct {
	URL     string `json:"url,omitempty"`
	Owner   string `json:"owner"`
	Project string `json:"project"`
	Stack   string `json:"stack"`
}

// ofService opens the secrets of a state with this place's own token, which is for one service only.
func (o *Opener) ofService(ctx context.Context, text json.RawMessage) (secrets.Manager, error) {
	var saved kept
	if err := json.Unmarshal(text, &saved); err != nil {
		return nil, fmt.Errorf("reading the state of the secrets: %w", err)
	}
	if o.service == nil || saved.URL != "" && saved.URL != o.service.URL() {
		return nil, &Elsewhere{Service: saved.URL}
	}
	name, err := tokens.ParseStackName(saved.Stack)
	if err != nil {
		return nil, err
	}
	id := client.StackIdentifier{Owner: saved.Owner, Project: saved.Project, Stack: name}
	return service.NewServiceSecretsManager(context.WithoutCancel(ctx), o.service, id, &workspace.ProjectStack{})
}

// Elsewhere is the need of secrets that another service keeps.
type Elsewhere struct{ Service string }

func (e *Elsewhere) Error() string {
	return fmt.Sprintf("the secrets are kept by %s, to which this place has no access", e.Service)
}
