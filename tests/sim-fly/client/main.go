// A client of the simulator that nobody here wrote: Fly's own Go library walks through a machine's life.
// It ends with the first thing that is not as the library expects.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"time"

	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
	"github.com/superfly/fly-go/tokens"
)

const app = "go-client"

type walk struct {
	ctx    context.Context
	client *flaps.Client
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client, err := flaps.NewWithOptions(ctx, flaps.NewClientOpts{Tokens: tokens.Parse(os.Getenv("FLY_TOKEN"))})
	must("a client", err)
	w := walk{ctx, client}
	w.platform()
	w.app()
	volume := w.volume()
	machine := w.launch(volume)
	machine = w.update(machine)
	w.sleepAndWake(machine)
	w.labels(machine)
	w.refusals(machine)
	w.end(machine, volume)
	fmt.Println("done")
}

func must(what string, err error) {
	expect(what, err == nil, err)
}

func expect(what string, holds bool, seen any) {
	if !holds {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, seen)
		os.Exit(1)
	}
	fmt.Println(what)
}

func (w walk) platform() {
	regions, err := w.client.GetRegions(w.ctx)
	must("regions", err)
	expect("three regions, the first of them near", len(regions.Regions) == 3 && regions.Nearest == "fra", regions)
	placed, err := w.client.GetPlacements(w.ctx, &flaps.GetPlacementsRequest{Org: "personal", Region: "iad", Count: 2})
	must("placements", err)
	expect("room for two", len(placed) == 1 && placed[0].Count == 2, placed)
}

func (w walk) app() {
	made, err := w.client.CreateApp(w.ctx, flaps.CreateAppRequest{Name: app, Org: "personal", Network: "n"})
	must("an app", err)
	expect("the app has its network", made.Name == app && made.Network == "n", made)
	must("the app is there", w.client.WaitForApp(w.ctx, app))
	listed, err := w.client.ListApps(w.ctx, flaps.ListAppsRequest{OrgSlug: "personal"})
	expect("it is listed", err == nil && len(listed) == 1, err)
	address, err := w.client.AssignIP(w.ctx, app, flaps.AssignIPRequest{Type: "private_v6"})
	expect("an address of Flycast", err == nil && address.IsFlycast(), err)
	value := base64.StdEncoding.EncodeToString([]byte("from Go"))
	set, err := w.client.UpdateAppSecrets(w.ctx, app, map[string]*string{"NOTE": &value})
	expect("a secret", err == nil && set.Version == 1 && set.Secrets[0].Value == nil, err)
}

func (w walk) volume() *fly.Volume {
	size := 2
	volume, err := w.client.CreateVolume(w.ctx, app, fly.CreateVolumeRequest{
		Name: "home", Region: "fra", SizeGb: &size, ComputeRequirements: &fly.MachineGuest{CPUKind: "shared", CPUs: 1, MemoryMB: 256},
	})
	must("a volume", err)
	volume, restart, err := w.client.ExtendVolume(w.ctx, app, volume.ID, 3)
	expect("it grows", err == nil && volume.SizeGb == 3 && !restart, err)
	must("a snapshot", w.client.CreateVolumeSnapshot(w.ctx, app, volume.ID))
	snapshots, err := w.client.GetVolumeSnapshots(w.ctx, app, volume.ID)
	expect("it is listed", err == nil && len(snapshots) == 1, err)
	return volume
}

func config(volume *fly.Volume) *fly.MachineConfig {
	secret, port, autostop := "NOTE", 443, fly.MachineAutostopSuspend
	config := &fly.MachineConfig{
		Image:    "registry.fly.io/guest:1",
		Env:      map[string]string{"PILOT_LISTEN": "0.0.0.0:3000"},
		Guest:    &fly.MachineGuest{CPUKind: "shared", CPUs: 1, MemoryMB: 512},
		Metadata: map[string]string{"kind": "walk"},
		Mounts:   []fly.MachineMount{{Volume: volume.ID, Path: "/data"}},
		Files:    []*fly.File{{GuestPath: "/data/note", SecretName: &secret, Mode: 0o444}},
		Restart:  &fly.MachineRestart{Policy: fly.MachineRestartPolicyNo},
		Services: []fly.MachineService{{
			Protocol: "tcp", InternalPort: 3000, Autostop: &autostop,
			Ports: []fly.MachinePort{{Port: &port, Handlers: []string{"tls", "http"}}},
		}},
	}
	return config
}

func (w walk) launch(volume *fly.Volume) *fly.Machine {
	version := uint64(1)
	machine, err := w.client.Launch(w.ctx, app, fly.LaunchMachineInput{
		Name: "walker", Region: "fra", Config: config(volume), MinSecretsVersion: &version,
	})
	must("a machine", err)
	must("it starts", w.client.Wait(w.ctx, app, machine, "started", 30*time.Second))
	machine, err = w.client.Get(w.ctx, app, machine.ID)
	must("it is read", err)
	expect("its configuration comes back", machine.Config.Guest.MemoryMB == 512 && *machine.Config.Services[0].Autostop == fly.MachineAutostopSuspend, machine.Config)
	expect("its events too", machine.GetLatestEventOfType("start") != nil, machine.Events)
	listed, err := w.client.ListActive(w.ctx, app)
	expect("it is listed", err == nil && len(listed) == 1, err)
	done, err := w.client.Exec(w.ctx, app, machine.ID, &fly.MachineExecRequest{Cmd: "cat note", Timeout: 10})
	expect("a command sees its file", err == nil && done.StdOut == "from Go", fmt.Sprint(done, err))
	return machine
}

func (w walk) update(machine *fly.Machine) *fly.Machine {
	ttl := 30
	lease, err := w.client.AcquireLease(w.ctx, app, machine.ID, &ttl)
	expect("a lease", err == nil && lease.Status == "success", err)
	found, err := w.client.FindLease(w.ctx, app, machine.ID)
	expect("it is found", err == nil && found.Data.Nonce == lease.Data.Nonce, err)
	_, err = w.client.RefreshLease(w.ctx, app, machine.ID, &ttl, lease.Data.Nonce)
	must("it is made longer", err)
	machine.Config.Env["MORE"] = "1"
	input := fly.LaunchMachineInput{ID: machine.ID, Name: machine.Name, Region: machine.Region, Config: machine.Config}
	_, err = w.client.Update(w.ctx, app, input, "")
	expect("without the lease nothing changes", status(err) == 409, err)
	updated, err := w.client.Update(w.ctx, app, input, lease.Data.Nonce)
	must("with it there is a new version", err)
	expect("another one", updated.InstanceID != machine.InstanceID, updated.InstanceID)
	must("it starts", w.client.Wait(w.ctx, app, updated, "started", 30*time.Second))
	must("the lease is given back", w.client.ReleaseLease(w.ctx, app, machine.ID, lease.Data.Nonce))
	return updated
}

func (w walk) sleepAndWake(machine *fly.Machine) {
	must("suspend", w.client.Suspend(w.ctx, app, machine.ID, ""))
	must("it is suspended", w.client.Wait(w.ctx, app, machine, "suspended", 30*time.Second))
	started, err := w.client.Start(w.ctx, app, machine.ID, "")
	expect("start", err == nil && started.PreviousState == "suspended", err)
	must("it runs", w.client.Wait(w.ctx, app, machine, "started", 30*time.Second))
	must("restart", w.client.Restart(w.ctx, app, fly.RestartMachineInput{ID: machine.ID, Timeout: time.Second}, ""))
	must("it runs again", w.client.Wait(w.ctx, app, machine, "started", 30*time.Second))
	stop := fly.StopMachineInput{ID: machine.ID, Signal: "SIGTERM", Timeout: fly.Duration{Duration: 5 * time.Second}}
	must("stop", w.client.Stop(w.ctx, app, stop, ""))
	must("it is stopped", w.client.Wait(w.ctx, app, machine, "stopped", 30*time.Second))
}

func (w walk) labels(machine *fly.Machine) {
	must("a label", w.client.SetMetadata(w.ctx, app, machine.ID, "new", "yes"))
	labels, err := w.client.GetMetadata(w.ctx, app, machine.ID)
	expect("both labels", err == nil && labels["new"] == "yes" && labels["kind"] == "walk", labels)
	must("one goes", w.client.DeleteMetadata(w.ctx, app, machine.ID, "new"))
	must("cordon", w.client.Cordon(w.ctx, app, machine.ID, ""))
	must("uncordon", w.client.Uncordon(w.ctx, app, machine.ID, ""))
}

func (w walk) refusals(machine *fly.Machine) {
	_, err := w.client.Launch(w.ctx, app, fly.LaunchMachineInput{Name: "walker", Config: &fly.MachineConfig{Image: "i"}})
	expect("a name is given once", status(err) == 409, err)
	_, err = w.client.Get(w.ctx, app, "0123456789abcd")
	expect("an unknown machine", status(err) == 404 && flaps.GetErrorRequestID(err) != "", err)
	_, err = w.client.CreateApp(w.ctx, flaps.CreateAppRequest{Name: app, Org: "personal"})
	code := flaps.GetErrorStatusCode(err)
	expect("a name that is taken", status(err) == 422 && code != nil && *code == "name_taken", err)
}

func (w walk) end(machine *fly.Machine, volume *fly.Volume) {
	must("destroy", w.client.Destroy(w.ctx, app, fly.RemoveMachineInput{ID: machine.ID, Kill: true}, ""))
	must("it is destroyed", w.client.Wait(w.ctx, app, machine, "destroyed", 30*time.Second))
	gone, err := w.client.DeleteVolume(w.ctx, app, volume.ID)
	expect("the volume goes", err == nil && gone.State == "pending_destroy", err)
	left, err := w.client.GetVolumes(w.ctx, app)
	expect("none is left", err == nil && len(left) == 0, left)
	must("the app goes", w.client.DeleteApp(w.ctx, app))
}

func status(err error) int {
	var refused *flaps.FlapsError
	if errors.As(err, &refused) {
		return refused.ResponseStatusCode
	}
	return 0
}
