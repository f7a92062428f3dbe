package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"pilot/engine/host/fault"
	"pilot/engine/host/place"
	"pilot/engine/host/secret"
	"pilot/engine/host/store"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	"github.com/spf13/pflag"
)

func stackInit(c *call) error {
	c.named()
	provider := c.flags.String("secrets-provider", "", "")
	from := c.flags.String("copy-config-from", "", "")
	unselected := c.flags.Bool("no-select", false, "")
	teams := c.flags.StringArray("teams", nil, "")
	remote := c.flags.Bool("remote-config", false, "")
	c.flags.Idle(func(flags *pflag.FlagSet) {
		// Nobody is asked.
		flags.BoolP("yes", "y", false, "")
	})
	if err := errors.Join(c.parse(0, 1)); err != nil {
		return err
	}
	if err := c.stackOrArgument(); err != nil {
		return err
	}
	if *provider == "" {
		*provider = c.run.Place.SecretsProvider
	}
	if *provider == "" {
		*provider = "default"
	}
	if err := checkSecretsProvider(*provider); err != nil {
		return err
	}
	switch {
	case c.stack == "":
		return fault.Refuse("missing stack name")
	case len(*teams) > 0 && !c.place.Backend().SupportsOrganizations():
		return backend.ErrTeamsNotSupported
	case *remote && !c.place.Backend().SupportsOrganizations():
		return backend.ErrConfigNotSupported
	case *remote:
		return fault.LeaveToCLI("the configuration is kept in an environment")
	}
	ref, err := c.place.Reference(c.stack)
	if err != nil {
		return err
	}
	var made backend.Stack
	err = c.locked(ref, func(store.Held) error {
		made, err = c.create(ref, *provider, *teams)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.run.Stdout, "Created stack '%s'\n", ref)
	if *from != "" {
		if err := c.copyAll(*from, made); err != nil {
			return err
		}
	}
	if *unselected {
		return nil
	}
	return c.place.Select(ref.FullyQualifiedName().String())
}

// create makes the stack, whose first state says what encrypts its secrets, then writes the settings.
func (c *call) create(ref backend.StackReference, provider string, teams []string) (backend.Stack, error) {
	settings, err := c.place.Settings(ref, "")
	if err != nil {
		return nil, err
	}
	manager, err := c.place.Secrets.Create(settings.ProjectStack, provider)
	if err != nil {
		return nil, fmt.Errorf("could not create secrets manager for new stack: %w", err)
	}
	first, err := firstState(manager)
	if err != nil {
		return nil, err
	}
	options := &backend.CreateStackOptions{Teams: teams}
	made, err := c.place.Backend().CreateStack(c, ref, c.place.Root, first, options)
	if err != nil || c.place.File == "" {
		return made, err
	}
	return made, c.place.Edit(ref, "", func(fresh *place.Settings) error {
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

func stackRemove(c *call) error {
	c.named()
	yes := c.flags.BoolP("yes", "y", false, "")
	force := c.flags.BoolP("force", "f", false, "")
	keep := c.flags.Bool("preserve-config", false, "")
	backups := c.flags.Bool("remove-backups", false, "")
	if err := c.parse(0, 1); err != nil {
		return err
	}
	if err := c.stackOrArgument(); err != nil {
		return err
	}
	if !*yes {
		return needYes()
	}
	return c.changing(func(stack backend.Stack, held store.Held) error {
		hasResources, err := held.Remove(c, stack, *force, *backups)
		if err != nil && hasResources {
			return fmt.Errorf("'%s' still has resources; removal rejected. Destroy them first, "+
				"or pass --force to leave them behind", stack.Ref())
		}
		if err != nil {
			return err
		}
		if !*keep {
			if err := c.removeSettings(stack.Ref()); err != nil {
				return err
			}
		}
		if c.place.Selected() == stack.Ref().FullyQualifiedName().String() {
			_ = c.place.Select("")
		}
		fmt.Fprintf(c.run.Stdout, "Stack '%s' has been removed!\n", stack.Ref())
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

func stackRename(c *call) error {
	if err := c.named().parse(1, 1); err != nil {
		return err
	}
	wanted, err := c.place.Reference(c.rest[0])
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
			renamed, err := backend.RenameStack(c, stack, tokens.QName(c.rest[0]))
			if err != nil {
				return err
			}
			before, after := c.place.SettingsPath(stack.Ref()), c.place.SettingsPath(renamed)
			if err := os.Rename(before, after); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("renaming the stack's settings: %w", err)
			}
			if c.place.Selected() == stack.Ref().FullyQualifiedName().String() {
				if err := c.place.Select(renamed.FullyQualifiedName().String()); err != nil {
					return err
				}
			}
			fmt.Fprintf(c.run.Stdout, "Renamed %s to %s\n", stack.Ref(), renamed)
			return nil
		})
	})
}

func stackSelect(c *call) error {
	c.named()
	create := c.flags.BoolP("create", "c", false, "")
	provider := c.flags.String("secrets-provider", "default", "")
	if err := c.parse(0, 1); err != nil {
		return err
	}
	if err := c.stackOrArgument(); err != nil {
		return err
	}
	ref, err := c.place.Reference(c.stack)
	if err != nil {
		return err
	}
	if _, err := c.place.Stack(c, ref); err != nil {
		if !*create {
			return err
		}
		err := c.locked(ref, func(store.Held) error {
			_, err := c.create(ref, *provider, nil)
			return err
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.run.Stdout, "Created stack '%s'\n", ref)
	}
	return c.place.Select(ref.FullyQualifiedName().String())
}

func stackUnselect(c *call) error {
	if err := c.parse(0, 0); err != nil {
		return err
	}
	return c.place.Select("")
}

// changeSecrets encrypts a stack's configuration and state anew. A new passphrase is the input.
func changeSecrets(c *call) error {
	if err := c.named().parse(1, 1); err != nil {
		return err
	}
	provider := c.rest[0]
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
	fmt.Fprintln(c.run.Stdout, "Migrating old configuration and state to new secrets provider")
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
		return secret.With(firstLine(*c.run.Input), settings.ProjectStack)
	}
	return c.place.Secrets.Create(settings.ProjectStack, provider)
}
