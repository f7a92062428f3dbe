package operate

import (
	"context"

	"pilot/engine/host/deadline"

	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// references reads other stacks for a program that refers to them.
type references struct{ deploy.BackendClient }

func (r references) GetStackOutputs(
	ctx context.Context, name string, onDecryptError func(error) error,
) (outputs property.Map, err error) {
	err = deadline.Within(ctx, deadline.Call, name, func(ctx context.Context) (err error) {
		outputs, err = r.BackendClient.GetStackOutputs(ctx, name, onDecryptError)
		return err
	})
	return outputs, err
}

func (r references) GetStackResourceOutputs(ctx context.Context, name string) (outputs property.Map, err error) {
	err = deadline.Within(ctx, deadline.Call, name, func(ctx context.Context) (err error) {
		outputs, err = r.BackendClient.GetStackResourceOutputs(ctx, name)
		return err
	})
	return outputs, err
}
