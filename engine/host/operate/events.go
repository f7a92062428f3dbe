package operate

import (
	"strings"
	"time"

	"pilot/engine/host/run"

	"github.com/pulumi/pulumi/pkg/v3/backend/display"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// stream takes the events of one pass of the engine and sends each to the client and to what prints.
type stream struct {
	events  chan engine.Event
	pumped  chan struct{}
	printed chan bool
}

// pass says what is shown.
type pass struct {
	run      *run.Run
	kind     apitype.UpdateKind
	label    string
	stack    tokens.StackName
	project  tokens.PackageName
	dry      bool
	options  display.Options
	redactor *redactor
	// record keeps what people may want to see later.
	record func(apitype.EngineEvent)
}

func (p *pass) start() *stream {
	s := &stream{events: make(chan engine.Event), pumped: make(chan struct{}), printed: make(chan bool)}
	show := make(chan engine.Event)
	p.options.Stdout, p.options.Stderr = p.run.Stdout, p.run.Stderr
	go func() {
		// What cannot be printed must not end the process.
		defer func() { _ = recover() }()
		display.ShowEvents(strings.ToLower(p.label), p.kind, p.stack, p.project, "", show, s.printed, p.options, p.dry)
	}()
	go p.pump(s, show)
	return s
}

// pump ends when the events do.
func (p *pass) pump(s *stream, show chan<- engine.Event) {
	defer close(s.pumped)
	defer close(show)
	sequence, told := 0, false
	for event := range s.events {
		// The engine's log ends with the cancel event, which every pass has.
		if !told {
			p.emit(event, sequence)
			sequence++
			told = event.Type == engine.CancelEvent
		}
		select {
		case show <- event:
		case <-s.printed:
		}
	}
}

func (p *pass) emit(event engine.Event, sequence int) {
	// An event that cannot be told is left out, as the CLI does.
	defer func() { _ = recover() }()
	told, err := display.ConvertEngineEvent(event, false)
	if err != nil {
		return
	}
	told.Sequence, told.Timestamp = sequence, int(time.Now().Unix())
	if p.options.Color == colors.Never {
		plain(&told)
	}
	told = p.redactor.event(told)
	p.run.Emit(told)
	if p.lasts(event) {
		p.record(told)
	}
}

// lasts is true for what an update's log is about; its end is not told by an event.
func (p *pass) lasts(event engine.Event) bool {
	switch payload := event.Payload().(type) {
	case engine.DiagEventPayload:
		if payload.Severity == diag.Debug && !p.options.Debug {
			return false
		}
	case engine.ResourcePreEventPayload:
		if payload.Metadata.Untargeted {
			return false
		}
	case engine.ResourceOutputsEventPayload:
		if payload.Metadata.Untargeted {
			return false
		}
	}
	return event.Type != engine.CancelEvent && !event.Internal() && !event.Ephemeral()
}

func plain(event *apitype.EngineEvent) {
	never := func(text *string) { *text = colors.Never.Colorize(*text) }
	switch {
	case event.DiagnosticEvent != nil:
		never(&event.DiagnosticEvent.Message)
		never(&event.DiagnosticEvent.Prefix)
		event.DiagnosticEvent.Color = string(colors.Never)
	case event.StdoutEvent != nil:
		never(&event.StdoutEvent.Message)
		event.StdoutEvent.Color = string(colors.Never)
	case event.PolicyEvent != nil:
		never(&event.PolicyEvent.Message)
		event.PolicyEvent.Color = string(colors.Never)
	}
}

// end waits until everything is told.
func (s *stream) end() {
	close(s.events)
	<-s.pumped
	<-s.printed
}
