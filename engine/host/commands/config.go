package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"

	"pilot/engine/host/place"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	pkgworkspace "github.com/pulumi/pulumi/pkg/v3/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/common/esc"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/spf13/pflag"
)

// configValue is one entry as JSON; a secret that is not shown has no value.
type configValue struct {
	Value       *string `json:"value,omitempty"`
	ObjectValue any     `json:"objectValue,omitempty"`
	Secret      bool    `json:"secret"`
}

// configFlags are those of all `config` commands.
func (c *call) configFlags() *string { return c.named().flags.String("config-file", "", "") }

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

func configList(c *call) error {
	file := c.configFlags()
	shown := c.flags.Bool("show-secrets", false, "")
	c.flags.Idle(func(flags *pflag.FlagSet) {
		// Settings that refer to environments are left to the CLI, whatever this says.
		flags.Bool("open", false, "")
	})
	asJSON, err := c.printing(0)
	if err != nil {
		return err
	}
	found, err := c.ofProject()
	if err != nil {
		return err
	}
	all, err := c.effective(found, *file)
	if err != nil {
		return err
	}
	var decrypter config.Decrypter = config.NewBlindingDecrypter()
	if *shown && all.HasSecureValue() {
		if decrypter, err = c.decrypter(found, *file); err != nil {
			return err
		}
	}
	values, err := all.Decrypt(decrypter)
	if err != nil {
		return fmt.Errorf("could not decrypt configuration values: %w", err)
	}
	return c.printConfig(all, values, *shown, *asJSON)
}

func (c *call) printConfig(all config.Map, values map[config.Key]string, shown, asJSON bool) error {
	var keys config.KeyArray
	for key := range all {
		keys = append(keys, key)
	}
	sort.Sort(keys)
	if !asJSON {
		var rows [][]string
		for _, key := range keys {
			rows = append(rows, []string{c.place.PrettyKey(key), values[key]})
		}
		table(c.run.Stdout, []string{"KEY", "VALUE"}, rows)
		return nil
	}
	told := map[string]configValue{}
	for _, key := range keys {
		one := configValue{Secret: all[key].Secure()}
		if shown || !one.Secret {
			text := values[key]
			one.Value = &text
			if all[key].Object() {
				if err := json.Unmarshal([]byte(text), &one.ObjectValue); err != nil {
					return err
				}
			}
		}
		told[key.String()] = one
	}
	return printJSON(c.run.Stdout, told)
}

func configGet(c *call) error {
	file := c.configFlags()
	asJSON := c.flags.BoolP("json", "j", false, "")
	path := c.flags.Bool("path", false, "")
	c.flags.Idle(func(flags *pflag.FlagSet) {
		// Settings that refer to environments are left to the CLI, whatever this says.
		flags.Bool("open", true, "")
	})
	if err := c.parse(1, 1); err != nil {
		return err
	}
	found, err := c.ofProject()
	if err != nil {
		return err
	}
	key, err := c.place.ConfigKey(c.rest[0], *path)
	if err != nil {
		return err
	}
	all, err := c.effective(found, *file)
	if err != nil {
		return err
	}
	value, has, err := all.Get(key, *path)
	if err != nil {
		return err
	}
	if !has {
		return fmt.Errorf("configuration key '%s' not found for stack '%s'", c.place.PrettyKey(key), found.Ref())
	}
	return c.printValue(found, *file, value, *asJSON)
}

func (c *call) printValue(found backend.Stack, file string, value config.Value, asJSON bool) error {
	var decrypter config.Decrypter = config.NewPanicCrypter()
	if value.Secure() {
		var err error
		if decrypter, err = c.decrypter(found, file); err != nil {
			return err
		}
	}
	text, err := value.Value(decrypter)
	if err != nil {
		return fmt.Errorf("could not decrypt configuration value: %w", err)
	}
	if !asJSON {
		fmt.Fprintln(c.run.Stdout, text)
		return nil
	}
	told := configValue{Value: &text, Secret: value.Secure()}
	if value.Object() {
		if err := json.Unmarshal([]byte(text), &told.ObjectValue); err != nil {
			return err
		}
	}
	marshaled, err := json.MarshalIndent(told, "", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintln(c.run.Stdout, string(marshaled))
	return nil
}

func configCopy(c *call) error {
	file := c.configFlags()
	path := c.flags.Bool("path", false, "")
	to := c.flags.StringP("dest", "d", "", "")
	if err := c.parse(0, 1); err != nil {
		return err
	}
	from, err := c.ofProject()
	if err != nil {
		return err
	}
	ref, err := c.place.Reference(*to)
	if err != nil {
		return err
	}
	if from.Ref().Name() == ref.Name() {
		return errors.New("current stack and destination stack are the same")
	}
	target, err := c.place.Stack(c, ref)
	if err != nil {
		return err
	}
	source, err := c.place.Settings(from.Ref(), *file)
	if err != nil {
		return err
	}
	values := source.Config
	if len(c.rest) > 0 {
		key, err := c.place.ConfigKey(c.rest[0], *path)
		if err != nil {
			return err
		}
		value, has, err := source.Config.Get(key, *path)
		if err != nil {
			return err
		}
		if !has {
			return fmt.Errorf("configuration key '%s' not found for stack '%s'", c.place.PrettyKey(key), from.Ref())
		}
		return c.copyTo(from, source, target, config.Map{key: value}, *path)
	}
	return c.copyTo(from, source, target, values, false)
}

// copyAll copies the whole configuration of another stack.
func (c *call) copyAll(name string, target backend.Stack) error {
	if err := c.place.NeedProject(); err != nil {
		return err
	}
	ref, err := c.place.Reference(name)
	if err != nil {
		return err
	}
	from, err := c.place.Stack(c, ref)
	if err != nil {
		return err
	}
	source, err := c.place.Settings(ref, "")
	if err != nil {
		return err
	}
	return c.copyTo(from, source, target, source.Config, false)
}

// copyTo encrypts the secrets among the values for their new stack.
func (c *call) copyTo(
	from backend.Stack, source *place.Settings, target backend.Stack, values config.Map, path bool,
) error {
	var decrypter config.Decrypter = config.NewPanicCrypter()
	if values.HasSecureValue() {
		manager, err := c.place.Manager(c, from, source)
		if err != nil {
			return err
		}
		decrypter = manager.Decrypter()
	}
	return c.place.Edit(target.Ref(), "", func(settings *place.Settings) error {
		manager, err := c.place.ManagerIn(c, target, settings)
		if err != nil {
			return err
		}
		for key, value := range values {
			copied, err := value.Copy(decrypter, manager.Encrypter())
			if err != nil {
				return err
			}
			if err := settings.Config.Set(key, copied, path); err != nil {
				return err
			}
		}
		return nil
	})
}
