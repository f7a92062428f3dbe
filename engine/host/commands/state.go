package commands

import (
	"encoding/json"
	"errors"
	"fmt"

	"pilot/engine/host/fault"
	"pilot/engine/host/state"
	"pilot/engine/host/store"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/pkg/v3/secrets/passphrase"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

type exportOptions struct {
	ShowSecrets bool `json:"show-secrets"`
}

func stackExport(c *call, options exportOptions) error {
	found, err := c.reading()
	if err != nil {
		return err
	}
	deployment, err := backend.ExportStackDeployment(c, found)
	if err != nil {
		return err
	}
	if options.ShowSecrets {
		snapshot, err := stack.DeserializeUntypedDeployment(c, deployment, c.place.Secrets)
		if err != nil {
			return stack.FormatDeploymentDeserializationError(err, c.run.Stack)
		}
		options := &stack.SerializeOptions{ShowSecrets: true}
		if deployment, err = stack.SerializeUntypedDeployment(c, snapshot, options); err != nil {
			return err
		}
	}
	return c.answer(deployment)
}

type importOptions struct {
	Force bool `json:"force"`
}

func stackImport(c *call, options importOptions) error {
	if c.run.Input == nil {
		return fault.Refuse("a deployment must be given as input")
	}
	ref, err := c.place.Reference(c.run.Stack)
	if err != nil {
		return err
	}
	return c.overwriting(ref, c.onStack(ref, func(found backend.Stack, _ store.Held) error {
		snapshot, err := c.imported(found, []byte(*c.run.Input))
		if err != nil {
			return err
		}
		if err := c.checkImport(found, snapshot, options.Force); err != nil {
			return err
		}
		for _, operation := range snapshot.PendingOperations {
			fmt.Fprintf(c.run.Stderr, "warning: removing pending operation '%s' on '%s' from snapshot\n",
				operation.Type, operation.Resource.URN)
		}
		snapshot.PendingOperations = nil
		if err := c.reencrypted(found, snapshot); err != nil {
			return err
		}
		if err := c.writeState(found, snapshot); err != nil {
			return fmt.Errorf("could not import deployment: %w", err)
		}
		return nil
	}))
}

// imported reads the state that is to be. What is wrong with it is wrong with the request.
func (c *call) imported(found backend.Stack, text []byte) (*deploy.Snapshot, error) {
	var deployment apitype.UntypedDeployment
	if err := json.Unmarshal(text, &deployment); err != nil {
		return nil, fault.Refuse("%s", err)
	}
	if err := state.Known(&deployment); err != nil {
		return nil, err
	}
	snapshot, err := stack.DeserializeUntypedDeployment(c, &deployment, c.place.Secrets)
	if errors.Is(err, passphrase.ErrIncorrectPassphrase) {
		return nil, err
	}
	if err != nil {
		return nil, fault.Refuse("%s", stack.FormatDeploymentDeserializationError(err, found.Ref().Name().String()))
	}
	return snapshot, nil
}

// reencrypted gives a state that brings no secrets provider, as one with its secrets in plain text may, the stack's own.
func (c *call) reencrypted(found backend.Stack, snapshot *deploy.Snapshot) error {
	if snapshot.SecretsManager != nil {
		return nil
	}
	settings, err := c.place.Settings(found.Ref(), "")
	if err != nil {
		return err
	}
	snapshot.SecretsManager, err = c.place.Manager(c, found, settings)
	return err
}

// checkImport warns when it is forced, and else refuses what would be dangerous.
func (c *call) checkImport(found backend.Stack, snapshot *deploy.Snapshot, force bool) error {
	var wrong []error
	name := found.Ref().Name()
	for _, resource := range snapshot.Resources {
		if resource.URN.Stack() != name.Q() {
			wrong = append(wrong, fmt.Errorf("resource '%s' is from a different stack (%s != %s)",
				resource.URN, resource.URN.Stack(), name))
		}
	}
	if err := snapshot.VerifyIntegrity(); err != nil {
		wrong = append(wrong, fmt.Errorf("state file contains errors: %w", err))
	}
	if len(wrong) == 0 {
		return nil
	}
	if force {
		for _, err := range wrong {
			fmt.Fprintf(c.run.Stderr, "warning: %s\n", err)
		}
		return nil
	}
	wrong = append(wrong, errors.New("importing this file could be dangerous; rerun with --force to proceed anyway"))
	return errors.Join(wrong...)
}

// writeState replaces a stack's state; the caller holds its lock.
func (c *call) writeState(found backend.Stack, snapshot *deploy.Snapshot) error {
	deployment, err := stack.SerializeUntypedDeployment(c, snapshot, nil)
	if err != nil {
		return fmt.Errorf("constructing deployment: %w", err)
	}
	return backend.ImportStackDeployment(c, found, deployment)
}

// recoverState brings in what a process that died has left; a stack that somebody works on has nothing of the kind.
func recoverState(c *call, _ none) error {
	ref, err := c.place.Reference(c.run.Stack)
	if err != nil {
		return err
	}
	err = c.locked(ref, func(store.Held) error { return nil })
	if locked := new(state.Locked); errors.As(err, &locked) {
		return nil
	}
	return err
}

// stackRepair tells which good copy of a damaged state there is, and with yes puts it in its place.
func stackRepair(c *call, options confirmed) error {
	ref, err := c.place.Reference(c.run.Stack)
	if err != nil {
		return err
	}
	if options.Yes {
		c.run.Changes(c.place.Key(ref))
	}
	repair, err := c.place.Store.Repair(c, ref, options.Yes)
	if err != nil {
		return err
	}
	return c.answer(repair)
}
