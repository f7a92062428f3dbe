package state

import (
	"path"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/fsutil"
)

const root = ".pulumi"

// keys names the files of one stack. Without a project the layout is the old one (version 0).
type keys struct {
	stack      string // fully qualified
	name       string
	stacks     string // folder
	checkpoint string
	history    string // folder
	backups    string // folder
	locks      string // folder
	journal    string
	done       string
}

func keysOf(ref backend.StackReference) keys {
	name := ref.Name().String()
	var project string
	if p, ok := ref.Project(); ok {
		project = fsutil.NamePath(tokens.Name(p))
	}
	journal := path.Join(root, "journals", project, name+".ndjson")
	return keys{
		stack:      string(ref.FullyQualifiedName()),
		name:       name,
		stacks:     path.Join(root, "stacks", project),
		checkpoint: path.Join(root, "stacks", project, name+".json"),
		history:    path.Join(root, "history", project, name),
		backups:    path.Join(root, "backups", project, name),
		locks:      path.Join(root, "locks", fsutil.QnamePath(ref.FullyQualifiedName())),
		journal:    journal,
		done:       journal + ".done",
	}
}

// tags is where the stock backend keeps them.
func (k keys) tags() string { return path.Join(k.stacks, k.name+".pulumi-tags") }

// variants are the names that a checkpoint can have.
func (k keys) variants() []string {
	return []string{k.checkpoint, k.checkpoint + ".gz", k.checkpoint + ".zst"}
}
