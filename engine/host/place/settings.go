package place

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pilot/engine/host/fault"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// Settings is a stack's settings file.
type Settings struct {
	*workspace.ProjectStack
	project *workspace.Project
	path    string
}

// SettingsPath is where a stack's settings are.
func (p *Place) SettingsPath(ref backend.StackReference) string {
	extension := ".yaml"
	if p.File != "" {
		extension = filepath.Ext(p.File)
	}
	name := strings.ReplaceAll(ref.Name().String(), tokens.QNameDelimiter, "-")
	return filepath.Join(p.Root, p.Project.StackConfigDir, workspace.ProjectFile+"."+name+extension)
}

// Settings reads a stack's settings, or another file in their place.
func (p *Place) Settings(ref backend.StackReference, file string) (*Settings, error) {
	path := p.Path(file)
	if path == "" {
		path = p.SettingsPath(ref)
	}
	read, err := workspace.LoadProjectStack(p.Sink, p.Project, path)
	if err != nil {
		return nil, fmt.Errorf("could not read the stack's settings %s: %w", path, err)
	}
	if read.Config == nil {
		read.Config = config.Map{}
	}
	return &Settings{read, p.Project, path}, nil
}

// NoEnvironments refuses settings that refer to environments: only services have these, and only the CLI opens them.
func (p *Place) NoEnvironments(settings *Settings) error {
	switch {
	case len(settings.EnvironmentBytes()) == 0:
		return nil
	case p.Backend().SupportsOrganizations():
		return fault.LeaveToCLI("the stack's settings refer to environments")
	}
	return fault.Refuse("backend %s does not support environments", p.Backend().Name())
}

// Edit reads, changes and writes a stack's settings, while no other host edits them.
func (p *Place) Edit(ref backend.StackReference, file string, change func(*Settings) error) error {
	path := p.Path(file)
	if path == "" {
		path = p.SettingsPath(ref)
	}
	release, err := edits.lock(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer release()
	settings, err := p.Settings(ref, file)
	if err != nil {
		return err
	}
	if err := change(settings); err != nil {
		return err
	}
	return settings.save()
}

// save replaces the file as a whole, so that no reader finds half of it.
func (s *Settings) save() error {
	path := s.path
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// The extension says which format it gets.
	temporary, err := os.CreateTemp(filepath.Dir(path), ".settings-*"+filepath.Ext(path))
	if err != nil {
		return fmt.Errorf("save stack config: %w", err)
	}
	defer os.Remove(temporary.Name())
	defer temporary.Close()
	if err := s.ProjectStack.Save(temporary.Name()); err != nil {
		return fmt.Errorf("save stack config: %w", err)
	}
	if err := s.keptIn(temporary.Name()); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if before, err := os.Stat(path); err == nil {
		mode = before.Mode().Perm()
	}
	if err := os.Chmod(temporary.Name(), mode); err != nil {
		return err
	}
	if err := temporary.Sync(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// keptIn reads back texts of several lines: Pulumi's YAML loses the first line break of one that begins with it.
func (s *Settings) keptIn(path string) error {
	if !slices.ContainsFunc(slices.Collect(maps.Values(s.Config)), severalLines) {
		return nil
	}
	written, err := workspace.LoadProjectStack(nil, s.project, path)
	if err != nil {
		return fmt.Errorf("save stack config: %w", err)
	}
	for key, value := range s.Config {
		if written.Config[key] != value {
			return fault.Refuse("the settings file does not keep the value of %s as it is: make it a secret", key)
		}
	}
	return nil
}

func severalLines(value config.Value) bool {
	text, err := value.Value(config.NopDecrypter)
	return err != nil || strings.Contains(text, "\n")
}

// Manager opens a stack's secrets by its settings, and saves these when they did not say what opens
// them. The caller does not hold the settings' lock.
func (p *Place) Manager(
	ctx context.Context, stack backend.Stack, settings *Settings,
) (secrets.Manager, error) {
	opened, changed, err := p.manager(ctx, stack, settings)
	if err != nil || !changed {
		return opened, err
	}
	saved := p.Edit(stack.Ref(), settings.path, func(fresh *Settings) error {
		fresh.EncryptionSalt, fresh.EncryptedKey = settings.EncryptionSalt, settings.EncryptedKey
		fresh.SecretsProvider = settings.SecretsProvider
		return nil
	})
	return opened, saved
}

// ManagerIn is Manager for a caller that edits the settings and saves them afterwards.
func (p *Place) ManagerIn(
	ctx context.Context, stack backend.Stack, settings *Settings,
) (secrets.Manager, error) {
	opened, _, err := p.manager(ctx, stack, settings)
	return opened, err
}

func (p *Place) manager(
	ctx context.Context, stack backend.Stack, settings *Settings,
) (secrets.Manager, bool, error) {
	return p.Secrets.Manager(ctx, settings.ProjectStack, stack, func() (*deploy.Snapshot, error) {
		return p.Snapshot(ctx, stack)
	})
}
