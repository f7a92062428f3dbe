package commands

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"pilot/engine/host/fault"
	"pilot/engine/host/place"
	"pilot/engine/host/store"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
)

type initOptions struct {
	SecretsProvider string   `json:"secrets-provider"`
	NoSelect        bool     `json:"no-select"`
	Teams           []string `json:"teams"`
}

func stackInit(c *call, options initOptions) error {
	provider := cmp.Or(options.SecretsProvider, c.run.Place.SecretsProvider, "default")
	if err := checkSecretsProvider(provider); err != nil {
		return err
	}
	switch {
	case c.run.Stack == "":
		return fault.Refuse("missing stack name")
	case len(options.Teams) > 0 && !c.place.Backend().SupportsOrganizations():
		return backend.ErrTeamsNotSupported
	}
	ref, err := c.place.Reference(c.run.Stack)
	if err != nil {
		return err
	}
	err = c.locked(ref, func(store.Held) error { return c.create(ref, provider, options.Teams) })
	if err != nil || options.NoSelect {
		return err
	}
	return c.place.Select(ref.FullyQualifiedName().String())
}

// create makes the stack, whose first state says what encrypts its secrets, then writes the settings.
func (c *call) create(ref backend.StackReference, provider string, teams []string) error {
	settings, err := c.place.Settings(ref, "")
	if err != nil {
		return err
	}
	manager, err := c.place.Secrets.Create(settings.ProjectStack, provider)
	if err != nil {
		return fmt.Errorf("could not create secrets manager for new stack: %w", err)
	}
	first, err := firstState(manager)
	if err != nil {
		return err
	}
	options := &backend.CreateStackOptions{Teams: teams}
	_, err = c.place.Backend().CreateStack(c, ref, c.place.Root, first, options)
	if err != nil || c.place.File == "" {
		return err
	}
	return c.place.Edit(ref, "", func(fresh *place.Settings) error {
		fresh.EncryptionSalt, fresh.EncryptedKey = settings.EncryptionSalt, settings.EncryptedKey
		fresh.SecretsProvider = settings.SecretsProvider
		return nil
	})
}

func firstState(manager secrets.Manager) (*apitype.UntypedDeployment, error) {
	if manager == nil {
		return nil, nil
	}
	manifest := deploy.Manifest{Time: time.Now(), Version: version.Version}
	manifest.Magic = manifest.NewMagic()
	text, err := json.Marshal(&apitype.DeploymentV3{
		Manifest:         manifest.Serialize(),
		SecretsProviders: &apitype.SecretsProvidersV1{Type: manager.Type(), State: manager.State()},
	})
	return &apitype.UntypedDeployment{Version: 3, Deployment: text}, err
}

type removeOptions struct {
	confirmed
	Force          bool `json:"force"`
	PreserveConfig bool `json:"preserve-config"`
	RemoveBackups  bool `json:"remove-backups"`
}

func stackRemove(c *call, options removeOptions) error {
	if err := options.check(); err != nil {
		return err
	}
	return c.changing(func(stack backend.Stack, held store.Held) error {
		hasResources, err := held.Remove(c, stack, options.Force, options.RemoveBackups)
		if err != nil && hasResources {
			return fmt.Errorf("'%s' still has resources; removal rejected. Destroy them first, "+
				"or pass --force to leave them behind", stack.Ref())
		}
		if err != nil {
			return err
		}
		if !options.PreserveConfig {
			if err := c.removeSettings(stack.Ref()); err != nil {
				return err
			}
		}
		if c.place.Selected() == stack.Ref().FullyQualifiedName().String() {
			_ = c.place.Select("")
		}
		return nil
	})
}

// removeSettings leaves those alone that belong to another project.
func (c *call) removeSettings(ref backend.StackReference) error {
	project, has := ref.Project()
	if c.place.File == "" || !has || project != tokens.Name(c.place.Project.Name) {
		return nil
	}
	err := os.Remove(c.place.SettingsPath(ref))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func stackRename(c *call, _ none) error {
	name := c.run.Arguments[0]
	wanted, err := c.place.Reference(name)
	if err != nil {
		return err
	}
	return c.changing(func(stack backend.Stack, _ store.Held) error {
		if wanted.FullyQualifiedName() == stack.Ref().FullyQualifiedName() {
			return &backenderr.StackAlreadyExistsError{StackName: wanted.String()}
		}
		if taken, err := c.place.Backend().GetStack(c, wanted); err != nil {
			return err
		} else if taken != nil {
			return &backenderr.StackAlreadyExistsError{StackName: wanted.String()}
		}
		// Nothing has happened yet.
		if _, err := os.Lstat(c.place.SettingsPath(wanted)); err == nil {
			return fault.Refuse("the settings of %s would be replaced: %s is there already", wanted, c.place.SettingsPath(wanted))
		}
		// The lock of the new name keeps others from creating it meanwhile.
		return c.locked(wanted, func(store.Held) error {
			renamed, err := backend.RenameStack(c, stack, tokens.QName(name))
			if err != nil {
				return err
			}
			before, after := c.place.SettingsPath(stack.Ref()), c.place.SettingsPath(renamed)
			if err := os.Rename(before, after); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("renaming the stack's settings: %w", err)
			}
			if c.place.Selected() == stack.Ref().FullyQualifiedName().String() {
				return c.place.Select(renamed.FullyQualifiedName().String())
			}
			return nil
		})
	})
}

func stackSelect(c *call, _ none) error {
	found, err := c.found()
	if err != nil {
		return err
	}
	return c.place.Select(found.Ref().FullyQualifiedName().String())
}
