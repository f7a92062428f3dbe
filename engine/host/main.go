// Command pilot-engine is the Pulumi engine as one process that lives on and answers a unix socket. See
// automation/protocol.json.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"pilot/engine/host/ambient"
	"pilot/engine/host/commands"
	"pilot/engine/host/place"
	"pilot/engine/host/server"
	"pilot/engine/host/service"

	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	"github.com/spf13/pflag"
)

func main() {
	if err := start(); err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "pilot-engine:", err)
		os.Exit(1)
	}
}

// options are what this program is started with.
type options struct {
	socket        string
	runs, history int
	version       bool
}

func parse(args []string) (*options, error) {
	o := &options{}
	flags := pflag.NewFlagSet("pilot-engine", pflag.ContinueOnError)
	flags.StringVar(&o.socket, "socket", "", "listen on this unix socket")
	flags.IntVar(&o.runs, "parallel-runs", max(8, 2*runtime.NumCPU()), "deployments that run at once")
	flags.IntVar(&o.history, "history", 0, "entries that each stack's history keeps; 0 keeps all, as the CLI does")
	flags.BoolVar(&o.version, "version", false, "print the engine's version")
	return o, flags.Parse(args)
}

// heapGrowth is how far the heap grows between collections, in percent of what is in use. Little is in use, so
// that this costs about 15 MB, and saves a tenth of the time of short runs.
const heapGrowth = 300

func start() error {
	options, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	if options.version {
		fmt.Println(version.Version)
		return nil
	}
	if options.socket == "" || options.runs < 1 || options.history < 0 {
		return errors.New("--socket must be a path, --parallel-runs at least 1, and --history at least 0")
	}
	credentials := options.socket + ".credentials"
	ambient.Set()
	if _, chosen := os.LookupEnv("GOGC"); !chosen {
		debug.SetGCPercent(heapGrowth)
	}
	if err := service.Private(credentials); err != nil {
		return err
	}
	defer os.RemoveAll(credentials)
	// Its parent reads what it writes, and may die before it.
	signal.Ignore(syscall.SIGPIPE)
	listener, err := listen(options.socket)
	if err != nil {
		return err
	}
	defer os.Remove(options.socket)
	answering := server.New(commands.Find(place.NewStores(options.history)), options.runs)
	go func() {
		_ = (&http.Server{Handler: answering, ErrorLog: log.New(io.Discard, "", 0)}).Serve(listener)
	}()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"listening": options.socket}); err != nil {
		return err
	}
	untilEnd()
	_ = listener.Close()
	answering.End()
	return nil
}

// untilEnd returns when the parent has died or somebody asks for the end.
func untilEnd() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	parent := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(parent)
	}()
	select {
	case <-signals:
	case <-parent:
	}
}

// listen replaces the socket of a process that has died.
func listen(path string) (net.Listener, error) {
	if about, err := os.Lstat(path); err == nil && about.Mode()&os.ModeSocket != 0 {
		if other, err := net.Dial("unix", path); err == nil {
			_ = other.Close()
			return nil, fmt.Errorf("another process listens on %s", path)
		}
		_ = os.Remove(path)
	}
	before := syscall.Umask(0o177)
	defer syscall.Umask(before)
	return net.Listen("unix", path)
}
