// Package protocol holds the messages of automation/protocol.json.
package protocol

import (
	"encoding/json"
	"io"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// Version is that of protocol.json.
const Version = 2

// Routes of the socket.
const (
	HealthRoute = "GET /v1/health"
	RunRoute    = "POST /v1/run"
	CancelRoute = "POST /v1/cancel"
)

// Health tells who answers.
type Health struct {
	Protocol int    `json:"protocol"`
	Engine   string `json:"engine"`
	PID      int    `json:"pid"`
	Running  int    `json:"running"`
}

// Run is one command of the CLI, taken apart: its words, its stack, its options by the names of their flags, and data.
type Run struct {
	ID        string          `json:"id"`
	Place     Place           `json:"place"`
	Command   string          `json:"command"`
	Stack     string          `json:"stack,omitempty"`
	Options   json.RawMessage `json:"options,omitempty"`
	Arguments []string        `json:"arguments,omitempty"`
	Input     *string         `json:"input,omitempty"`
	Program   *Program        `json:"program,omitempty"`
}

// Place is where stacks are and what opens them.
type Place struct {
	Project         string            `json:"project"`
	Directory       string            `json:"directory"`
	Backend         string            `json:"backend"`
	AccessToken     string            `json:"accessToken,omitempty"`
	Passphrase      Passphrase        `json:"passphrase"`
	SecretsProvider string            `json:"secretsProvider,omitempty"`
	Attached        map[string]uint16 `json:"attached,omitempty"`
	Adopts          []string          `json:"adopts,omitempty"`
}

// Passphrase is of one of the kinds below.
type Passphrase struct {
	Kind string `json:"kind"`
	Path string `json:"path,omitempty"`
}

// Kinds of passphrases.
const (
	PassphraseEmpty  = "empty"
	PassphraseFile   = "file"
	PassphraseAbsent = "absent"
)

// Program is the LanguageRuntime server of an inline program.
type Program struct {
	Address string `json:"address"`
}

// Line is one line of a run's answer; it has exactly one field.
type Line struct {
	Event  *apitype.EngineEvent `json:"event,omitempty"`
	Stdout *string              `json:"stdout,omitempty"`
	Stderr *string              `json:"stderr,omitempty"`
	Ended  *Ended               `json:"ended,omitempty"`
}

// Ended is a run's last line.
type Ended struct {
	Code  int    `json:"code"`
	Fault *Fault `json:"fault,omitempty"`
}

// Fault tells why a run did not do what it should.
type Fault struct {
	Kind    Kind   `json:"kind"`
	Message string `json:"message"`
	// Owner holds the lock; Unproven says that it may be dead.
	Owner    string `json:"owner,omitempty"`
	Unproven bool   `json:"unproven,omitempty"`
	// StorageFull: what keeps the stacks has no space left.
	StorageFull bool `json:"storageFull,omitempty"`
}

// Kind tells faults apart.
type Kind string

// All kinds.
const (
	Auth              Kind = "auth"
	Canceled          Kind = "canceled"
	ConcurrentUpdate  Kind = "concurrent_update"
	EngineBug         Kind = "engine_bug"
	Failed            Kind = "failed"
	Invalid           Kind = "invalid"
	LockLost          Kind = "lock_lost"
	NeedsCLI          Kind = "needs_cli"
	NoChangesExpected Kind = "no_changes_expected"
	Secrets           Kind = "secrets"
	StackExists       Kind = "stack_exists"
	StackNotFound     Kind = "stack_not_found"
	StateCorrupt      Kind = "state_corrupt"
	StateNewer        Kind = "state_newer"
	StateUnwritten    Kind = "state_unwritten"
)

// Kinds lists them in the order of protocol.json.
var Kinds = []Kind{
	Auth, Canceled, ConcurrentUpdate, EngineBug, Failed, Invalid, LockLost, NeedsCLI, NoChangesExpected, Secrets,
	StackExists, StackNotFound, StateCorrupt, StateNewer, StateUnwritten,
}

// Cancel ends a run.
type Cancel struct {
	ID    string `json:"id"`
	Force bool   `json:"force"`
}

// Cancelled tells whether there was such a run.
type Cancelled struct {
	Known bool `json:"known"`
}

// Decode reads one message with no field left over.
func Decode(from io.Reader, message any) error {
	decoder := json.NewDecoder(from)
	decoder.DisallowUnknownFields()
	return decoder.Decode(message)
}
