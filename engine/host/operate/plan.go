package operate

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// readPlan reads the file that `--plan` names.
func (o *operation) readPlan() (*deploy.Plan, error) {
	text, err := os.ReadFile(o.place.Path(o.Plan))
	if err != nil {
		return nil, err
	}
	var saved apitype.DeploymentPlanV1
	if err := json.Unmarshal(text, &saved); err != nil {
		return nil, fmt.Errorf("reading the plan %s: %w", o.Plan, err)
	}
	return stack.DeserializePlan(saved, o.secrets.Decrypter())
}

// writePlan writes the file that `--save-plan` names, if it names one.
func (o *operation) writePlan(made *deploy.Plan) error {
	if o.SavePlan == "" {
		return nil
	}
	saved, err := stack.SerializePlan(made, o.secrets.Encrypter(), o.ShowSecrets)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(saved, "", "    ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.place.Path(o.SavePlan), append(text, '\n'), 0o644); err != nil { //nolint:gosec // as the CLI
		return err
	}
	fmt.Fprintf(o.run.Stdout, "Update plan written to '%s'\nRun `pulumi up --plan='%[1]s'` to constrain "+
		"the update to the operations planned by this preview\n", o.SavePlan)
	return nil
}
