package run

import (
	"bytes"
	"encoding/json"
	"strings"

	"pilot/engine/host/fault"
)

// Decode reads the options of a command into its struct, whose fields have the names of the CLI's flags. One that the
// struct does not have is the CLI's: none is taken and then forgotten.
func (r *Run) Decode(options any) error {
	if len(r.Options) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(r.Options))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(options)
	if err == nil {
		return nil
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return fault.LeaveToCLI("`%s` has no option %s here", r.Command, name)
	}
	return fault.Refuse("the options of `%s`: %s", r.Command, err)
}

// Given are the names of the options, and their values where these are true or false.
func (r *Run) Given() map[string]string {
	given, values := map[string]string{}, map[string]any{}
	// Decode has read it.
	_ = json.Unmarshal(r.Options, &values)
	for name, value := range values {
		given[name] = "set"
		if on, is := value.(bool); is {
			given[name] = map[bool]string{true: "true", false: "false"}[on]
		}
	}
	return given
}
