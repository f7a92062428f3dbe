package operate

import (
	"errors"
	"testing"

	"pilot/engine/host/fault"
)

func TestOptionsThatTheHostDoesNotDoAreLeftToTheCLI(t *testing.T) {
	all := forUp | forPreview | forRefresh | forDestroy
	for given, kinds := range map[string]int{
		"--event-log=x":                 all,
		"--disable-integrity-checking":  all,
		"--neo":                         all,
		"--override-env=a=b":            all,
		"--secrets-provider=passphrase": forUp,
		"--import-file=x":               forPreview,
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
