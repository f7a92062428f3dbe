// Package fault tells why a run failed: by the errors' types, and by their words only where the engine
// gives no type.
package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"

	"pilot/engine/host/protocol"
	"pilot/engine/host/secret"
	"pilot/engine/host/state"

	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/cmd"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/pkg/v3/secrets/passphrase"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/result"
)

// Invalid is a command that cannot be understood.
type Invalid struct{ Message string }

func (i *Invalid) Error() string { return i.Message }

// Refuse makes an Invalid.
func Refuse(format string, args ...any) error { return &Invalid{fmt.Sprintf(format, args...)} }

// LeftToCLI is what the host does not do, found out before anything has happened.
type LeftToCLI struct{ Reason string }

func (l *LeftToCLI) Error() string { return "the engine host leaves this to the CLI: " + l.Reason }

// LeaveToCLI makes a LeftToCLI.
func LeaveToCLI(format string, args ...any) error { return &LeftToCLI{fmt.Sprintf(format, args...)} }

// Bug is a panic.
type Bug struct{ Panic, Stack string }

func (b *Bug) Error() string { return b.Panic }

// Unwritten is a failed write of the state. It is told whatever else the run has to tell: what was done may be known to
// nobody then.
type Unwritten struct {
	Err error
	// Run is why the run itself failed, if it did.
	Run error
}

func (u *Unwritten) Error() string {
	text := "writing the state: " + u.Err.Error()
	if u.Run != nil {
		text += "; the run itself had failed: " + message(u.Run)
	}
	return text
}

func (u *Unwritten) Unwrap() []error {
	if u.Run == nil {
		return []error{u.Err}
	}
	return []error{u.Err, u.Run}
}

// Blinded is an error whose words hide what must not be told.
type Blinded struct {
	Err  error
	Text string
}

func (b *Blinded) Error() string { return b.Text }
func (b *Blinded) Unwrap() error { return b.Err }

// message leaves out the engine's mark of errors that it has told by events.
func message(err error) string { return strings.TrimPrefix(err.Error(), "BAIL: ") }

// Of gives the CLI's exit code and the fault; no fault without an error. `asked` says that somebody
// asked for the run's end.
func Of(err error, asked bool) (int, *protocol.Fault) {
	if err == nil {
		return cmd.ExitSuccess, nil
	}
	fault := &protocol.Fault{Kind: kind(err, asked), Message: message(err)}
	var locked *state.Locked
	if errors.As(err, &locked) {
		fault.Owner, fault.Unproven = locked.Owner, locked.Unproven
	}
	fault.StorageFull = isFull(err)
	return code(err, fault.Kind), fault
}

// isFull is about the state alone: why the run itself failed may be another disk.
func isFull(err error) bool {
	if unwritten := new(Unwritten); errors.As(err, &unwritten) {
		err = unwritten.Err
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func kind(err error, asked bool) protocol.Kind {
	var bug *Bug
	var invalid *Invalid
	var locked *state.Locked
	var corrupt *state.Corrupt
	var exists *backenderr.StackAlreadyExistsError
	var left *LeftToCLI
	var unwritten *Unwritten
	switch {
	case errors.As(err, new(*state.LockLost)):
		return protocol.LockLost
	case errors.As(err, &unwritten):
		return protocol.StateUnwritten
	case errors.As(err, &bug):
		return protocol.EngineBug
	case errors.As(err, &locked), errors.As(err, &backenderr.ConflictingUpdateError{}):
		return protocol.ConcurrentUpdate
	case errors.As(err, &corrupt):
		return protocol.StateCorrupt
	case errors.As(err, new(*state.Newer)), errors.Is(err, stack.ErrDeploymentSchemaVersionTooNew),
		errors.As(err, new(*stack.ErrDeploymentUnsupportedFeatures)):
		return protocol.StateNewer
	case errors.As(err, &left):
		return protocol.NeedsCLI
	case asked, errors.Is(err, context.Canceled), errors.As(err, &backenderr.CancelledError{}):
		return protocol.Canceled
	case errors.As(err, &backenderr.NoChangesExpectedError{}):
		return protocol.NoChangesExpected
	case errors.As(err, &backenderr.StackNotFoundError{}), errors.As(err, &backenderr.NoStacksError{}),
		errors.As(err, &backenderr.NoStackSelectedError{}), errors.As(err, &backenderr.StackStateNotFoundError{}):
		return protocol.StackNotFound
	case errors.As(err, &exists), errors.As(err, &backenderr.StackAlreadyExistsError{}):
		return protocol.StackExists
	case errors.As(err, &invalid), errors.As(err, &cmd.ConfigurationError{}),
		errors.As(err, &backenderr.NoConfirmationInNonInteractiveError{}),
		errors.As(err, &backenderr.NonInteractiveRequiresYesError{}),
		errors.As(err, &backenderr.NonInteractiveInputRequiredError{}):
		return protocol.Invalid
	case errors.Is(err, passphrase.ErrIncorrectPassphrase), errors.Is(err, secret.ErrAbsent),
		errors.As(err, new(*secret.Elsewhere)), errors.As(err, new(engine.DecryptError)):
		return protocol.Secrets
	case backenderr.IsAuthError(err):
		return protocol.Auth
	case errors.Is(err, stack.ErrDeploymentSchemaVersionTooOld):
		return protocol.StateCorrupt
	case result.IsBail(err):
		return protocol.Failed
	}
	if told, is := byAnswer(err); is {
		return told
	}
	return byWords(err.Error())
}

// byAnswer reads what a service has answered.
func byAnswer(err error) (protocol.Kind, bool) {
	var answer *apitype.ErrorResponse
	if !errors.As(err, &answer) {
		return "", false
	}
	switch answer.Code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return protocol.Auth, true
	case http.StatusNotFound:
		return protocol.StackNotFound, true
	case http.StatusConflict:
		if strings.Contains(answer.Message, "already exists") {
			return protocol.StackExists, true
		}
		return protocol.ConcurrentUpdate, true
	}
	return "", false
}

// words are what the engine says where it gives no type.
var words = map[string]protocol.Kind{
	"incorrect passphrase":             protocol.Secrets,
	"passphrase must be set":           protocol.Secrets,
	"the stack is currently locked by": protocol.ConcurrentUpdate,
	"a stack named ":                   protocol.StackExists,
	"failed to load checkpoint":        protocol.StateCorrupt,
	"could not deserialize deployment": protocol.StateCorrupt,
	"unmarshalling checkpoint":         protocol.StateCorrupt,
}

func byWords(message string) protocol.Kind {
	for words, kind := range words {
		if strings.Contains(message, words) {
			return kind
		}
	}
	return protocol.Failed
}

func code(err error, kind protocol.Kind) int {
	switch kind {
	case protocol.Canceled:
		return cmd.ExitCancelled
	case protocol.StackNotFound:
		return cmd.ExitStackNotFound
	case protocol.NoChangesExpected:
		return cmd.ExitNoChanges
	case protocol.LockLost, protocol.StateUnwritten:
		return cmd.ExitCodeError
	}
	return cmd.ExitCodeFor(err)
}

// Text is what the CLI prints about the fault: nothing when the events have told it.
func Text(err error, fault *protocol.Fault) string {
	var bug *Bug
	var unwritten *Unwritten
	switch {
	case fault == nil:
		return ""
	case errors.As(err, &unwritten):
	case result.IsBail(err):
		return ""
	case errors.As(err, &bug):
		return fmt.Sprintf("The Pulumi CLI encountered a fatal error. This is a bug!\nPanic: %s\n\n%s\n",
			bug.Panic, bug.Stack)
	}
	return "error: " + fault.Message + "\n"
}
