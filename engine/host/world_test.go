package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"pilot/engine/host/ambient"
	"pilot/engine/host/commands"
	"pilot/engine/host/place"
	"pilot/engine/host/protocol"
	"pilot/engine/host/server"
	"pilot/engine/host/service"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	rpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// provider serves one kind of resource.
type provider struct {
	rpc.UnimplementedResourceProviderServer
	// creating is called when a resource is created.
	creating func(ctx context.Context)
	created  atomic.Int32
	// cancelling is called when the engine says that the run is to end.
	cancelling func()
}

func (*provider) CheckConfig(_ context.Context, r *rpc.CheckRequest) (*rpc.CheckResponse, error) {
	return &rpc.CheckResponse{Inputs: r.News}, nil
}

func (*provider) DiffConfig(context.Context, *rpc.DiffRequest) (*rpc.DiffResponse, error) {
	return &rpc.DiffResponse{}, nil
}

func (*provider) Configure(context.Context, *rpc.ConfigureRequest) (*rpc.ConfigureResponse, error) {
	return &rpc.ConfigureResponse{
		AcceptSecrets: true, SupportsPreview: true, AcceptResources: true, AcceptOutputs: true,
	}, nil
}

func (*provider) Check(_ context.Context, r *rpc.CheckRequest) (*rpc.CheckResponse, error) {
	return &rpc.CheckResponse{Inputs: r.News}, nil
}

func (*provider) Diff(context.Context, *rpc.DiffRequest) (*rpc.DiffResponse, error) {
	return &rpc.DiffResponse{Changes: rpc.DiffResponse_DIFF_NONE}, nil
}

func (p *provider) Create(ctx context.Context, r *rpc.CreateRequest) (*rpc.CreateResponse, error) {
	if !r.Preview {
		p.created.Add(1)
		if p.creating != nil {
			p.creating(ctx)
		}
	}
	return &rpc.CreateResponse{Id: "x", Properties: r.Properties}, nil
}

func (*provider) Read(_ context.Context, r *rpc.ReadRequest) (*rpc.ReadResponse, error) {
	found, err := structpb.NewStruct(map[string]any{"a": "b"})
	if len(r.Properties.GetFields()) > 0 {
		found = r.Properties
	}
	return &rpc.ReadResponse{Id: r.Id, Properties: found, Inputs: found}, err
}

func (*provider) Delete(context.Context, *rpc.DeleteRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (p *provider) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	if p.cancelling != nil {
		p.cancelling()
	}
	return &emptypb.Empty{}, nil
}

func (*provider) GetPluginInfo(context.Context, *emptypb.Empty) (*rpc.PluginInfo, error) {
	return &rpc.PluginInfo{Version: "0.1.0"}, nil
}

func (*provider) Attach(context.Context, *rpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// program runs `body` as an inline program.
type program struct {
	rpc.UnimplementedLanguageRuntimeServer
	body func(*pulumi.Context) error
}

func (program) GetPluginInfo(context.Context, *emptypb.Empty) (*rpc.PluginInfo, error) {
	return &rpc.PluginInfo{Version: "1.0.0"}, nil
}

func (program) GetRequiredPackages(
	context.Context, *rpc.GetRequiredPackagesRequest,
) (*rpc.GetRequiredPackagesResponse, error) {
	return &rpc.GetRequiredPackagesResponse{}, nil
}

func (p program) Run(ctx context.Context, r *rpc.RunRequest) (*rpc.RunResponse, error) {
	run, err := pulumi.NewContext(ctx, pulumi.RunInfo{
		Project: r.Project, Stack: r.Stack, Config: r.Config, ConfigSecretKeys: r.ConfigSecretKeys, Parallel: r.Parallel,
		DryRun: r.DryRun, MonitorAddr: r.MonitorAddress, EngineAddr: r.Args[0], Organization: r.Organization,
	})
	if err == nil {
		err = errors.Join(pulumi.RunWithContext(run, p.body), run.Close())
	}
	if err != nil {
		return &rpc.RunResponse{Error: err.Error()}, nil
	}
	return &rpc.RunResponse{}, nil
}

// things makes this many resources and one output.
func things(count int) func(*pulumi.Context) error {
	return func(ctx *pulumi.Context) error {
		for at := range count {
			var made struct{ pulumi.CustomResourceState }
			inputs := pulumi.Map{"a": pulumi.String("b")}
			if err := ctx.RegisterResource("pilot:index:Thing", fmt.Sprintf("r%d", at), inputs, &made); err != nil {
				return err
			}
		}
		ctx.Export("url", pulumi.String("http://shop.example"))
		return nil
	}
}

func serve(t testing.TB, register func(*grpc.Server)) net.Addr {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving := grpc.NewServer()
	register(serving)
	go func() { _ = serving.Serve(listener) }()
	t.Cleanup(serving.Stop)
	return listener.Addr()
}

// world is a host with one provider.
type world struct {
	testing.TB
	client   http.Client
	provider *provider
	port     uint16
	program  string
	place    protocol.Place
	next     atomic.Int32
}

func newWorld(t testing.TB, body func(*pulumi.Context) error) *world {
	t.Helper()
	t.Setenv("PULUMI_HOME", t.TempDir())
	ambient.Set()
	if err := service.Private(filepath.Join(t.TempDir(), "credentials")); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	started, err := parse([]string{"--socket=" + socket, "--parallel-runs=8"})
	if err != nil {
		t.Fatal(err)
	}
	answering := server.New(commands.Find(place.NewStores(started.history)), started.runs)
	serving := &http.Server{Handler: answering}
	go func() { _ = serving.Serve(listener) }()
	w := &world{TB: t, provider: &provider{}}
	t.Cleanup(func() {
		answering.End()
		_ = serving.Close()
	})
	w.client.Transport = &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) },
	}
	w.port = w.serveProvider(w.provider)
	w.program = w.serveProgram(body)
	w.place = w.newPlace("shop")
	return w
}

func (w *world) serveProgram(body func(*pulumi.Context) error) string {
	serving := program{body: body}
	return serve(w, func(s *grpc.Server) { rpc.RegisterLanguageRuntimeServer(s, serving) }).String()
}

func (w *world) serveProvider(serving *provider) uint16 {
	address := serve(w, func(s *grpc.Server) { rpc.RegisterResourceProviderServer(s, serving) })
	return uint16(address.(*net.TCPAddr).Port) //nolint:gosec // a port
}

func (w *world) newPlace(project string) protocol.Place {
	directory := w.TempDir()
	text := "name: " + project + "\nruntime: yaml\n"
	if err := os.WriteFile(filepath.Join(directory, "Pulumi.yaml"), []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return protocol.Place{
		Project: project, Directory: directory, Backend: "file://" + w.TempDir(),
		Passphrase: protocol.Passphrase{Kind: protocol.PassphraseEmpty},
		Attached:   map[string]uint16{"pilot": w.port},
	}
}

// answer is all that a run said.
type answer struct {
	events         []json.RawMessage
	text           string
	stdout, stderr string
	ended          protocol.Ended
}

func (a answer) kind() protocol.Kind {
	if a.ended.Fault == nil {
		return ""
	}
	return a.ended.Fault.Kind
}

// request takes a command line of the CLI apart, so that tests say the same to both.
func (w *world) request(at protocol.Place, input *string, args ...string) protocol.Run {
	run := protocol.Run{
		ID: fmt.Sprint(w.next.Add(1)), Place: at, Input: input, Program: &protocol.Program{Address: w.program},
	}
	options := map[string]any{}
	for len(args) > 0 {
		name, value, valued := strings.Cut(strings.TrimPrefix(args[0], "--"), "=")
		switch {
		case args[0] == "--":
			run.Arguments, args = append(run.Arguments, args[1:]...), args[:1]
		case !strings.HasPrefix(args[0], "--") && len(options) == 0 && run.Stack == "" && wordsOf(run.Command, args[0]):
			run.Command = strings.TrimSpace(run.Command + " " + args[0])
		case !strings.HasPrefix(args[0], "--"):
			run.Arguments = append(run.Arguments, args[0])
		case name == "stack" && !valued:
			run.Stack, args = args[1], args[1:]
		case name == "stack":
			run.Stack = value
		case name == "non-interactive", name == "skip-preview", name == "yes" && !asksPeople(run.Command):
			// The CLI's alone.
		case strings.HasPrefix(name, "target") || name == "exclude" || name == "config" || name == "plaintext" && valued:
			list, _ := options[name].([]string)
			options[name] = append(list, value)
		case !valued:
			options[name] = true
		default:
			options[name] = value
			if number, err := strconv.Atoi(value); err == nil {
				options[name] = number
			}
		}
		args = args[1:]
	}
	// The CLI has its stack as an argument, too.
	if run.Command == "stack init" || run.Command == "stack rm" || run.Command == "stack select" {
		if run.Stack == "" && len(run.Arguments) > 0 {
			run.Stack, run.Arguments = run.Arguments[0], nil
		}
	}
	// What people type is what a program gives as the input.
	if run.Command == "config set" {
		if len(run.Arguments) == 2 {
			run.Input, run.Arguments = &run.Arguments[1], run.Arguments[:1]
		}
		options["raw"] = true
		if options["secret"] == nil {
			options["plaintext"] = true
		}
	}
	run.Options, _ = json.Marshal(options)
	return run
}

// wordsOf is true for a word that goes on the name of a command.
func wordsOf(command, word string) bool {
	switch command {
	case "":
		return true
	case "stack":
		return true
	case "config":
		return slices.Contains([]string{"get", "set", "set-all", "rm", "rm-all", "cp", "refresh", "env"}, word)
	case "stack tag":
		return true
	}
	return false
}

func asksPeople(command string) bool {
	return slices.Contains([]string{"stack rm", "stack repair", "cancel"}, command)
}

func (w *world) send(ctx context.Context, run protocol.Run) answer {
	body, err := json.Marshal(run)
	if err != nil {
		w.Fatal(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://host/v1/run", strings.NewReader(string(body)))
	if err != nil {
		w.Fatal(err)
	}
	response, err := w.client.Do(request)
	if err != nil {
		w.Error(err)
		return answer{}
	}
	defer response.Body.Close()
	var said answer
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		said.text += lines.Text() + "\n"
		var line struct {
			Event          json.RawMessage
			Stdout, Stderr string
			Ended          *protocol.Ended
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			w.Errorf("%v in %s", err, lines.Text())
		}
		if line.Event != nil {
			said.events = append(said.events, line.Event)
		}
		said.stdout += line.Stdout
		said.stderr += line.Stderr
		if line.Ended != nil {
			said.ended = *line.Ended
		}
	}
	return said
}

// post does not wait for the whole answer.
func (w *world) post(ctx context.Context, body []byte) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://host/v1/run", strings.NewReader(string(body)))
	if err != nil {
		w.Fatal(err)
	}
	response, err := w.client.Do(request)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}

func (w *world) say(args ...string) answer {
	return w.send(context.Background(), w.request(w.place, nil, args...))
}

// must fails the test when the run does.
func (w *world) must(args ...string) answer {
	w.Helper()
	said := w.say(args...)
	if said.ended.Fault != nil {
		w.Fatalf("%v: %+v\n%s%s", args, *said.ended.Fault, said.stdout, said.stderr)
	}
	return said
}

// entry is one of the configuration, with its secret.
func (w *world) entry(at protocol.Place, stack, key string) string {
	w.Helper()
	said := w.send(context.Background(), w.request(at, nil, "config", "get", "--json", "--stack", stack, "--", key))
	var told struct{ Value string }
	if err := json.Unmarshal([]byte(said.stdout), &told); err != nil {
		w.Errorf("%v: %s", err, said.text)
	}
	return told.Value
}

func (w *world) cancel(id string, force bool) bool {
	body, _ := json.Marshal(protocol.Cancel{ID: id, Force: force})
	response, err := w.client.Post("http://host/v1/cancel", "application/json", strings.NewReader(string(body)))
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	var known protocol.Cancelled
	if err := json.NewDecoder(response.Body).Decode(&known); err != nil {
		w.Fatal(err)
	}
	return known.Known
}

func up(stack string) []string {
	return []string{"up", "--yes", "--skip-preview", "--non-interactive", "--stack=" + stack, "--suppress-progress"}
}

func destroy(stack string) []string {
	return []string{"destroy", "--yes", "--skip-preview", "--non-interactive", "--stack=" + stack}
}
