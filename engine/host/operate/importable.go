package operate

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy/providers"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	sdkproviders "github.com/pulumi/pulumi/sdk/v3/go/common/providers"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// idToFill stands where only people know the id.
const idToFill = "<PLACEHOLDER>"

// importable gathers from a preview what it would create, as a file for `import`.
type importable struct{ steps []engine.StepEventMetadata }

func newImportable() *importable { return &importable{} }

func (i *importable) see(event engine.Event) {
	if event.Type == engine.ResourcePreEvent {
		i.steps = append(i.steps, event.Payload().(engine.ResourcePreEventPayload).Metadata)
	}
}

// unique gives each resource a name of its own.
type unique struct {
	names map[resource.URN]string
	taken map[string]bool
}

func (u *unique) name(urn resource.URN) string {
	if name, known := u.names[urn]; known {
		return name
	}
	name := urn.Name()
	if u.taken[name] {
		name += string(urn.Type().Name())
	}
	for base, number := name, 2; u.taken[name]; number++ {
		name = fmt.Sprintf("%s%d", base, number)
	}
	u.names[urn], u.taken[name] = name, true
	return name
}

func (o *operation) writeImportable(ctx context.Context) error {
	if o.importable == nil {
		return nil
	}
	file, err := o.importable.file(ctx, o)
	if err != nil {
		return err
	}
	return file.write(o.place.Path(o.importFile))
}

func (i *importable) file(ctx context.Context, o *operation) (importFile, error) {
	file := importFile{NameTable: map[string]resource.URN{}}
	names := &unique{map[resource.URN]string{}, map[string]bool{}}
	inputs := map[resource.URN]resource.PropertyMap{}
	created := map[resource.URN]bool{}
	for _, step := range i.steps {
		if sdkproviders.IsProviderType(step.URN.Type()) && step.Res != nil && step.Res.State != nil {
			inputs[step.URN] = step.Res.State.Inputs
		}
		if step.Op == deploy.OpCreate && step.New != nil {
			created[step.URN] = true
		}
	}
	for _, step := range i.steps {
		custom := step.URN.Type() != resource.RootStackType && !sdkproviders.IsProviderType(step.URN.Type())
		if !created[step.URN] || !custom {
			continue
		}
		made := step.New
		entry := importEntry{
			Type: made.Type, Name: names.name(step.URN), Component: !made.Custom,
			Remote: !made.Custom && made.Provider != "",
		}
		if made.Custom {
			entry.ID = idToFill
		}
		if entry.Name != step.URN.Name() {
			entry.LogicalName = step.URN.Name()
		}
		if made.Parent != "" && made.Parent.QualifiedType() != resource.RootStackType {
			entry.Parent = names.name(made.Parent)
			if !created[made.Parent] {
				file.NameTable[entry.Parent] = made.Parent
			}
		}
		if made.Provider != "" {
			provider, err := sdkproviders.ParseReference(made.Provider)
			if err != nil {
				return file, fmt.Errorf("could not parse provider reference: %w", err)
			}
			if err := entry.packagedBy(inputs[provider.URN()]); err != nil {
				return file, err
			}
			if !sdkproviders.IsDefaultProvider(provider.URN()) {
				entry.Provider = names.name(provider.URN())
				file.NameTable[entry.Provider] = provider.URN()
				if created[provider.URN()] {
					err := file.configure(ctx, entry.Provider, inputs[provider.URN()], o)
					if err != nil {
						return file, err
					}
				}
			}
		}
		file.Resources = append(file.Resources, entry)
	}
	return file, nil
}

func (e *importEntry) packagedBy(inputs resource.PropertyMap) error {
	version, err := providers.GetProviderVersion(inputs)
	if err != nil {
		return fmt.Errorf("could not get the version of the provider of %s: %w", e, err)
	}
	if version != nil {
		e.Version = version.String()
	}
	e.PluginDownloadURL, err = providers.GetProviderDownloadURL(inputs)
	return err
}

// configure keeps how a provider is configured that does not exist yet.
func (f *importFile) configure(
	ctx context.Context, name string, inputs resource.PropertyMap, o *operation,
) error {
	serialized, err := stack.SerializeProperties(ctx, inputs, o.secrets.Encrypter(), false)
	if err != nil {
		return fmt.Errorf("could not serialize the inputs of the provider %s: %w", name, err)
	}
	if f.ProviderInputs == nil {
		f.ProviderInputs = map[string]map[string]any{}
	}
	f.ProviderInputs[name] = serialized
	return nil
}
