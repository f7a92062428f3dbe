package commands

import (
	"strings"

	"pilot/engine/host/fault"
	"pilot/engine/host/place"
	"pilot/engine/host/secret"
	"pilot/engine/host/store"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
)

// keepers are the kinds of secrets providers that there are.
var keepers = []string{"default", "passphrase", "awskms", "azurekeyvault", "gcpkms", "hashivault"}

func checkSecretsProvider(provider string) error {
	kind, _, _ := strings.Cut(provider, ":")
	for _, known := range keepers {
		if kind == known {
			return nil
		}
	}
	return fault.Refuse("unknown secrets provider type '%s' (supported values: %s)", kind, strings.Join(keepers, ","))
}

// changeSecrets encrypts a stack's configuration and state anew. A new passphrase is the input.
func changeSecrets(c *call, _ none) error {
	provider := c.run.Arguments[0]
	if err := checkSecretsProvider(provider); err != nil {
		return err
	}
	if err := c.place.NeedProject(); err != nil {
		return err
	}
	return c.changing(func(stack backend.Stack, _ store.Held) error {
		return c.place.Edit(stack.Ref(), "", func(settings *place.Settings) error {
			return c.migrate(stack, settings, provider)
		})
	})
}

func (c *call) migrate(stack backend.Stack, settings *place.Settings, provider string) error {
	before, err := c.place.ManagerIn(c, stack, settings)
	if err != nil {
		return err
	}
	snapshot, err := c.place.Snapshot(c, stack)
	if err != nil {
		return err
	}
	after, err := c.replacement(stack, settings, provider)
	if err != nil {
		return err
	}
	if settings.Config, err = settings.Config.Copy(before.Decrypter(), after.Encrypter()); err != nil {
		return err
	}
	if snapshot == nil {
		return nil
	}
	snapshot.SecretsManager = after
	return c.writeState(stack, snapshot)
}

// replacement is the new manager; for the passphrase it has always a new salt.
func (c *call) replacement(
	found backend.Stack, settings *place.Settings, provider string,
) (secrets.Manager, error) {
	if c.place.Secrets.IsService(provider) {
		return found.DefaultSecretManager(c, settings.ProjectStack)
	}
	if !c.place.Secrets.IsPassphrase(provider) {
		same := provider == settings.SecretsProvider
		if same {
			settings.EncryptedKey = ""
		}
		return c.place.Secrets.Create(settings.ProjectStack, provider)
	}
	wasPassphrase := c.place.Secrets.IsPassphrase(settings.SecretsProvider) || settings.EncryptionSalt != ""
	settings.EncryptionSalt = ""
	if wasPassphrase && provider == "passphrase" {
		// The CLI reads a new passphrase when the old provider is the passphrase as well.
		if c.run.Input == nil {
			return nil, fault.Refuse("a new passphrase must be given as input")
		}
		phrase, _, _ := strings.Cut(*c.run.Input, "\n")
		return secret.With(strings.TrimSpace(phrase), settings.ProjectStack)
	}
	return c.place.Secrets.Create(settings.ProjectStack, provider)
}
