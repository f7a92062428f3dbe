package operate

import (
	"errors"
	"fmt"

	"pilot/engine/host/fault"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/providers"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// readImports reads what to import.
func (o *operation) readImports() error {
	if o.from != "" {
		return fault.Refuse("import --from is not for the engine host: a converter is a program of its own")
	}
	if o.generateCode {
		return fault.Refuse("import --generate-code is not for the engine host: " +
			"the project's language plugin writes the code; pass --generate-code=false")
	}
	file, err := o.importsFrom()
	if err != nil {
		return err
	}
	o.imports, err = o.resolve(file)
	return err
}

func (o *operation) importsFrom() (importFile, error) {
	if o.file == "" {
		return o.oneImport()
	}
	if len(o.args) != 0 || o.parent != "" || o.provider != "" || len(o.properties) != 0 {
		return importFile{}, fault.Refuse("an inline resource may not be specified in conjunction with an import file")
	}
	return readImportFile(o.place.Path(o.file))
}

// afterImport is nothing but the result: code is not generated here.
func (o *operation) afterImport(failed error) error { return failed }

// resolve gives every entry its URN and makes the engine's imports of them.
func (o *operation) resolve(file importFile) ([]deploy.Import, error) {
	var failed []error
	for at := range file.Resources {
		entry := &file.Resources[at]
		if entry.LogicalName == "" {
			entry.LogicalName = entry.Name
		}
		if entry.Name == "" {
			entry.Name = entry.LogicalName
		}
		failed = append(failed, entry.check(at))
	}
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	known, err := o.urns(file)
	if err != nil {
		return nil, err
	}
	imports := make([]deploy.Import, len(file.Resources))
	for at, entry := range file.Resources {
		made, err := entry.toImport(file, known, o.secrets.Decrypter())
		made.Protect = o.protect
		imports[at] = made
		failed = append(failed, err)
	}
	return imports, errors.Join(failed...)
}

func (e *importEntry) String() string {
	return fmt.Sprintf("resource '%s' of type '%s'", e.Name, e.Type)
}

func (e *importEntry) check(at int) error {
	provider := providers.IsProviderType(e.Type)
	switch {
	case e.Type == "":
		return fmt.Errorf("resource %d (%s) has no type", at, e.Name)
	case e.Name == "":
		return fmt.Errorf("resource %d of type '%s' has no name", at, e.Type)
	case provider && (e.ID != "" || e.Component || e.Parent != "" || len(e.Outputs) > 0):
		return fmt.Errorf("%s is a provider, which is created: it has no ID, no parent and no outputs", e)
	case !provider && !e.Component && e.ID == "":
		return fmt.Errorf("%s has no ID", e)
	case e.Component && e.ID != "":
		return fmt.Errorf("%s has an ID, but is marked as a component", e)
	case e.Remote && !e.Component:
		return fmt.Errorf("%s is marked as remote, but not as a component", e)
	case e.Parameterization != nil && e.Extension != nil:
		return fmt.Errorf("%s has both a parameterization and an extension, which exclude each other", e)
	}
	return nil
}

// entryNames are the URNs by the names that entries use; a name that two entries have is nobody's.
type entryNames struct {
	urns      map[string]resource.URN
	ambiguous map[string]bool
}

func (o *operation) urns(file importFile) (*entryNames, error) {
	known := &entryNames{map[string]resource.URN{}, map[string]bool{}}
	taken := map[resource.URN]bool{}
	for name, urn := range file.NameTable {
		known.urns[name] = urn
		taken[urn] = true
	}
	waiting := map[string]bool{}
	for _, entry := range file.Resources {
		known.ambiguous[entry.Name] = waiting[entry.Name]
		waiting[entry.Name] = true
	}
	// A parent may stand behind its children.
	left := make([]int, len(file.Resources))
	for at := range left {
		left[at] = at
	}
	for len(left) > 0 {
		var again []int
		for _, at := range left {
			entry := &file.Resources[at]
			var parent tokens.Type
			if entry.Parent != "" {
				urn, found := known.urns[entry.Parent]
				switch {
				case known.ambiguous[entry.Parent]:
					return nil, fmt.Errorf("%s has an ambiguous parent", entry)
				case !found && waiting[entry.Parent]:
					again = append(again, at)
					continue
				case !found:
					return nil, fmt.Errorf("the parent '%s' for %s has no entry in 'nameTable'", entry.Parent, entry)
				}
				parent = urn.QualifiedType()
			}
			urn := resource.NewURN(o.ref.Name().Q(), o.place.Project.Name, parent, entry.Type, entry.LogicalName)
			if taken[urn] {
				return nil, fmt.Errorf("%s has an ambiguous URN, set name (or logical name) to be unique", entry)
			}
			taken[urn], known.urns[entry.Name] = true, urn
		}
		if len(again) == len(left) {
			return nil, fmt.Errorf("%s is its own parent", &file.Resources[again[0]])
		}
		left = again
	}
	return known, nil
}

func (e *importEntry) toImport(
	file importFile, known *entryNames, decrypter config.Decrypter,
) (deploy.Import, error) {
	made := deploy.Import{
		Type: e.Type, Name: e.LogicalName, ID: e.ID, Properties: e.Properties,
		PluginDownloadURL: e.PluginDownloadURL, Component: e.Component, Remote: e.Remote,
		Parent: known.urns[e.Parent],
	}
	var failed []error
	read := func(from map[string]any, to *property.Map) {
		if from == nil {
			return
		}
		properties, err := stack.DeserializeProperties(from, decrypter)
		if err != nil {
			failed = append(failed, fmt.Errorf("could not deserialize the properties of %s: %w", e, err))
		}
		*to = resource.FromResourcePropertyMap(properties)
	}
	if e.Provider != "" {
		urn, found := known.urns[e.Provider]
		switch {
		case known.ambiguous[e.Provider]:
			failed = append(failed, fmt.Errorf("%s has an ambiguous provider", e))
		case !found:
			failed = append(failed, fmt.Errorf("the provider '%s' for %s has no entry in 'nameTable' or 'resources'",
				e.Provider, e))
		case !urn.IsValid() || !providers.IsProviderType(urn.Type()):
			failed = append(failed, fmt.Errorf("the provider '%s' for %s is not a provider", e.Provider, e))
		}
		made.Provider = urn
		read(file.ProviderInputs[e.Provider], &made.ProviderInputs)
	}
	if providers.IsProviderType(e.Type) {
		read(file.ProviderInputs[e.Name], &made.ProviderInputs)
		read(e.Inputs, &made.ProviderInputs)
	} else {
		read(e.Inputs, &made.Inputs)
		read(e.Outputs, &made.Outputs)
	}
	return made, errors.Join(append(failed, e.packaging(&made))...)
}

// packaging says which provider reads the resource.
func (e *importEntry) packaging(made *deploy.Import) error {
	if e.Version != "" {
		version, err := semver.ParseTolerant(e.Version)
		if err != nil {
			return fmt.Errorf("could not parse version '%s' for %s: %w", e.Version, e, err)
		}
		made.Version = &version
	}
	if e.Parameterization != nil {
		version, err := semver.ParseTolerant(e.Parameterization.PluginVersion)
		if err != nil {
			return fmt.Errorf("could not parse version '%s' for %s: %w", e.Parameterization.PluginVersion, e, err)
		}
		made.Parameterization = &deploy.Parameterization{
			PluginName:    tokens.Package(e.Parameterization.PluginName),
			PluginVersion: version,
			Value:         e.Parameterization.Value,
		}
	}
	if e.Extension != nil {
		made.Extension = &apitype.Extension{
			Name: e.Extension.Name, Version: e.Extension.Version, Value: e.Extension.Value,
		}
	}
	return nil
}
