package state

import "fmt"

// Locked says that another operation holds the stack.
type Locked struct {
	// Owner is user@host (pid N).
	Owner string
}

func (e *Locked) Error() string { return "the stack is locked by " + e.Owner }

// Corrupt says that the state of a stack cannot be read and that no good copy of it exists. Nothing was changed.
type Corrupt struct {
	// Stack is the fully qualified name.
	Stack string
	// Reason says what is wrong with which file.
	Reason string
}

func (e *Corrupt) Error() string {
	return fmt.Sprintf("the state of stack %s is damaged and was left as it is: %s", e.Stack, e.Reason)
}
