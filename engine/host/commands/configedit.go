package commands

import (
	"encoding/json"
	"fmt"
	"strings"

	"pilot/engine/host/fault"
	"pilot/engine/host/place"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
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

type setOptions struct {
	keyed
	Raw       bool `json:"raw"`
	Secret    bool `json:"secret"`
	Plaintext bool `json:"plaintext"`
}

// configSet takes the value as it is, from the input. Whether a value is a secret is said, and not guessed.
func configSet(c *call, options setOptions) error {
	if options.Secret == options.Plaintext || !options.Raw || c.run.Input == nil {
		return fault.LeaveToCLI("a value is an input, raw, and either secret or plain text")
	}
	return c.edit(options.ConfigFile, func(e *editor) error {
		return e.set(c.run.Arguments[0], *c.run.Input, options.Secret, options.Path)
	})
}

type setAllOptions struct {
	keyed
	// Pairs are plain entries, `KEY=VALUE`.
	Pairs []string `json:"plaintext"`
	// Document is what `config --json` answers.
	Document string `json:"json"`
}

func configSetAll(c *call, options setAllOptions) error {
	if options.Document != "" && (len(options.Pairs) > 0 || options.Path) {
		return fault.Refuse("a document cannot be set together with single entries, or by path")
	}
	return c.edit(options.ConfigFile, func(e *editor) error {
		for _, pair := range options.Pairs {
			name, text, err := splitPair(pair)
			if err != nil {
				return err
			}
			if err := e.set(name, text, false, options.Path); err != nil {
				return err
			}
		}
		if options.Document == "" {
			return nil
		}
		return e.setDocument(options.Document)
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

func configRemove(c *call, options keyed) error {
	return c.edit(options.ConfigFile, func(e *editor) error {
		for _, name := range c.run.Arguments {
			key, err := c.place.ConfigKey(name, options.Path)
			if err != nil {
				return err
			}
			if err := e.settings.Config.Remove(key, options.Path); err != nil {
				return err
			}
		}
		return nil
	})
}
