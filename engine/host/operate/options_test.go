package operate

import (
	"errors"
	"testing"

	"pilot/engine/host/fault"
)

func TestOptionsThatTheHostDoesNotDoAreLeftToTheCLI(t *testing.T) {
	for given, kinds := range map[string]int{
		"--event-log=x":                  forAll,
		"--disable-integrity-checking":   forAll,
		"--neo":                          forAll &^ forImport,
		"--override-env=a=b":             forAll &^ forImport,
		"--secrets-provider=passphrase":  forUp,
		"--out=x":                        forImport,
		"--generate-resources=resources": forImport,
	} {
		for name, kind := range names {
			if kinds&kind == 0 {
				continue
			}
			args := []string{given, "--skip-preview"}
			if kind == forPreview {
				args = args[:1]
			}
			_, err := parse(kind, name, args)
			var left *fault.LeftToCLI
			if !errors.As(err, &left) {
				t.Errorf("%s %s: %v", name, given, err)
			}
		}
	}
}
