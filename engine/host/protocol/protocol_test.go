package protocol

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

type document struct {
	Version  int               `json:"version"`
	Routes   map[string]string `json:"routes"`
	Messages map[string]struct {
		Kinds    []Kind            `json:"kinds"`
		Examples []json.RawMessage `json:"examples"`
	} `json:"messages"`
}

func read(t *testing.T) document {
	t.Helper()
	text, err := os.ReadFile("../../../automation/protocol.json")
	if err != nil {
		t.Fatal(err)
	}
	var read document
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

func TestEveryExampleIsUnderstoodAndWrittenBackAsItWas(t *testing.T) {
	messages := map[string]func() any{
		"health":    func() any { return &Health{} },
		"run":       func() any { return &Run{} },
		"line":      func() any { return &Line{} },
		"fault":     func() any { return &Fault{} },
		"cancel":    func() any { return &Cancel{} },
		"cancelled": func() any { return &Cancelled{} },
	}
	document := read(t)
	if len(document.Messages) != len(messages) {
		t.Fatalf("protocol.json has %d messages", len(document.Messages))
	}
	for name, about := range document.Messages {
		for _, example := range about.Examples {
			message := messages[name]()
			if err := Decode(bytes.NewReader(example), message); err != nil {
				t.Fatalf("%s: %v in %s", name, err, example)
			}
			written, err := json.Marshal(message)
			if err != nil {
				t.Fatal(err)
			}
			var before, after any
			if json.Unmarshal(example, &before) != nil || json.Unmarshal(written, &after) != nil {
				t.Fatal("not JSON")
			}
			if !reflect.DeepEqual(before, after) {
				t.Errorf("%s: %s became %s", name, example, written)
			}
		}
	}
}

func TestTheKindsAndRoutesAreThoseOfTheDocument(t *testing.T) {
	document := read(t)
	if document.Version != Version {
		t.Errorf("version %d", document.Version)
	}
	if !reflect.DeepEqual(document.Messages["fault"].Kinds, Kinds) {
		t.Errorf("kinds %v", document.Messages["fault"].Kinds)
	}
	for _, route := range []string{HealthRoute, RunRoute, CancelRoute} {
		if _, known := document.Routes[route]; !known {
			t.Errorf("%s is not in the document", route)
		}
	}
	if len(document.Routes) != 3 {
		t.Errorf("%d routes", len(document.Routes))
	}
}

func TestAFieldThatNobodyKnowsIsRefused(t *testing.T) {
	var cancel Cancel
	if err := Decode(bytes.NewReader([]byte(`{"id":"1","now":true}`)), &cancel); err == nil {
		t.Error("accepted")
	}
}
