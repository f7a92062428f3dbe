package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"pilot/engine/host/protocol"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/httpstate/client"
	backendsecrets "github.com/pulumi/pulumi/pkg/v3/backend/secrets"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/pkg/v3/secrets/cloud"
	"github.com/pulumi/pulumi/pkg/v3/secrets/passphrase"
	"github.com/pulumi/pulumi/pkg/v3/secrets/service"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// Opener opens secrets with one place's passphrase or service. It is a secrets.Provider for states.
type Opener struct {
	from protocol.Passphrase
	// service keeps the secrets of stacks that name nothing else; nil where that is the passphrase.
	service *client.Client
}

// OfService makes one for stacks that are kept in a service.
func OfService(from protocol.Passphrase, service *client.Client) *Opener {
	return &Opener{from, service}
}

// NewOpener makes one for stacks that are kept in storage. The first of a passphrase begins to derive what its new
// stacks get, which takes longer than all the rest of making one.
func NewOpener(from protocol.Passphrase) *Opener {
	opener := &Opener{from: from}
	go func() {
		if phrase, err := opener.phrase(); err == nil {
			// What is wrong is told to whoever needs it.
			_, _ = derived.create(phrase)
		}
	}()
	return opener
}

// noFile is the absence of a passphrase that was to come from a file. The file system's own words name it.
type noFile struct{ err error }

func (n *noFile) Error() string { return "the passphrase cannot be read: " + n.err.Error() }

func (n *noFile) Unwrap() []error { return []error{ErrAbsent, n.err} }

// phrase is read each time, because a file may be replaced.
func (o *Opener) phrase() (string, error) {
	switch o.from.Kind {
	case protocol.PassphraseEmpty:
		return "", nil
	case protocol.PassphraseFile:
		text, err := os.ReadFile(o.from.Path)
		if err != nil {
			return "", &noFile{err}
		}
		return strings.TrimSpace(string(text)), nil
	case protocol.PassphraseAbsent:
		return "", ErrAbsent
	}
	return "", fmt.Errorf("unknown kind of passphrase %q", o.from.Kind)
}

// others opens what neither a passphrase nor a service does. A service is spoken to by a place's own client only.
var others = backendsecrets.NewProvider(func(_ context.Context, url string, _ bool) (*client.Client, error) {
	return nil, &Elsewhere{Service: url}
})

// OfType opens the secrets of a state. A wrong passphrase is told when something secret is needed, so
// that the open outputs of a stack with another passphrase can be referred to.
func (o *Opener) OfType(ctx context.Context, kind string, text json.RawMessage) (secrets.Manager, error) {
	switch kind {
	case passphrase.Type:
	case service.Type:
		return o.ofService(ctx, text)
	default:
		return others.OfType(ctx, kind, text)
	}
	var saved state
	if err := json.Unmarshal(text, &saved); err != nil {
		return nil, fmt.Errorf("reading the state of the passphrase: %w", err)
	}
	phrase, err := o.phrase()
	if err != nil {
		return nil, err
	}
	opened, err := derived.open(phrase, saved.Salt)
	if errors.Is(err, passphrase.ErrIncorrectPassphrase) {
		return locked{text}, nil
	}
	if err != nil {
		return nil, err
	}
	return stack.NewBatchingCachingSecretsManager(opened), nil
}

// Passphrase opens a salt, or makes a new one where there is none.
func (o *Opener) Passphrase(settings *workspace.ProjectStack) (secrets.Manager, error) {
	phrase, err := o.phrase()
	if err != nil {
		return nil, err
	}
	return With(phrase, settings)
}

// With opens a salt with a passphrase that is not the place's.
func With(phrase string, settings *workspace.ProjectStack) (secrets.Manager, error) {
	settings.EncryptedKey, settings.SecretsProvider = "", ""
	if settings.EncryptionSalt != "" {
		return derived.open(phrase, settings.EncryptionSalt)
	}
	opened, err := derived.create(phrase)
	if err != nil {
		return nil, err
	}
	return opened, passphrase.EditProjectStack(settings, opened.State())
}

func isDefault(provider string) bool { return provider == "" || provider == "default" }

// IsPassphrase is true for the names of the passphrase provider.
func (o *Opener) IsPassphrase(provider string) bool {
	return provider == passphrase.Type || isDefault(provider) && o.service == nil
}

// IsService is true for the names of the service that keeps the stacks.
func (o *Opener) IsService(provider string) bool { return isDefault(provider) && o.service != nil }

// Create makes the secrets of a new stack, and writes to its settings what opens them. A service makes its own when
// it has the stack: then there is no manager yet.
func (o *Opener) Create(settings *workspace.ProjectStack, provider string) (secrets.Manager, error) {
	switch {
	case o.IsPassphrase(provider):
		return o.Passphrase(settings)
	case o.IsService(provider):
		settings.EncryptionSalt, settings.SecretsProvider, settings.EncryptedKey = "", "", ""
		return nil, nil
	}
	return cloud.NewCloudSecretsManager(settings, provider, false)
}

// Manager opens the secrets of a stack by its settings. Settings that say nothing get what the state
// has, so that a lost file does not cut the stack off from its secrets; `changed` tells that they
// should be saved.
func (o *Opener) Manager(
	ctx context.Context, settings *workspace.ProjectStack, of backend.Stack, snapshot func() (*deploy.Snapshot, error),
) (opened secrets.Manager, changed bool, err error) {
	before := *settings
	switch {
	case !isDefault(settings.SecretsProvider) && settings.SecretsProvider != passphrase.Type:
		opened, err = cloud.NewCloudSecretsManager(settings, settings.SecretsProvider, false)
	case settings.EncryptionSalt != "":
		opened, err = o.Passphrase(settings)
	default:
		opened, err = o.fromState(ctx, settings, of, snapshot)
	}
	if err != nil {
		return nil, false, fmt.Errorf("get stack secrets manager: %w", err)
	}
	changed = before.EncryptionSalt != settings.EncryptionSalt ||
		before.EncryptedKey != settings.EncryptedKey || before.SecretsProvider != settings.SecretsProvider
	return stack.NewBatchingCachingSecretsManager(opened), changed, nil
}

func (o *Opener) fromState(
	ctx context.Context, settings *workspace.ProjectStack, of backend.Stack, snapshot func() (*deploy.Snapshot, error),
) (secrets.Manager, error) {
	saved, err := snapshot()
	if err != nil {
		return nil, err
	}
	if saved == nil || saved.SecretsManager == nil {
		if o.service != nil {
			return of.DefaultSecretManager(ctx, settings)
		}
		return o.Passphrase(settings)
	}
	if _, wrong := saved.SecretsManager.(locked); wrong {
		return nil, passphrase.ErrIncorrectPassphrase
	}
	return saved.SecretsManager, Remember(settings, saved.SecretsManager.Type(), saved.SecretsManager.State())
}

// Remember writes to the settings what opens a state's secrets.
func Remember(settings *workspace.ProjectStack, kind string, text json.RawMessage) error {
	switch kind {
	case passphrase.Type:
		return passphrase.EditProjectStack(settings, text)
	case cloud.Type:
		return cloud.EditProjectStack(settings, text)
	}
	settings.EncryptionSalt, settings.SecretsProvider, settings.EncryptedKey = "", "", ""
	return nil
}
