package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"pilot/engine/host/protocol"
)

// Each request has an option too many, so that nothing happens: the fault tells of the first option that is not known,
// and of one that is of another type before that.
func TestTheHostHasEveryCommandAndOptionThatTheProtocolLists(t *testing.T) {
	text, err := os.ReadFile("../../automation/protocol.json")
	if err != nil {
		t.Fatal(err)
	}
	type listed struct {
		Commands  []string
		Arguments string
		Options   map[string]string
	}
	var document struct {
		Operations listed
		Commands   map[string]listed
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	all := document.Commands
	for _, operation := range document.Operations.Commands {
		all[operation] = document.Operations
	}
	values := map[string]any{"boolean": true, "number": 1, "string": "x", "strings": []string{"x"}}
	w := newWorld(t, things(0))
	for command, about := range all {
		options := map[string]any{"zz-novel": 1}
		for name, kind := range about.Options {
			options[name] = values[kind]
		}
		request := protocol.Run{ID: command, Place: w.place, Command: command, Stack: "dev"}
		request.Options, _ = json.Marshal(options)
		if about.Arguments != "" {
			request.Arguments = []string{"x"}
		}
		said := w.send(t.Context(), request)
		if said.kind() != protocol.NeedsCLI || !strings.Contains(said.ended.Fault.Message, "zz-novel") {
			t.Errorf("%s: %+v", command, said.ended)
		}
	}
	if len(all) != 23 {
		t.Errorf("%d commands", len(all))
	}
}
