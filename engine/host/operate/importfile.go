package operate

import (
	"encoding/json"
	"fmt"
	"os"

	"pilot/engine/host/fault"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// importFile is the file that `import --file` reads and `preview --import-file` writes.
type importFile struct {
	NameTable map[string]resource.URN `json:"nameTable,omitempty"`
	Resources []importEntry           `json:"resources,omitempty"`
	// ProviderInputs are the configurations of providers that the state does not have yet.
	ProviderInputs map[string]map[string]any `json:"providerInputs,omitempty"`
}

type importEntry struct {
	Type              tokens.Type     `json:"type"`
	Name              string          `json:"name"`
	ID                resource.ID     `json:"id,omitempty"`
	Parent            string          `json:"parent,omitempty"`
	Provider          string          `json:"provider,omitempty"`
	Version           string          `json:"version,omitempty"`
	PluginDownloadURL string          `json:"pluginDownloadUrl,omitempty"`
	Properties        []string        `json:"properties,omitempty"`
	Component         bool            `json:"component,omitempty"`
	Remote            bool            `json:"remote,omitempty"`
	Inputs            map[string]any  `json:"inputs,omitempty"`
	Outputs           map[string]any  `json:"outputs,omitempty"`
	LogicalName       string          `json:"logicalName,omitempty"`
	Parameterization  *importPackage  `json:"parameterization,omitempty"`
	Extension         *importAddition `json:"extension,omitempty"`
}

type importPackage struct {
	PluginName    string `json:"pluginName"`
	PluginVersion string `json:"pluginVersion"`
	Value         []byte `json:"value"`
}

type importAddition struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Value   []byte `json:"value"`
}

func readImportFile(path string) (importFile, error) {
	var read importFile
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	if err != nil {
		return read, fmt.Errorf("could not read import file: %w", err)
	}
	return read, nil
}

func (f importFile) write(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	encoder := json.NewEncoder(file)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "    ")
	if err := encoder.Encode(f); err != nil {
		return err
	}
	return file.Close()
}

// oneImport is the file for what the arguments name.
func (o *operation) oneImport() (importFile, error) {
	if len(o.args) != 3 {
		return importFile{}, fault.Refuse("an import needs a file, or a type, a name and an id; there are %d arguments",
			len(o.args))
	}
	entry := importEntry{
		Type: tokens.Type(o.args[0]), Name: o.args[1], ID: resource.ID(o.args[2]), Properties: o.properties,
	}
	table := map[string]resource.URN{}
	for _, refer := range []struct {
		to     *string
		role   string
		parsed string
	}{{&entry.Parent, "parent", o.parent}, {&entry.Provider, "provider", o.provider}} {
		if refer.parsed == "" {
			continue
		}
		name, urn := namedURN(refer.parsed, refer.role)
		if !urn.IsValid() {
			return importFile{}, fault.Refuse("invalid %s URN: '%s'", refer.role, urn)
		}
		if _, taken := table[name]; taken {
			return importFile{}, fault.Refuse("provider and parent must have distinct names, both were '%s'", name)
		}
		table[name], *refer.to = urn, name
	}
	return importFile{NameTable: table, Resources: []importEntry{entry}}, nil
}

// namedURN reads `name=URN`, or a URN alone.
func namedURN(text, role string) (string, resource.URN) {
	if resource.URN(text).IsValid() {
		return role, resource.URN(text)
	}
	for at, letter := range text {
		if letter == '=' && at > 0 {
			return text[:at], resource.URN(text[at+1:])
		}
	}
	return role, resource.URN(text)
}
