package commands

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"time"

	"pilot/engine/host/fault"
)

// printJSON prints as the CLI does: indented by two, and no character escaped for the sake of HTML.
func printJSON(to io.Writer, value any) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// oneLine is a value as JSON in one line.
func oneLine(value any) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSuffix(text.String(), "\n"), err
}

// moment is a time as the CLI prints it: RFC 5424, in milliseconds.
func moment(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// keepers are the kinds of secrets providers that there are.
var keepers = []string{"default", "passphrase", "awskms", "azurekeyvault", "gcpkms", "hashivault"}

func checkSecretsProvider(provider string) error {
	kind, _, _ := strings.Cut(provider, ":")
	for _, known := range keepers {
		if kind == known {
			return nil
		}
	}
	return fault.Refuse("unknown secrets provider type '%s' (supported values: %s)", kind, strings.Join(keepers, ","))
}
