package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/display"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/pkg/v3/util/cancel"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	rpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// world is a provider in this process, and what the program wants of it.
type world struct {
	rpc.UnimplementedResourceProviderServer

	mu      sync.Mutex
	wanted  []string // the names of the things to have
	value   string
	created []string
	onCall  func(name string) error
}

func (w *world) GetPluginInfo(context.Context, *emptypb.Empty) (*rpc.PluginInfo, error) {
	return &rpc.PluginInfo{Version: "1.0.0"}, nil
}

func (w *world) Configure(context.Context, *rpc.ConfigureRequest) (*rpc.ConfigureResponse, error) {
	return &rpc.ConfigureResponse{AcceptSecrets: true, SupportsPreview: true, AcceptResources: true, AcceptOutputs: true}, nil
}

func (w *world) CheckConfig(_ context.Context, r *rpc.CheckRequest) (*rpc.CheckResponse, error) {
	return &rpc.CheckResponse{Inputs: r.News}, nil
}

func (w *world) DiffConfig(context.Context, *rpc.DiffRequest) (*rpc.DiffResponse, error) {
	return &rpc.DiffResponse{}, nil
}

func (w *world) Check(_ context.Context, r *rpc.CheckRequest) (*rpc.CheckResponse, error) {
	return &rpc.CheckResponse{Inputs: r.News}, nil
}

func (w *world) Diff(_ context.Context, r *rpc.DiffRequest) (*rpc.DiffResponse, error) {
	if r.OldInputs.Fields["value"].GetStringValue() != r.News.Fields["value"].GetStringValue() {
		return &rpc.DiffResponse{Changes: rpc.DiffResponse_DIFF_SOME}, nil
	}
	return &rpc.DiffResponse{Changes: rpc.DiffResponse_DIFF_NONE}, nil
}

func (w *world) Create(_ context.Context, r *rpc.CreateRequest) (*rpc.CreateResponse, error) {
	w.mu.Lock()
	w.created = append(w.created, r.Name)
	on := w.onCall
	w.mu.Unlock()
	if on != nil {
		if err := on(r.Name); err != nil {
			return nil, err
		}
	}
	return &rpc.CreateResponse{Id: "id-" + r.Name, Properties: r.Properties}, nil
}

func (w *world) Update(_ context.Context, r *rpc.UpdateRequest) (*rpc.UpdateResponse, error) {
	return &rpc.UpdateResponse{Properties: r.News}, nil
}

func (w *world) Read(_ context.Context, r *rpc.ReadRequest) (*rpc.ReadResponse, error) {
	return &rpc.ReadResponse{Id: r.Id, Properties: r.Properties, Inputs: r.Inputs}, nil
}

func (w *world) Delete(context.Context, *rpc.DeleteRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (w *world) GetSchema(context.Context, *rpc.GetSchemaRequest) (*rpc.GetSchemaResponse, error) {
	return &rpc.GetSchemaResponse{Schema: `{"name":"pilot","version":"1.0.0"}`}, nil
}

func (w *world) Attach(context.Context, *rpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// program is the language runtime.
type program struct {
	rpc.UnimplementedLanguageRuntimeServer
	*world
}

func (p program) GetPluginInfo(ctx context.Context, in *emptypb.Empty) (*rpc.PluginInfo, error) {
	return p.world.GetPluginInfo(ctx, in)
}

func (p program) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (p program) GetRequiredPackages(
	context.Context, *rpc.GetRequiredPackagesRequest,
) (*rpc.GetRequiredPackagesResponse, error) {
	return &rpc.GetRequiredPackagesResponse{}, nil
}

func (p program) Run(ctx context.Context, r *rpc.RunRequest) (*rpc.RunResponse, error) {
	run, err := pulumi.NewContext(ctx, pulumi.RunInfo{
		Project: r.Project, Stack: r.Stack, Parallel: r.Parallel, DryRun: r.DryRun, MonitorAddr: r.MonitorAddress,
		Organization: r.Organization,
	})
	if err != nil {
		return nil, err
	}
	err = pulumi.RunWithContext(run, func(c *pulumi.Context) error {
		for _, name := range p.wanted {
			var made struct{ pulumi.CustomResourceState }
			err := c.RegisterResource("pilot:index:Thing", name, pulumi.Map{"value": pulumi.String(p.value)}, &made)
			if err != nil {
				return err
			}
		}
		c.Export("count", pulumi.Int(len(p.wanted)))
		return nil
	})
	if err != nil {
		return &rpc.RunResponse{Error: err.Error()}, nil
	}
	return &rpc.RunResponse{}, nil
}

// live is a bench with an engine.
type live struct {
	*bench
	*world
	project *workspace.Project
}

func newLive(t *testing.T) *live {
	t.Helper()
	l := &live{bench: newBench(t), world: &world{value: "1"}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	l.must(err)
	server := grpc.NewServer()
	rpc.RegisterResourceProviderServer(server, l.world)
	rpc.RegisterLanguageRuntimeServer(server, program{world: l.world})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	t.Setenv("PULUMI_DEBUG_PROVIDERS", fmt.Sprintf("pilot:%d", listener.Addr().(*net.TCPAddr).Port))
	l.project = &workspace.Project{
		Name:    testProject,
		Runtime: workspace.NewProjectRuntimeInfo("client", map[string]any{"address": listener.Addr().String()}),
	}
	return l
}

// run does an operation with our state.
func (l *live) run(kind apitype.UpdateKind, end func(*Held, *Journal, backend.UpdateInfo) error) error {
	l.Helper()
	h, err := l.store.Lock(l.ctx, l.ref)
	if err != nil {
		return err
	}
	base := l.snapshot()
	j, err := h.Journal(l.ctx, base, secretsManager(), []string{"pilot"})
	l.must(err)
	update := engine.UpdateInfo{Root: l.dir, Project: l.project, Target: &deploy.Target{
		Name: l.ref.Name(), Organization: "organization", Config: config.Map{}, Decrypter: config.NewPanicCrypter(),
		Snapshot: base,
	}}
	events := make(chan engine.Event)
	go func() {
		for range events { //nolint:revive // nobody looks
		}
	}()
	defer close(events)
	cancelling, _ := cancel.NewContext(l.ctx)
	in := &engine.Context{
		Cancel: cancelling, Events: events, SnapshotManager: j,
		BackendClient: backend.NewBackendClient(l.store.Backend(), stack.Base64SecretsProvider{}),
	}
	opts := engine.UpdateOptions{
		Parallel: 8, HostFactory: backend.DefaultHostFactory(l.store.Backend().GetReadOnlyCloudRegistry()),
	}
	switch kind {
	case apitype.DestroyUpdate:
		_, _, err = engine.Destroy(update, in, opts, false)
	case apitype.RefreshUpdate:
		_, _, err = engine.Refresh(update, in, opts, false)
	default:
		_, _, err = engine.Update(update, in, opts, false)
	}
	info := backend.UpdateInfo{Kind: kind, Result: backend.SucceededResult}
	if err != nil {
		info.Result = backend.FailedResult
	}
	return errors.Join(err, j.Close(), end(h, j, info))
}

func (l *live) apply(kind apitype.UpdateKind) error {
	return l.run(kind, func(h *Held, j *Journal, info backend.UpdateInfo) error {
		defer h.Release()
		return j.Finish(l.ctx, info)
	})
}

// stock does an operation with the stock state.
func (l *live) stock(kind apitype.UpdateKind) error {
	l.Helper()
	found, err := l.store.Backend().GetStack(l.ctx, l.ref)
	l.must(err)
	op := backend.UpdateOperation{
		Proj: l.project, Root: l.dir, M: &backend.UpdateMetadata{Environment: map[string]string{}},
		Opts: backend.UpdateOptions{
			AutoApprove: true, SkipPreview: true, Engine: engine.UpdateOptions{Parallel: 8},
			Display: display.Options{
				Color: colors.Never, Stdout: io.Discard, Stderr: io.Discard, SuppressOutputs: true, SuppressProgress: true,
				SuppressPermalink: true, Type: display.DisplayProgress,
			},
		},
		SecretsManager: secretsManager(), SecretsProvider: stack.Base64SecretsProvider{},
		StackConfiguration: backend.StackConfiguration{Config: config.Map{}, Decrypter: config.NewPanicCrypter()},
		Scopes:             backend.CancellationScopes,
	}
	switch kind {
	case apitype.DestroyUpdate:
		_, err = backend.DestroyStack(l.ctx, found, op)
	case apitype.RefreshUpdate:
		_, err = backend.RefreshStack(l.ctx, found, op)
	default:
		_, err = backend.UpdateStack(l.ctx, found, op, nil)
	}
	return err
}

func (l *live) things() []string {
	l.Helper()
	return slices.DeleteFunc(l.urns(), func(s string) bool { return len(s) < 3 || s[:1] != "t" })
}

func TestTheEngineAndTheStockBackendWorkOnTheSameStack(t *testing.T) {
	l := newLive(t)
	l.wanted = []string{"t1", "t2", "t3"}
	l.must(l.apply(apitype.UpdateUpdate))
	l.must(l.stock(apitype.UpdateUpdate))
	l.must(l.stock(apitype.RefreshUpdate))
	if len(l.created) != 3 {
		t.Fatalf("created: %v", l.created)
	}
	l.value = "2"
	l.wanted = []string{"t1", "t3", "t4"}
	l.must(l.apply(apitype.UpdateUpdate))
	l.must(l.apply(apitype.RefreshUpdate))
	before := l.bytes(l.keys().checkpoint)
	l.must(l.apply(apitype.UpdateUpdate))
	if string(before) != string(l.bytes(l.keys().checkpoint)) {
		t.Fatal("an up without changes wrote the checkpoint")
	}
	if len(l.created) != 4 || len(l.things()) != 3 {
		t.Fatalf("created: %v, in the state: %v", l.created, l.things())
	}
	l.must(l.stock(apitype.DestroyUpdate))
	l.must(l.apply(apitype.UpdateUpdate))
	l.must(l.apply(apitype.DestroyUpdate))
	if n := len(l.things()); n != 0 {
		t.Fatalf("%d things are left", n)
	}
	h := l.lock()
	defer h.Release()
	if len(h.Warnings()) != 0 {
		t.Fatalf("%q", h.Warnings())
	}
}

func TestAnUpThatDiesGoesOnWhereItWas(t *testing.T) {
	l := newLive(t)
	l.wanted = []string{"t1", "t2", "t3", "t4"}
	stuck := make(chan struct{})
	var frozen []byte
	l.onCall = func(name string) error {
		if name == "t3" {
			// The process dies in the middle of this call: keep what is on the disk now.
			for deadline := time.Now().Add(20 * time.Second); l.countDone() < 2 && time.Now().Before(deadline); {
				time.Sleep(5 * time.Millisecond)
			}
			frozen = l.bytes(l.keys().journal)
			close(stuck)
			return errors.New("dead")
		}
		if name == "t4" {
			<-stuck
			return errors.New("dead")
		}
		return nil
	}
	_ = l.run(apitype.UpdateUpdate, func(h *Held, j *Journal, _ backend.UpdateInfo) error {
		l.must(j.recorder.close())
		l.put(l.keys().journal, frozen)
		l.kill(h)
		return nil
	})
	l.onCall = nil
	l.lock().Release()
	if got := l.things(); len(got) != 2 {
		t.Fatalf("the state holds %v", got)
	}
	if ops := l.snapshot().PendingOperations; len(ops) == 0 {
		t.Fatal("the create that was begun is not pending")
	}
	l.created = nil
	l.must(l.apply(apitype.UpdateUpdate))
	slices.Sort(l.created)
	if !slices.Equal(l.created, []string{"t3", "t4"}) || len(l.things()) != 4 {
		t.Fatalf("created again: %v, in the state: %v", l.created, l.things())
	}
	if ops := l.snapshot().PendingOperations; len(ops) != 0 {
		t.Fatalf("still pending: %v", ops)
	}
}

// countDone counts the things whose creation is in the journal.
func (l *live) countDone() int {
	data, err := os.ReadFile(l.file(l.keys().journal))
	if err != nil {
		return 0
	}
	bodies, _, err := parseFrames(data)
	if err != nil {
		return 0
	}
	return countCreated(bodies)
}

func TestAnUpOfTenTimesTheResourcesCostsTenTimesAsMuch(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes 1,100 resources")
	}
	measure := func(n int) (time.Duration, int) {
		l := newLive(t)
		for i := range n {
			l.wanted = append(l.wanted, fmt.Sprintf("t%d", i))
		}
		var mu sync.Mutex
		written := 0
		l.folder().before = func(_, _ string, bytes int) error {
			mu.Lock()
			defer mu.Unlock()
			written += bytes
			return nil
		}
		start := time.Now()
		l.must(l.apply(apitype.UpdateUpdate))
		took, bytes := time.Since(start), written
		start = time.Now()
		l.must(l.apply(apitype.UpdateUpdate))
		again := time.Since(start)
		start = time.Now()
		l.lock().Release()
		t.Logf("%d resources: up %v, again without changes %v, %d bytes, lock %v",
			n, took, again, written-bytes, time.Since(start))
		return took, bytes
	}
	fewTime, few := measure(100)
	manyTime, many := measure(1000)
	t.Logf("100: %v, %d bytes; 1000: %v, %d bytes (%.1f times)", fewTime, few, manyTime, many, float64(many)/float64(few))
	if many > 13*few {
		t.Fatal("the bytes grow faster than the resources")
	}
}
