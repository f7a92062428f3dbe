package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/pkg/v3/resource/stack/snapshot"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/encoding"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// checkpoint is a checkpoint file as found; without a key there is none.
type checkpoint struct {
	key  string
	data []byte
	sum  string
}

func (c checkpoint) exists() bool { return c.key != "" }

// loadCheckpoint reads the checkpoint of a stack: the newest of its variants, as the stock backend does.
func loadCheckpoint(ctx context.Context, storage files, k keys) (checkpoint, error) {
	data, err := storage.read(ctx, k.checkpoint)
	plain := checkpoint{key: k.checkpoint, data: data, sum: checksum(data)}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return checkpoint{}, err
	}
	found, listErr := presentVariants(ctx, storage, k, err == nil)
	if listErr != nil {
		return checkpoint{}, listErr
	}
	switch {
	case len(found) == 0:
		return checkpoint{}, nil
	case found[0] == k.checkpoint:
		return plain, nil
	}
	data, err = storage.read(ctx, found[0])
	return checkpoint{key: found[0], data: data, sum: checksum(data)}, err
}

// presentVariants gives the variants that exist, the newest first.
func presentVariants(ctx context.Context, storage files, k keys, plain bool) ([]string, error) {
	// A listing of a folder with many stacks costs more than three questions.
	if d, ok := storage.(*folder); ok {
		return d.newest(k.variants()), nil
	}
	listed, err := storage.list(ctx, k.stacks)
	if err != nil {
		return nil, err
	}
	listed = slices.DeleteFunc(listed, func(f file) bool {
		return !slices.Contains(k.variants(), path.Join(k.stacks, f.name))
	})
	slices.SortStableFunc(listed, func(a, b file) int { return b.modified.Compare(a.modified) })
	found := make([]string, len(listed))
	for i, f := range listed {
		found[i] = path.Join(k.stacks, f.name)
	}
	if len(found) == 0 && plain {
		found = []string{k.checkpoint}
	}
	return found, nil
}

// contents is a checkpoint that could be read. The deployment is nil for a stack that was made and never changed.
type contents struct {
	deployment *apitype.DeploymentV3
	features   []string
}

// parseCheckpoint reads a checkpoint file. The error is *Newer where it holds what this version does not know; with
// whole, a field counts as such too. That a file that we wrote has none need not be asked.
func parseCheckpoint(data []byte, whole bool) (_ contents, err error) {
	defer func() {
		// The library asserts much about names; what it refuses is damage like any other.
		if r := recover(); r != nil {
			err = fmt.Errorf("it cannot be read: %v", r)
		}
	}()
	plain, outer, err := open(data)
	if err != nil {
		return contents{}, err
	}
	// The stock code writes version 0 for a stack that was made and never changed. But it also reads any file without
	// a version so, and often as an empty state; so the former must be nothing but that.
	if outer.Version < 1 {
		var inner apitype.CheckpointV3
		err := errors.Join(decodeKnown(plain, &outer), decodeKnown(outer.Checkpoint, &inner))
		if err != nil || inner.Stack == "" || inner.Latest != nil {
			return contents{}, errors.New("it is not a checkpoint: it has no version")
		}
		return contents{}, nil
	}
	if err := known(plain, outer, whole); err != nil {
		return contents{}, err
	}
	found, _, features, err := stack.UnmarshalVersionedCheckpointToLatestCheckpoint(encoding.JSON, plain)
	if unsupported := new(stack.ErrDeploymentUnsupportedFeatures); errors.As(err, &unsupported) {
		return contents{}, newer(outer.Checkpoint, "the features "+strings.Join(unsupported.Features, ", "))
	}
	if err != nil {
		return contents{}, fmt.Errorf("it cannot be read: %w", err)
	}
	if err := checkNames(found.Latest); err != nil {
		return contents{}, err
	}
	return contents{deployment: found.Latest, features: features}, nil
}

// sound is an error for a deployment that contradicts itself. It can be read, exported and replaced, not changed.
func (c contents) sound() error {
	if err := snapshot.VerifyIntegrity(c.deployment); err != nil {
		return fmt.Errorf("it contradicts itself, which `pulumi state repair` mends: %w", err)
	}
	return nil
}

// open unpacks a checkpoint file and reads its outer layer.
func open(data []byte) (plain []byte, outer apitype.VersionedCheckpoint, err error) {
	if len(data) == 0 {
		return nil, outer, errors.New("it is empty")
	}
	raw := encoding.Compress(rawMarshaler{}, encoding.DetectCompression(data))
	if err := raw.Unmarshal(data, &plain); err != nil {
		return nil, outer, fmt.Errorf("it cannot be decompressed: %w", err)
	}
	if err := json.Unmarshal(plain, &outer); err != nil {
		return nil, outer, fmt.Errorf("it is not a checkpoint: %w", err)
	}
	return plain, outer, nil
}

// checkNames looks at what the library takes for granted: it panics on a URN that is none.
func checkNames(deployment *apitype.DeploymentV3) error {
	if deployment == nil {
		return nil
	}
	for _, r := range deployment.Resources {
		if !r.URN.IsValid() || r.Parent != "" && !r.Parent.IsValid() {
			return fmt.Errorf("the resource %q, child of %q, has no name", r.URN, r.Parent)
		}
		if r.URN.Type() != r.Type {
			return fmt.Errorf("the resource %q has the type %s", r.URN, r.Type)
		}
	}
	for _, op := range deployment.PendingOperations {
		if !op.Resource.URN.IsValid() {
			return fmt.Errorf("the resource %q of a pending operation has no name", op.Resource.URN)
		}
	}
	return nil
}

// encodeCheckpoint gives the bytes of a checkpoint file.
func encodeCheckpoint(k keys, deployment apitype.TypedDeployment) ([]byte, error) {
	outer, err := stack.DeploymentV3ToCheckpointWithMarshaler(compactJSON{}, tokens.QName(k.stack),
		deployment.Deployment, deployment.Version, deployment.Features)
	if err != nil {
		return nil, err
	}
	return marshal(outer)
}

// foreign says whether a deployment holds resources of other stacks only: then it is another stack's file.
func (c contents) foreign(k keys) bool {
	if c.deployment == nil || len(c.deployment.Resources) == 0 {
		return false
	}
	return !slices.ContainsFunc(c.deployment.Resources, func(r apitype.ResourceV3) bool {
		return string(r.URN.Stack()) == k.name
	})
}

func (c contents) empty() bool { return c.deployment == nil || len(c.deployment.Resources) == 0 }

type compactJSON struct{}

func (compactJSON) Marshal(v any) ([]byte, error)      { return marshal(v) }
func (compactJSON) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// rawMarshaler lets the library's compression give the bytes as they are.
type rawMarshaler struct{}

func (rawMarshaler) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (rawMarshaler) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = slices.Clone(data)
	return nil
}

var _ encoding.Marshaler = rawMarshaler{}
