package flags_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pilot/engine/host/fault"
	"pilot/engine/host/flags"
)

func TestWhatOnlyTheCLIDoesIsLeftToIt(t *testing.T) {
	for _, given := range []string{
		"--disable-integrity-checking", "--logflow", "--logtostderr", "--tracing=x", "--profiling=x", "--otel-traces=x",
		"--fully-qualify-stack-names", "-Q", "--verbose=3", "-v3", "--memprofilerate=1",
	} {
		_, err := flags.New("up").Parse([]string{given}, 0, 0)
		var left *fault.LeftToCLI
		if !errors.As(err, &left) {
			t.Errorf("%s: %v", given, err)
		}
	}
	for _, given := range []string{
		"--disable-integrity-checking=false", "--verbose=0", "--tracing=", "--non-interactive", "--emoji", "--color=never",
	} {
		if _, err := flags.New("up").Parse([]string{given}, 0, 0); err != nil {
			t.Errorf("%s: %v", given, err)
		}
	}
}

// definer is a method that defines a flag; the group says that it is bound to a variable.
var definer = regexp.MustCompile(`^(?:Bool|String|Int|Int32|StringArray|StringSlice)(Var)?P?$`)

// TestNoFlagIsTakenAndForgotten reads the source: each flag is kept in a variable that something else reads, or is
// defined by Idle or Elsewhere, which say what becomes of it.
func TestNoFlagIsTakenAndForgotten(t *testing.T) {
	found, read := 0, map[string]int{}
	bound := map[string]token.Position{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		files := token.NewFileSet()
		var parsed []*ast.File
		sources, _ := filepath.Glob(filepath.Join(path, "*.go"))
		for _, source := range sources {
			if strings.HasSuffix(source, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(files, source, nil, 0)
			if err != nil {
				return err
			}
			parsed = append(parsed, file)
		}
		for _, file := range parsed {
			ast.Inspect(file, func(node ast.Node) bool {
				if selected, is := node.(*ast.SelectorExpr); is {
					read[within(path, selected.Sel)]++
				}
				call, is := node.(*ast.CallExpr)
				if is && (method(call) == "Idle" || method(call) == "Elsewhere") {
					return false
				}
				if statement, is := node.(*ast.ExprStmt); is {
					if call, is := statement.X.(*ast.CallExpr); is {
						if matched := definer.FindStringSubmatch(method(call)); matched != nil && matched[1] == "" && len(call.Args) > 2 {
							t.Errorf("%s: a flag is defined and never read", files.Position(call.Pos()))
						}
					}
				}
				if is && definer.MatchString(method(call)) && len(call.Args) > 2 {
					found++
					if address, is := call.Args[0].(*ast.UnaryExpr); is {
						if field, is := address.X.(*ast.SelectorExpr); is {
							bound[within(path, field.Sel)] = files.Position(call.Pos())
							// This one is its definition.
							read[within(path, field.Sel)]--
						}
					}
				}
				return true
			})
		}
		return nil
	})
	for field, at := range bound {
		if read[field] < 1 {
			t.Errorf("%s: the flag's variable %s is never read", at, field)
		}
	}
	if err != nil || found < 60 {
		t.Errorf("%d flags were found: %v", found, err)
	}
}

// within names a field where it can be read: in its package, or everywhere.
func within(path string, field *ast.Ident) string {
	if field.IsExported() {
		return field.Name
	}
	return path + " " + field.Name
}

func method(call *ast.CallExpr) string {
	if selected, is := call.Fun.(*ast.SelectorExpr); is {
		return selected.Sel.Name
	}
	return ""
}
