package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"pilot/engine/host/fault"
	"pilot/engine/host/place"
	"pilot/engine/host/secret"

	"github.com/ccojocar/zxcvbn-go"
	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// editor changes the configuration of one stack.
type editor struct {
	*call
	found    backend.Stack
	settings *place.Settings
	opened   config.Encrypter
}

// edit reads the settings, lets them be changed and saves them.
func (c *call) edit(file string, change func(*editor) error) error {
	found, err := c.ofProject()
	if err != nil {
		return err
	}
	return c.place.Edit(found.Ref(), file, func(settings *place.Settings) error {
		return change(&editor{call: c, found: found, settings: settings})
	})
}

// encrypt opens the stack's secrets when the first one is encrypted.
func (e *editor) encrypt(text string) (string, error) {
	if e.opened == nil {
		manager, err := e.place.ManagerIn(e, e.found, e.settings)
		if err != nil {
			return "", err
		}
		e.opened = manager.Encrypter()
	}
	return e.opened.EncryptValue(e, text)
}

func (e *editor) set(name, text string, isSecret, path bool) error {
	key, err := e.place.ConfigKey(name, path)
	if err != nil {
		return err
	}
	value := config.NewValue(text)
	if isSecret {
		encrypted, err := e.encrypt(text)
		if err != nil {
			return err
		}
		value = config.NewSecureValue(encrypted)
	}
	return e.settings.Config.Set(key, value, path)
}

var types = map[string]config.Type{
	"": config.TypeUnknown, "string": config.TypeString, "int": config.TypeInt, "bool": config.TypeBool,
	"float": config.TypeFloat,
}

func configSet(c *call) error {
	file := c.configFlags()
	path := c.flags.Bool("path", false, "")
	plaintext := c.flags.Bool("plaintext", false, "")
	isSecret := c.flags.Bool("secret", false, "")
	kind := c.flags.String("type", "", "")
	raw := c.flags.Bool("raw", false, "")
	c.flags.Exclusive("secret", "plaintext", "type")
	if err := c.parse(1, 2); err != nil {
		return err
	}
	var text string
	switch {
	case len(c.rest) == 2:
		text = c.rest[1]
	case c.run.Input == nil:
		return backenderr.NonInteractiveInputRequiredError{
			Detail: "config value must be specified in non-interactive mode",
		}
	case *raw:
		text = *c.run.Input
	default:
		text = strings.TrimSuffix(strings.TrimSuffix(*c.run.Input, "\n"), "\r")
	}
	typed, isType := types[*kind]
	if !isType {
		return fault.Refuse("invalid type %q; must be one of string, int, bool, or float", *kind)
	}
	return c.edit(*file, func(e *editor) error {
		if *isSecret {
			return e.set(c.rest[0], text, true, *path)
		}
		key, err := c.place.ConfigKey(c.rest[0], *path)
		if err != nil {
			return err
		}
		if !*plaintext && looksLikeSecret(key, text) {
			return fmt.Errorf("config value for '%s' looks like a secret; "+
				"rerun with --secret to encrypt it, or --plaintext if you meant to store in plaintext", key)
		}
		if err := e.settings.Config.Set(key, config.NewTypedValue(text, typed), *path); err != nil {
			return fmt.Errorf("could not set config: %w", err)
		}
		return nil
	})
}

var secretNames = regexp.MustCompile("(?i)passwd|pass|password|pwd|secret|token")

// looksLikeSecret guesses as the CLI does: by the name, and by how much the value surprises.
func looksLikeSecret(key config.Key, text string) bool {
	if !secretNames.MatchString(key.Name()) || text == "" {
		return false
	}
	text = text[:min(len(text), 16)]
	surprise := zxcvbn.PasswordStrength(text, nil).Entropy
	return surprise >= 80 || (surprise >= 40 && surprise/float64(len(text)) >= 3)
}

func configSetAll(c *call) error {
	file := c.configFlags()
	path := c.flags.Bool("path", false, "")
	plain := c.flags.StringArray("plaintext", nil, "")
	hidden := c.flags.StringArray("secret", nil, "")
	document := c.flags.String("json", "", "")
	if err := c.parse(0, 0); err != nil {
		return err
	}
	if *document != "" && (len(*plain) > 0 || len(*hidden) > 0 || *path) {
		return fault.Refuse("the --json option cannot be used with the --plaintext, --secret or --path options")
	}
	return c.edit(*file, func(e *editor) error {
		for _, group := range []struct {
			pairs    []string
			isSecret bool
		}{{*plain, false}, {*hidden, true}} {
			for _, pair := range group.pairs {
				name, text, err := splitPair(pair)
				if err != nil {
					return err
				}
				if err := e.set(name, text, group.isSecret, *path); err != nil {
					return err
				}
			}
		}
		if *document == "" {
			return nil
		}
		return e.setDocument(*document)
	})
}

// splitPair reads `key=value`; a key in quotes may have the sign itself.
func splitPair(pair string) (string, string, error) {
	sign := "="
	if strings.HasPrefix(pair, `"`) || strings.HasPrefix(pair, "'") {
		sign = pair[:1] + "="
		pair = pair[1:]
	}
	name, text, found := strings.Cut(pair, sign)
	if !found {
		return "", "", fault.Refuse("config value must be in the form [key]=[value]")
	}
	return name, text, nil
}

// setDocument sets what `config --json --show-secrets` prints.
func (e *editor) setDocument(text string) error {
	var document map[string]configValue
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return fault.Refuse("could not parse --json argument: %s", err)
	}
	for name, entry := range document {
		if entry.Value == nil {
			return fault.Refuse("value for --json object key %q is nil", name)
		}
		key, err := e.place.ConfigKey(name, false)
		if err != nil {
			return fmt.Errorf("invalid --json object key %q: %w", name, err)
		}
		object := entry.ObjectValue != nil
		stored := *entry.Value
		if entry.Secret {
			if stored, err = e.encrypt(stored); err != nil {
				return err
			}
		}
		var value config.Value
		switch {
		case object && entry.Secret:
			value = config.NewSecureObjectValue(stored)
		case object:
			value = config.NewObjectValue(stored)
		case entry.Secret:
			value = config.NewSecureValue(stored)
		default:
			value = config.NewValue(stored)
		}
		if err := e.settings.Config.Set(key, value, object); err != nil {
			return fmt.Errorf("could not set --json config for %q: %w", name, err)
		}
	}
	return nil
}

func configRemove(c *call) error { return c.removeKeys(1) }

func configRemoveAll(c *call) error { return c.removeKeys(-1) }

func (c *call) removeKeys(most int) error {
	file := c.configFlags()
	path := c.flags.Bool("path", false, "")
	if err := c.parse(1, most); err != nil {
		return err
	}
	return c.edit(*file, func(e *editor) error {
		for _, name := range c.rest {
			key, err := c.place.ConfigKey(name, *path)
			if err != nil {
				return err
			}
			if err := e.settings.Config.Remove(key, *path); err != nil {
				return err
			}
		}
		return nil
	})
}

// configRefresh writes the configuration of the last change into the settings.
func configRefresh(c *call) error {
	file := c.configFlags()
	force := c.flags.BoolP("force", "f", false, "")
	if err := c.parse(0, 0); err != nil {
		return err
	}
	if err := c.place.NeedProject(); err != nil {
		return err
	}
	found, err := c.reading()
	if err != nil {
		return err
	}
	latest, err := backend.GetLatestConfiguration(c, found)
	if err != nil {
		return fmt.Errorf("getting latest configuration: %w", err)
	}
	exported, err := backend.ExportStackDeployment(c, found)
	if err != nil {
		return fmt.Errorf("getting deployment: %w", err)
	}
	deployment, err := stack.UnmarshalUntypedDeployment(c, exported)
	if err != nil {
		return fmt.Errorf("unmarshaling deployment: %w", err)
	}
	path := c.place.Path(*file)
	if path == "" {
		path = c.place.SettingsPath(found.Ref())
	}
	if !*force {
		if err := c.keepOld(path); err != nil {
			return err
		}
	}
	err = c.place.Edit(found.Ref(), *file, func(settings *place.Settings) error {
		settings.Config = latest.Config
		if len(latest.Environments) > 0 {
			settings.Environment = workspace.NewEnvironment(latest.Environments)
		}
		if providers := deployment.SecretsProviders; providers != nil {
			return secret.Remember(settings.ProjectStack, providers.Type, providers.State)
		}
		return nil
	})
	if err == nil && !*force {
		fmt.Fprintf(c.run.Stdout, "refreshed configuration for stack '%s'\n", found.Ref().Name())
	}
	return err
}

// keepOld copies the settings to a name that is free.
func (c *call) keepOld(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for backup := path + ".bak"; ; backup += ".bak" {
		file, err := os.OpenFile(backup, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("backing up existing configuration file: %w", err)
		}
		_, err = file.Write(text)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
		fmt.Fprintf(c.run.Stdout, "backed up existing configuration file to %s\n", backup)
		return nil
	}
}
