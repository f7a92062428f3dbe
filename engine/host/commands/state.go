package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"pilot/engine/host/fault"
	"pilot/engine/host/state"
	"pilot/engine/host/store"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/backend/backenderr"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/pkg/v3/secrets/passphrase"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

func needYes() error { return backenderr.NonInteractiveRequiresYesError{} }

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}

func stackExport(c *call) error {
	c.named()
	file := c.flags.String("file", "", "")
	old := c.flags.String("version", "", "")
	shown := c.flags.Bool("show-secrets", false, "")
	if err := c.parse(0, 0); err != nil {
		return err
	}
	found, err := c.reading()
	if err != nil {
		return err
	}
	deployment, err := c.deployment(found, *old)
	if err != nil {
		return err
	}
	if *shown {
		snapshot, err := stack.DeserializeUntypedDeployment(c, deployment, c.place.Secrets)
		if err != nil {
			return stack.FormatDeploymentDeserializationError(err, c.stack)
		}
		options := &stack.SerializeOptions{ShowSecrets: true, Pretty: true}
		if deployment, err = stack.SerializeUntypedDeployment(c, snapshot, options); err != nil {
			return err
		}
	}
	to := c.run.Stdout
	if *file != "" {
		// A state may hold secrets.
		opened, err := os.OpenFile(c.place.Path(*file), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("could not open file: %w", err)
		}
		defer opened.Close()
		to = opened
	}
	return writeJSON(to, deployment, "    ")
}

func (c *call) deployment(found backend.Stack, version string) (*apitype.UntypedDeployment, error) {
	if version == "" {
		return backend.ExportStackDeployment(c, found)
	}
	exporter, can := found.Backend().(backend.SpecificDeploymentExporter)
	if !can {
		return nil, fmt.Errorf("the current backend (%s) does not provide the ability to export previous deployments",
			found.Backend().Name())
	}
	return exporter.ExportDeploymentForVersion(c, found, version)
}

func writeJSON(to io.Writer, value any, indent string) error {
	text := &strings.Builder{}
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := io.WriteString(to, text.String())
	return err
}

func stackImport(c *call) error {
	c.named()
	force := c.flags.BoolP("force", "f", false, "")
	file := c.flags.String("file", "", "")
	if err := c.parse(0, 0); err != nil {
		return err
	}
	text, err := c.input(*file)
	if err != nil {
		return err
	}
	ref, err := c.place.Reference(c.stack)
	if err != nil {
		return err
	}
	return c.overwriting(ref, c.onStack(ref, func(found backend.Stack, _ store.Held) error {
		snapshot, err := c.imported(found, text)
		if err != nil {
			return err
		}
		if err := c.checkImport(found, snapshot, *force); err != nil {
			return err
		}
		for _, operation := range snapshot.PendingOperations {
			fmt.Fprintf(c.run.Stderr, "warning: removing pending operation '%s' on '%s' from snapshot\n",
				operation.Type, operation.Resource.URN)
		}
		snapshot.PendingOperations = nil
		if err := c.writeState(found, snapshot); err != nil {
			return fmt.Errorf("could not import deployment: %w", err)
		}
		fmt.Fprintln(c.run.Stdout, "Import complete.")
		return nil
	}))
}

func (c *call) input(file string) ([]byte, error) {
	if file != "" {
		text, err := os.ReadFile(c.place.Path(file))
		if err != nil {
			return nil, fmt.Errorf("could not open file: %w", err)
		}
		return text, nil
	}
	if c.run.Input == nil {
		return nil, fault.Refuse("a deployment must be given as input or with --file")
	}
	return []byte(*c.run.Input), nil
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
func recoverState(c *call) error {
	if err := c.named().parse(0, 0); err != nil {
		return err
	}
	ref, err := c.place.Reference(c.stack)
	if err != nil {
		return err
	}
	err = c.locked(ref, func(store.Held) error { return nil })
	if locked := new(state.Locked); errors.As(err, &locked) {
		return nil
	}
	return err
}

// stackRepair tells, as JSON, which good copy of a damaged state there is, and with --yes puts it in its place.
func stackRepair(c *call) error {
	c.named()
	yes := c.flags.BoolP("yes", "y", false, "")
	if err := c.parse(0, 0); err != nil {
		return err
	}
	ref, err := c.place.Reference(c.stack)
	if err != nil {
		return err
	}
	if *yes {
		c.run.Changes(c.place.Key(ref))
	}
	repair, err := c.place.Store.Repair(c, ref, *yes)
	if err != nil {
		return err
	}
	return writeJSON(c.run.Stdout, repair, "  ")
}
