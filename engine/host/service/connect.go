// Package service keeps stacks in a Pulumi service: Pulumi Cloud, or one that somebody hosts. Locks, histories and
// durability are the service's; an update holds a lease there.
package service

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/pkg/v3/auth/credentialhelper"
	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
	"github.com/pulumi/pulumi/pkg/v3/backend/httpstate"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// Is tells services from storage by their URLs.
func Is(url string) bool {
	return strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://")
}

// private is where credentials pass through; empty until Private was called.
var private struct {
	sync.Mutex
	folder string
}

// Private names a folder for this process alone. The stock backend takes its access token from a file of
// credentials, and that file must never be one that people, or other runs, have: each token is in it only while its
// backend is opened.
func Private(folder string) error {
	private.Lock()
	defer private.Unlock()
	private.folder = folder
	return os.Setenv(workspace.PulumiCredentialsPathEnvVar, folder)
}

// connect opens the stock backend with a token, and makes sure that the token is good.
func connect(
	ctx context.Context, sink diag.Sink, url, token string, project *workspace.Project,
) (httpstate.Backend, error) {
	if token == "" {
		return nil, backenderr.LoginRequiredError{}
	}
	opened, err := open(ctx, sink, strings.TrimSuffix(url, "/"), token, project)
	if err != nil {
		return nil, err
	}
	_, _, _, err = opened.CurrentUser()
	return opened, err
}

func open(
	ctx context.Context, sink diag.Sink, url, token string, project *workspace.Project,
) (opened httpstate.Backend, err error) {
	private.Lock()
	defer private.Unlock()
	if private.folder == "" || os.Getenv(workspace.PulumiCredentialsPathEnvVar) != private.folder {
		return nil, errors.New("there is no private folder for credentials")
	}
	// Without a user's name: the backend then asks the service who the token belongs to.
	given := workspace.Credentials{Accounts: map[string]workspace.Account{url: {AccessToken: token}}}
	if err := workspace.StoreCredentials(given); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, workspace.StoreCredentials(workspace.Credentials{})) }()
	// Made anew for each: what it has learnt of a token is not for another run.
	clients := httpstate.NewClientSource(credentialhelper.NewSession(io.Discard), sink)
	return httpstate.New(ctx, sink, url, project, false, clients)
}
