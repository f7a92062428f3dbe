package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
)

// known refuses a version of the schema, or with whole a field, that this version does not know: it would be lost with
// the next write. What is not known is never taken for damage.
func known(plain []byte, outer apitype.VersionedCheckpoint, whole bool) error {
	if outer.Version > apitype.DeploymentSchemaVersionLatest {
		return newer(outer.Checkpoint, fmt.Sprintf("version %d of its schema", outer.Version))
	}
	if !whole || outer.Version < 3 {
		// No newer Pulumi writes the old versions.
		return nil
	}
	err := unknownField(outer.Checkpoint, decodeKnown(plain, &apitype.VersionedCheckpoint{}))
	if err != nil {
		return err
	}
	return unknownField(outer.Checkpoint, decodeKnown(outer.Checkpoint, &apitype.CheckpointV3{}))
}

// Known refuses a deployment, as `stack export` writes it, that a newer Pulumi made and this one would lose parts of.
// The error is *Newer.
func Known(deployment *apitype.UntypedDeployment) error {
	checkpoint := append(append([]byte(`{"latest":`), deployment.Deployment...), '}')
	if deployment.Version > apitype.DeploymentSchemaVersionLatest {
		return newer(checkpoint, fmt.Sprintf("version %d of its schema", deployment.Version))
	}
	if deployment.Version < 3 {
		return nil
	}
	return unknownField(checkpoint, decodeKnown(deployment.Deployment, &apitype.DeploymentV3{}))
}

// unknownFieldError begins what the JSON library says of a field; it has no type for it.
const unknownFieldError = "json: unknown field "

// unknownField makes a *Newer of the JSON library's error about a field; others say nothing about versions.
func unknownField(checkpoint []byte, err error) error {
	if err == nil {
		return nil
	}
	if field, is := strings.CutPrefix(err.Error(), unknownFieldError); is {
		return newer(checkpoint, "the field "+field)
	}
	return nil
}

func newer(checkpoint []byte, what string) *Newer {
	var written struct {
		Latest struct {
			Manifest struct {
				Version string `json:"version"`
			} `json:"manifest"`
		} `json:"latest"`
	}
	// Where even this cannot be read, the writer stays unnamed.
	_ = json.Unmarshal(checkpoint, &written)
	return &Newer{What: what, Writer: written.Latest.Manifest.Version, Reader: version.Version}
}

// decodeKnown reads JSON that may hold nothing but what the type has.
func decodeKnown(data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind its end")
	}
	return nil
}
