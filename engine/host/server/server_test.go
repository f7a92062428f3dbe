package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pilot/engine/host/fault"
	"pilot/engine/host/protocol"
	"pilot/engine/host/run"
)

// host serves one kind of work.
func host(t *testing.T, most int, turn Turn, work func(*run.Run) error) (*httptest.Server, *Server) {
	t.Helper()
	answering := New(func(name string) (Command, error) {
		if name != "work" {
			return Command{}, fault.Refuse("unknown command %q", name)
		}
		return Command{Work: work, Turn: turn}, nil
	}, most)
	serving := httptest.NewServer(answering)
	t.Cleanup(func() {
		answering.End()
		serving.Close()
	})
	return serving, answering
}

func ask(t *testing.T, serving *httptest.Server, id, name string) (protocol.Ended, string) {
	t.Helper()
	body, err := json.Marshal(protocol.Run{ID: id, Command: name})
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(serving.URL+"/v1/run", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Error(err)
		return protocol.Ended{}, ""
	}
	defer response.Body.Close()
	var ended protocol.Ended
	said := ""
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		var line protocol.Line
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Error(err)
		}
		if line.Ended != nil {
			ended = *line.Ended
		}
		if line.Stderr != nil {
			said += *line.Stderr
		}
	}
	return ended, said
}

func post(t *testing.T, serving *httptest.Server, route, body string, answer any) int {
	t.Helper()
	response, err := http.Post(serving.URL+route, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if is() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatal(what)
}

// inLine counts the goroutines that wait for their turn, and have their place in the line.
func inLine() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	count := 0
	for _, one := range strings.Split(string(stacks), "\n\n") {
		head, calls, _ := strings.Cut(one, "\n")
		if strings.Contains(head, "[select") && strings.Contains(calls, "semaphore.(*Weighted).Acquire(") {
			count++
		}
	}
	return count
}

func TestRunsWorkInTheOrderOfTheirArrivalAndNoMoreThanAllowed(t *testing.T) {
	var mutex sync.Mutex
	var order []string
	working, most := 0, 0
	free := make(chan struct{})
	serving, _ := host(t, 2, Long, func(run *run.Run) error {
		mutex.Lock()
		order = append(order, run.ID)
		working++
		most = max(most, working)
		mutex.Unlock()
		<-free
		mutex.Lock()
		working--
		mutex.Unlock()
		return nil
	})
	var all sync.WaitGroup
	for at := range 6 {
		all.Go(func() { ask(t, serving, fmt.Sprint(at), "work") })
		begun := min(at+1, 2)
		eventually(t, "it does not get in line", func() bool {
			mutex.Lock()
			defer mutex.Unlock()
			return len(order) == begun && inLine() == at+1-begun
		})
	}
	for at := range 6 {
		free <- struct{}{}
		// One at a time: two that begin together do so in any order.
		eventually(t, "nobody begins", func() bool {
			mutex.Lock()
			defer mutex.Unlock()
			return len(order) == min(at+3, 6)
		})
	}
	all.Wait()
	if most != 2 || strings.Join(order[2:], "") != "2345" {
		t.Errorf("%d at once, in the order %v", most, order)
	}
}

func TestARunIsCancelledWhileItWaits(t *testing.T) {
	free := make(chan struct{})
	serving, answering := host(t, 1, Long, func(*run.Run) error {
		<-free
		return nil
	})
	var all sync.WaitGroup
	all.Go(func() { ask(t, serving, "first", "work") })
	eventually(t, "no first", func() bool { return answering.table.Count() == 1 })
	ended := make(chan protocol.Ended)
	go func() {
		last, _ := ask(t, serving, "second", "work")
		ended <- last
	}()
	eventually(t, "no second", func() bool { return answering.table.Count() == 2 })
	var known protocol.Cancelled
	post(t, serving, "/v1/cancel", `{"id":"second","force":false}`, &known)
	if last := <-ended; !known.Known || last.Code != 8 || last.Fault.Kind != protocol.Canceled {
		t.Errorf("%+v", last)
	}
	close(free)
	all.Wait()
}

// onEnd is a client that acts the moment it hears that its run has ended.
type onEnd struct {
	*httptest.ResponseRecorder
	act func()
}

func (o onEnd) Write(line []byte) (int, error) {
	if strings.Contains(string(line), `"ended"`) {
		o.act()
	}
	return o.ResponseRecorder.Write(line)
}

func TestAClientThatHearsOfTheEndFindsTheStackFree(t *testing.T) {
	_, answering := host(t, 1, Long, func(run *run.Run) error {
		run.Changes("stack")
		if !run.Table.IsChanged("stack") {
			t.Error("not changed while it works")
		}
		return nil
	})
	heard := false
	client := onEnd{httptest.NewRecorder(), func() {
		heard = true
		if answering.table.CancelStack("stack") {
			t.Error("it still counts as changed")
		}
	}}
	body := strings.NewReader(`{"id":"one","command":"work"}`)
	answering.ServeHTTP(client, httptest.NewRequest(http.MethodPost, "/v1/run", body))
	if !heard {
		t.Errorf("no end: %s", client.Body)
	}
}

func TestAPanicEndsItsOwnRunOnly(t *testing.T) {
	serving, _ := host(t, 2, Short, func(run *run.Run) error {
		if run.ID == "bad" {
			panic("nobody thought of this")
		}
		return nil
	})
	last, said := ask(t, serving, "bad", "work")
	if last.Fault == nil || last.Fault.Kind != protocol.EngineBug || !strings.Contains(said, "nobody thought of this") {
		t.Errorf("%+v: %s", last, said)
	}
	if last, _ := ask(t, serving, "good", "work"); last.Code != 0 || last.Fault != nil {
		t.Errorf("%+v", last)
	}
}

func TestAnUnknownCommandIsInvalid(t *testing.T) {
	serving, _ := host(t, 1, Short, nil)
	last, said := ask(t, serving, "1", "frob")
	if last.Fault.Kind != protocol.Invalid || said != "error: unknown command \"frob\"\n" {
		t.Errorf("%+v: %s", last, said)
	}
}

func TestARequestThatCannotBeReadIsRefused(t *testing.T) {
	serving, _ := host(t, 1, Short, nil)
	var why protocol.Fault
	if status := post(t, serving, "/v1/run", `{"id":"1","frob":1}`, &why); status != 400 || why.Kind != protocol.Invalid {
		t.Errorf("%d %+v", status, why)
	}
}

func TestASecondRunOfTheSameIdIsRefused(t *testing.T) {
	free := make(chan struct{})
	serving, answering := host(t, 2, Short, func(*run.Run) error {
		<-free
		return nil
	})
	var all sync.WaitGroup
	all.Go(func() { ask(t, serving, "same", "work") })
	eventually(t, "no run", func() bool { return answering.table.Count() == 1 })
	var why protocol.Fault
	if status := post(t, serving, "/v1/run", `{"id":"same","command":"work"}`, &why); status != 400 {
		t.Errorf("%d", status)
	}
	close(free)
	all.Wait()
}

func TestTheEndCancelsEveryRun(t *testing.T) {
	serving, answering := host(t, 2, Long, func(run *run.Run) error {
		<-run.Stop.Order().Done()
		return context.Canceled
	})
	var all sync.WaitGroup
	all.Go(func() {
		if last, _ := ask(t, serving, "1", "work"); last.Fault == nil || last.Fault.Kind != protocol.Canceled {
			t.Errorf("%+v", last)
		}
	})
	eventually(t, "no run", func() bool { return answering.table.Count() == 1 })
	answering.End()
	all.Wait()
}

func TestHealthTellsWhoAnswers(t *testing.T) {
	serving, _ := host(t, 1, Short, nil)
	response, err := http.Get(serving.URL + "/v1/health")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var health protocol.Health
	if err := json.NewDecoder(response.Body).Decode(&health); err != nil || health.Protocol != protocol.Version {
		t.Errorf("%v %+v", err, health)
	}
}
