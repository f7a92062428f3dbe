package server

import (
	"encoding/json"
	"net/http"

	"pilot/engine/host/protocol"
)

// lines writes a run's answer: each line at once when the client keeps up, several together when not.
type lines struct {
	queue chan protocol.Line
	done  chan struct{}
	// ahead is a line that was read while the one before was put together.
	ahead *protocol.Line
}

// waiting is how many lines a run may be ahead of its client before it waits.
const waiting = 512

func newLines(response http.ResponseWriter) *lines {
	l := &lines{queue: make(chan protocol.Line, waiting), done: make(chan struct{})}
	go l.write(response)
	return l
}

func (l *lines) write(response http.ResponseWriter) {
	defer close(l.done)
	encoder := json.NewEncoder(response)
	encoder.SetEscapeHTML(false)
	flusher := http.NewResponseController(response)
	gone := false
	for line, more := l.next(); more; line, more = l.next() {
		// A client that has gone must not stop the run: it still has to end in order.
		if gone {
			continue
		}
		gone = encoder.Encode(line) != nil
		if !gone && l.ahead == nil && len(l.queue) == 0 {
			gone = flusher.Flush() != nil
		}
	}
}

// next is the next line, or the one that was read too far. Pieces of text that wait are put together,
// because what prints writes word by word.
func (l *lines) next() (protocol.Line, bool) {
	line := l.ahead
	l.ahead = nil
	if line == nil {
		first, more := <-l.queue
		if !more {
			return protocol.Line{}, false
		}
		line = &first
	}
	for len(l.queue) > 0 {
		following, more := <-l.queue
		if !more {
			break
		}
		if line.Stdout == nil || following.Stdout == nil {
			l.ahead = &following
			break
		}
		joined := *line.Stdout + *following.Stdout
		line.Stdout = &joined
	}
	return *line, true
}

func (l *lines) send(line protocol.Line) { l.queue <- line }

// end waits until all is written.
func (l *lines) end() {
	close(l.queue)
	<-l.done
}

// pieces is a Writer of stdout or stderr lines.
type pieces struct {
	lines *lines
	wrap  func(*string) protocol.Line
}

func (p pieces) Write(text []byte) (int, error) {
	if len(text) > 0 {
		piece := string(text)
		p.lines.send(p.wrap(&piece))
	}
	return len(text), nil
}

func stdout(piece *string) protocol.Line { return protocol.Line{Stdout: piece} }
func stderr(piece *string) protocol.Line { return protocol.Line{Stderr: piece} }
