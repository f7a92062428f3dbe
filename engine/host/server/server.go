// Package server answers the socket: it takes runs, lets a bounded number of them work in the order in
// which they came, and cancels them.
package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"pilot/engine/host/fault"
	"pilot/engine/host/protocol"
	"pilot/engine/host/run"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	"golang.org/x/sync/semaphore"
)

// Grace is how long a run may take to end in order, once its client has gone or the process is to end: it waits for
// providers that are in the middle of a create. As long as the CLI has before its driver kills it.
const Grace = 60 * time.Second

// last is how long a run may take to end by force.
const last = 5 * time.Second

// Command is found by its name.
type Command struct {
	// Work does it.
	Work func(*run.Run) error
	// Turn is which queue it waits in.
	Turn Turn
}

// Turn tells queues apart.
type Turn int

const (
	// Short commands do not wait behind deployments, which may take minutes.
	Short Turn = iota
	// Long is a deployment or its preview.
	Long
	// Now never waits: it may be what ends those that run.
	Now
)

// Server is the handler of all routes.
type Server struct {
	find   func(name string) (Command, error)
	table  *run.Table
	turns  map[Turn]*semaphore.Weighted
	routes *http.ServeMux
	all    sync.WaitGroup
}

// New makes a server on which at most `most` runs of a queue work at once.
func New(find func(name string) (Command, error), most int) *Server {
	server := &Server{
		find:   find,
		table:  run.NewTable(),
		turns:  map[Turn]*semaphore.Weighted{},
		routes: http.NewServeMux(),
	}
	// These semaphores serve in the order of arrival.
	for _, turn := range []Turn{Short, Long} {
		server.turns[turn] = semaphore.NewWeighted(int64(most))
	}
	server.routes.HandleFunc(protocol.HealthRoute, server.health)
	server.routes.HandleFunc(protocol.RunRoute, server.run)
	server.routes.HandleFunc(protocol.CancelRoute, server.cancel)
	return server
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	s.routes.ServeHTTP(response, request)
}

// End cancels all runs, in order and then by force, and waits for them.
func (s *Server) End() {
	s.table.CancelAll(false)
	ended := make(chan struct{})
	go func() {
		s.all.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return
	case <-time.After(Grace):
	}
	s.table.CancelAll(true)
	select {
	case <-ended:
	case <-time.After(last):
	}
}

func (s *Server) health(response http.ResponseWriter, _ *http.Request) {
	answer(response, http.StatusOK, protocol.Health{
		Protocol: protocol.Version, Engine: version.Version, PID: os.Getpid(), Running: s.table.Count(),
	})
}

func (s *Server) cancel(response http.ResponseWriter, request *http.Request) {
	var cancel protocol.Cancel
	if err := protocol.Decode(request.Body, &cancel); err != nil {
		refuse(response, err)
		return
	}
	answer(response, http.StatusOK, protocol.Cancelled{Known: s.table.Cancel(cancel.ID, cancel.Force)})
}

func (s *Server) run(response http.ResponseWriter, request *http.Request) {
	work := &run.Run{Stop: run.NewStop(), Table: s.table}
	if err := protocol.Decode(request.Body, &work.Run); err != nil {
		refuse(response, err)
		return
	}
	if !s.table.Add(work) {
		refuse(response, fmt.Errorf("a run with the id %q has not ended", work.ID))
		return
	}
	s.all.Add(1)
	defer s.all.Done()
	defer s.table.Remove(work)
	defer work.Stop.ByForce()

	response.Header().Set("Content-Type", "application/x-ndjson")
	lines := newLines(response)
	defer lines.end()
	work.Stdout, work.Stderr = pieces{lines, stdout}, pieces{lines, stderr}
	work.Emit = func(event apitype.EngineEvent) { lines.send(protocol.Line{Event: &event}) }
	left := leave(request.Context(), work.Stop)
	defer left()

	err := s.work(work)
	// Before its client hears of the end: a `cancel` from then on is about whoever holds the stack now.
	work.Changes("")
	code, why := fault.Of(err, work.Stop.Asked())
	if text := fault.Text(err, why); text != "" {
		_, _ = work.Stderr.Write([]byte(text))
	}
	lines.send(protocol.Line{Ended: &protocol.Ended{Code: code, Fault: why}})
}

// leave ends the run when its client goes. What it returns ends the watch.
func leave(client context.Context, stop *run.Stop) func() {
	ended := make(chan struct{})
	go func() {
		select {
		case <-ended:
			return
		case <-client.Done():
		}
		if !stop.Asked() {
			stop.InOrder()
		}
		select {
		case <-ended:
		case <-time.After(Grace):
			stop.ByForce()
		}
	}()
	return func() { close(ended) }
}

// work waits for the run's turn and does it. A bug of the engine ends this run only.
func (s *Server) work(work *run.Run) (err error) {
	command, err := s.find(work.Command)
	if err != nil {
		return err
	}
	if turns := s.turns[command.Turn]; turns != nil {
		if err := turns.Acquire(work.Stop.Order(), 1); err != nil {
			return context.Canceled
		}
		defer turns.Release(1)
	}
	defer func() {
		if panicked := recover(); panicked != nil {
			err = &fault.Bug{Panic: fmt.Sprint(panicked), Stack: string(debug.Stack())}
		}
	}()
	return command.Work(work)
}

func refuse(response http.ResponseWriter, err error) {
	answer(response, http.StatusBadRequest, protocol.Fault{Kind: protocol.Invalid, Message: err.Error()})
}

func answer(response http.ResponseWriter, status int, message any) {
	response.Header().Set("Content-Type", "application/json")
	response.WriteHeader(status)
	_ = json.NewEncoder(response).Encode(message)
}
