package commands

import (
	"strings"
	"testing"
	"time"
)

func TestJSONIsPrintedAsTheCLIPrintsIt(t *testing.T) {
	var printed strings.Builder
	if err := printJSON(&printed, map[string]any{"a": "<&>"}); err != nil || printed.String() != "{\n  \"a\": \"<&>\"\n}\n" {
		t.Errorf("%q, %v", printed.String(), err)
	}
	if line, err := oneLine([]string{"<"}); err != nil || line != `["<"]` {
		t.Errorf("%q, %v", line, err)
	}
}

func TestATimeIsPrintedInMilliseconds(t *testing.T) {
	at := time.Date(2026, 11, 29, 1, 2, 3, 4_000_000, time.FixedZone("", 3600))
	if text := moment(at); text != "2026-11-29T00:02:03.004Z" {
		t.Error(text)
	}
}

func TestOnlySecretsProvidersThatThereAreAreTaken(t *testing.T) {
	for provider, known := range map[string]bool{
		"default": true, "passphrase": true, "awskms://alias/x?region=y": true, "hashivault://k": true, "": false, "vault://k": false,
	} {
		if err := checkSecretsProvider(provider); (err == nil) != known {
			t.Errorf("%q: %v", provider, err)
		}
	}
}
