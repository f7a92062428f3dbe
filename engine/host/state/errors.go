package state

import "fmt"

// Locked says that another operation holds the stack.
type Locked struct {
	// Owner is user@host (pid N).
	Owner string
	// Stack is the stack's name.
	Stack string
	// Unproven: whether the owner still lives cannot be told from here.
	Unproven bool
}

// Error names the owner and, where nothing is proven of it, the way out.
func (e *Locked) Error() string {
	text := "the stack is locked by " + e.Owner
	if e.Unproven {
		text += fmt.Sprintf(", and whether that process still runs cannot be told from here; if it does not, "+
			"`pulumi cancel %s` frees the stack", e.Stack)
	}
	return text
}

// LockLost says that somebody has taken the stack's lock away from this process while it worked on it. What has been
// written of the stack since then is not from here.
type LockLost struct {
	// Stack is the fully qualified name.
	Stack string
	// Found is what was seen besides.
	Found string
}

func (e *LockLost) Error() string {
	text := fmt.Sprintf("the lock of stack %s is gone: another process works on it now", e.Stack)
	if e.Found != "" {
		text += ", and " + e.Found
	}
	return text
}

// Corrupt says that the state of a stack cannot be read. Nothing was changed.
type Corrupt struct {
	// Stack is the fully qualified name.
	Stack string
	// Reason says what is wrong with which file.
	Reason string
}

func (e *Corrupt) Error() string {
	return fmt.Sprintf("the state of stack %s is damaged and was left as it is: %s. `stack repair` shows the copies of "+
		"it that are good, and can put one in its place", e.Stack, e.Reason)
}

// Newer says that a newer Pulumi wrote something that this one does not know, and would lose. Nothing was changed.
type Newer struct {
	// Stack is the fully qualified name; empty for a state that is not a stack's.
	Stack string
	// What is not known: a field, a feature or a version of the schema.
	What string
	// Writer is the version of Pulumi that wrote it, where it says so; Reader is ours.
	Writer, Reader string
}

func (e *Newer) Error() string {
	what := "the state"
	if e.Stack != "" {
		what += " of stack " + e.Stack
	}
	writer := "a newer version"
	if e.Writer != "" {
		writer = "version " + e.Writer
	}
	return fmt.Sprintf("%s was written by %s of Pulumi and has %s, which version %s does not know and would lose; it was "+
		"left as it is. Use the version that wrote it, or a newer one", what, writer, e.What, e.Reader)
}
