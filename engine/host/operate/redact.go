package operate

import (
	"context"
	"encoding/json"
	"io"
	"sync/atomic"

	"pilot/engine/host/blind"
	"pilot/engine/host/fault"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
)

// The engine keeps a list of the secrets of all runs of a process and blinds them in all that any run
// says, for good. In a process that lives on, that would blind one place's values by another's secrets,
// and slow down every run a little more. So each run blinds its own secrets itself, and the engine learns
// of none when it makes its list.

// later decrypts nothing until it is told to: the engine asks for all secrets twice, first for its list.
type later struct {
	config.Decrypter
	told atomic.Bool
}

func (l *later) DecryptValue(ctx context.Context, text string) (string, error) {
	if !l.told.Load() {
		return "", nil
	}
	return l.Decrypter.DecryptValue(ctx, text)
}

func (l *later) BatchDecrypt(ctx context.Context, texts []string) ([]string, error) {
	if !l.told.Load() {
		return make([]string, len(texts)), nil
	}
	return l.Decrypter.BatchDecrypt(ctx, texts)
}

// redactor blinds one run's secrets; nil when it has none.
type redactor struct{ *blind.Blinder }

func newRedactor(settings config.Map, decrypter config.Decrypter) (*redactor, error) {
	if !settings.HasSecureValue() {
		return nil, nil
	}
	var secrets []string
	for _, value := range settings {
		if !value.Secure() {
			continue
		}
		found, err := value.SecureValues(decrypter)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, found...)
	}
	return &redactor{blind.Of(secrets)}, nil
}

// structure are the fields of events in which the engine blinds nothing either.
var structure = map[string]bool{
	"urn": true, "type": true, "op": true, "id": true, "parent": true, "provider": true, "kind": true,
	"severity": true, "result": true, "color": true, "keys": true, "diffs": true,
}

func (r *redactor) event(event apitype.EngineEvent) apitype.EngineEvent {
	if r == nil {
		return event
	}
	text, err := json.Marshal(event)
	if err != nil {
		return event
	}
	var value any
	if json.Unmarshal(text, &value) != nil {
		return event
	}
	if text, err = json.Marshal(r.value("", value)); err != nil {
		return event
	}
	var blinded apitype.EngineEvent
	if json.Unmarshal(text, &blinded) != nil {
		return event
	}
	return blinded
}

func (r *redactor) value(field string, value any) any {
	switch value := value.(type) {
	case string:
		if structure[field] {
			return value
		}
		return r.Text(value)
	case []any:
		for index := range value {
			value[index] = r.value(field, value[index])
		}
	case map[string]any:
		for field := range value {
			value[field] = r.value(field, value[field])
		}
	}
	return value
}

// error blinds what a failure says.
func (r *redactor) error(err error) error {
	if r == nil || err == nil {
		return err
	}
	return &fault.Blinded{Err: err, Text: r.Text(err.Error())}
}

// blindly makes the run blind to its secrets in all that it prints from now on.
func (o *operation) blindly() error {
	var err error
	if o.redactor, err = newRedactor(o.settings, o.secrets.Decrypter()); err != nil || o.redactor == nil {
		return err
	}
	o.plainly()
	o.stdout, o.stderr = o.run.Stdout, o.run.Stderr
	o.run.Stdout, o.run.Stderr = o.redactor.Writer(o.stdout), o.redactor.Writer(o.stderr)
	return nil
}

// plainly ends that, and tells what was kept back.
func (o *operation) plainly() {
	if o.stdout == nil {
		return
	}
	for _, writer := range []io.Writer{o.run.Stdout, o.run.Stderr} {
		if blinding, is := writer.(*blind.Writer); is {
			_ = blinding.Flush()
		}
	}
	o.run.Stdout, o.run.Stderr, o.stdout, o.stderr = o.stdout, o.stderr, nil, nil
}
