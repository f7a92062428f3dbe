package commands

import (
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	pkgworkspace "github.com/pulumi/pulumi/pkg/v3/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/common/esc"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
)

// configValue is one entry as JSON; a secret that is not shown has no value.
type configValue struct {
	Value *string `json:"value,omitempty"`
	// ObjectValue is the same as JSON, with every digit of its numbers.
	ObjectValue json.RawMessage `json:"objectValue,omitempty"`
	Secret      bool            `json:"secret"`
}

// settingsFile is of all `config` commands.
type settingsFile struct {
	ConfigFile string `json:"config-file"`
}

// keyed is of those about single entries.
type keyed struct {
	settingsFile
	Path bool `json:"path"`
}

// ofProject finds the stack; the settings are the project's.
func (c *call) ofProject() (backend.Stack, error) {
	if err := c.place.NeedProject(); err != nil {
		return nil, err
	}
	return c.found()
}

// effective is what a stack's own values say, with what the project adds.
func (c *call) effective(found backend.Stack, file string) (config.Map, error) {
	settings, err := c.place.Settings(found.Ref(), file)
	if err != nil {
		return nil, err
	}
	if err := c.place.NoEnvironments(settings); err != nil {
		return nil, err
	}
	all, err := settings.Config.Copy(config.NopDecrypter, config.NopEncrypter)
	if err != nil {
		return nil, fmt.Errorf("copying config: %w", err)
	}
	err = pkgworkspace.ApplyProjectConfig(c, found.Ref().Name().String(), c.place.Project, esc.Value{}, all, nil, nil)
	return all, err
}

// decrypter opens a stack's secrets.
func (c *call) decrypter(found backend.Stack, file string) (config.Decrypter, error) {
	settings, err := c.place.Settings(found.Ref(), file)
	if err != nil {
		return nil, err
	}
	manager, err := c.place.Manager(c, found, settings)
	if err != nil {
		return nil, err
	}
	return manager.Decrypter(), nil
}

type configOptions struct {
	asJSON
	settingsFile
	ShowSecrets bool `json:"show-secrets"`
}

func configList(c *call, options configOptions) error {
	found, err := c.ofProject()
	if err != nil {
		return err
	}
	all, err := c.effective(found, options.ConfigFile)
	if err != nil {
		return err
	}
	var decrypter config.Decrypter = config.NewBlindingDecrypter()
	if options.ShowSecrets && all.HasSecureValue() {
		if decrypter, err = c.decrypter(found, options.ConfigFile); err != nil {
			return err
		}
	}
	values, err := all.Decrypt(decrypter)
	if err != nil {
		return fmt.Errorf("could not decrypt configuration values: %w", err)
	}
	told := map[string]configValue{}
	for key, value := range all {
		if value.Secure() && !options.ShowSecrets {
			told[key.String()] = configValue{Secret: true}
		} else {
			told[key.String()] = opened(value, values[key])
		}
	}
	return options.answer(c, told)
}

// opened is an entry that is shown.
func opened(value config.Value, text string) configValue {
	told := configValue{Value: &text, Secret: value.Secure()}
	if value.Object() {
		told.ObjectValue = json.RawMessage(text)
	}
	return told
}

type getOptions struct {
	asJSON
	keyed
}

func configGet(c *call, options getOptions) error {
	found, err := c.ofProject()
	if err != nil {
		return err
	}
	key, err := c.place.ConfigKey(c.run.Arguments[0], options.Path)
	if err != nil {
		return err
	}
	all, err := c.effective(found, options.ConfigFile)
	if err != nil {
		return err
	}
	value, has, err := all.Get(key, options.Path)
	if err != nil {
		return err
	}
	if !has {
		return fmt.Errorf("configuration key '%s' not found for stack '%s'", c.place.PrettyKey(key), found.Ref())
	}
	var decrypter config.Decrypter = config.NewPanicCrypter()
	if value.Secure() {
		if decrypter, err = c.decrypter(found, options.ConfigFile); err != nil {
			return err
		}
	}
	text, err := value.Value(decrypter)
	if err != nil {
		return fmt.Errorf("could not decrypt configuration value: %w", err)
	}
	return options.answer(c, opened(value, text))
}
