// Command patch copies the engine's module and changes three lines of the copy, so that the engine ends
// what it begins for a run: without that each run leaves goroutines that hold the whole deployment, which
// a CLI never notices and a process that lives on does. The host also works without. Use it as
//
//	go build -modfile "$(go run ./patch -out DIRECTORY)" .
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/pulumi/pulumi/pkg/v3"

// edit puts `by` in the place of `line`, which the file has exactly once.
type edit struct{ file, line, by string }

var edits = []edit{
	// The watcher of panics waits on this channel, and nobody closes it.
	{"resource/deploy/step_executor.go", "\tpanicErrs chan error\n", "\tpanicErrs chan error\n\tended sync.Once\n"},
	{
		"resource/deploy/step_executor.go", "\tse.workers.Wait()\n",
		"\tse.workers.Wait()\n\tse.ended.Do(func() { close(se.panicErrs) })\n",
	},
	// The server of schemas is opened for each run's program.
	{
		"resource/deploy/source_eval.go", "\treturn iter.mon.Cancel(ctx)\n",
		"\terr := iter.mon.Cancel(ctx)\n\tgo iter.loaderServer.Close()\n\treturn err\n",
	},
}

func main() {
	out := flag.String("out", "", "write the changed files here")
	flag.Parse()
	path, err := write(*out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "patch:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}

func write(out string) (string, error) {
	if out == "" {
		return "", fmt.Errorf("-out must be a directory")
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", err
	}
	listed, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", module, err)
	}
	copied := filepath.Join(out, "pkg")
	if err := os.RemoveAll(copied); err != nil {
		return "", err
	}
	if err := copyModule(strings.TrimSpace(string(listed)), copied); err != nil {
		return "", err
	}
	for _, edit := range edits {
		path := filepath.Join(copied, filepath.FromSlash(edit.file))
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if count := strings.Count(string(text), edit.line); count != 1 {
			return "", fmt.Errorf("%s has %q %d times: the engine has changed, look at the patch", edit.file, edit.line, count)
		}
		changed := strings.Replace(string(text), edit.line, edit.by, 1)
		if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
			return "", err
		}
	}
	return modfile(out, copied)
}

// copyModule leaves out what is not built.
func copyModule(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case entry.IsDir() && entry.Name() == "testdata":
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o644)
	})
}

// modfile writes a go.mod, with its go.sum, in which the copy stands for the module.
func modfile(out, copied string) (string, error) {
	path := filepath.Join(out, "patched.mod")
	for from, to := range map[string]string{"go.mod": path, "go.sum": filepath.Join(out, "patched.sum")} {
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if from == "go.mod" {
			text = append(text, "\nreplace "+module+" => "+copied+"\n"...)
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return "", err
		}
	}
	return path, nil
}
