// Package flags reads arguments as the CLI does.
package flags

import (
	"io"
	"strings"

	"pilot/engine/host/fault"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/spf13/pflag"
)

// Set is the flags of one command, with those that every command has.
type Set struct {
	*pflag.FlagSet
	// Directory is what `--cwd` says.
	Directory string
	color     string
	exclusive [][]string
	// elsewhere are flags that only the CLI does, with the reason.
	elsewhere map[string]string
}

// New makes the flags of a command.
func New(command string) *Set {
	set := &Set{FlagSet: pflag.NewFlagSet(command, pflag.ContinueOnError), elsewhere: map[string]string{}}
	set.SetOutput(io.Discard)
	set.StringVarP(&set.Directory, "cwd", "C", "", "")
	set.StringVar(&set.color, "color", "never", "")
	set.Idle(func(flags *pflag.FlagSet) {
		// Nobody is asked, and there is no terminal to draw on.
		flags.Bool("non-interactive", false, "")
		flags.BoolP("emoji", "e", false, "")
	})
	set.Elsewhere("it is about a whole process, which a run is not", func(flags *pflag.FlagSet) {
		for _, name := range []string{"logflow", "logtostderr", "disable-integrity-checking"} {
			flags.Bool(name, false, "")
		}
		for _, name := range []string{"tracing", "profiling", "otel-traces"} {
			flags.String(name, "", "")
		}
		flags.BoolP("fully-qualify-stack-names", "Q", false, "")
		flags.IntP("verbose", "v", 0, "")
		flags.Int("memprofilerate", 0, "")
	})
	return set
}

// Idle defines flags that have nothing to change here. Every other flag that is known is done, or left to the CLI: none
// is taken and then forgotten.
func (s *Set) Idle(define func(*pflag.FlagSet)) {
	idle := pflag.NewFlagSet("", pflag.ContinueOnError)
	define(idle)
	s.AddFlagSet(idle)
}

// Elsewhere defines flags that only the CLI does: a run that needs one is the CLI's. Their defaults are no need.
func (s *Set) Elsewhere(reason string, define func(*pflag.FlagSet)) {
	only := pflag.NewFlagSet("", pflag.ContinueOnError)
	define(only)
	only.VisitAll(func(flag *pflag.Flag) { s.elsewhere[flag.Name] = reason })
	s.AddFlagSet(only)
}

func (s *Set) needsCLI() error {
	var needed error
	s.Visit(func(flag *pflag.Flag) {
		if reason, is := s.elsewhere[flag.Name]; is && flag.Value.String() != flag.DefValue {
			needed = fault.LeaveToCLI("--" + flag.Name + ": " + reason)
		}
	})
	return needed
}

// Exclusive says that only one of these may be given.
func (s *Set) Exclusive(names ...string) { s.exclusive = append(s.exclusive, names) }

// Parse reads the arguments; so many may be left over.
func (s *Set) Parse(args []string, least, most int) ([]string, error) {
	for _, arg := range args {
		if arg == "--" {
			break
		}
		if arg == "--remote" || strings.HasPrefix(arg, "--remote-") || strings.HasPrefix(arg, "--remote=") {
			return nil, fault.Refuse("%s is not for the engine host: Pulumi Cloud runs remote operations", arg)
		}
	}
	if err := s.FlagSet.Parse(args); err != nil {
		return nil, fault.Refuse("%s", err)
	}
	if err := s.needsCLI(); err != nil {
		return nil, err
	}
	for _, names := range s.exclusive {
		var given []string
		for _, name := range names {
			if s.Changed(name) {
				given = append(given, name)
			}
		}
		if len(given) > 1 {
			return nil, fault.Refuse("if any flags in the group [%s] are set none of the others can be; [%s] were all set",
				strings.Join(names, " "), strings.Join(given, " "))
		}
	}
	rest := s.Args()
	switch {
	case len(rest) < least && least == most:
		return nil, fault.Refuse("accepts %d arg(s), received %d", most, len(rest))
	case len(rest) < least:
		return nil, fault.Refuse("accepts at least %d arg(s), received %d", least, len(rest))
	case most >= 0 && len(rest) > most:
		return nil, fault.Refuse("accepts at most %d arg(s), received %d", most, len(rest))
	}
	return rest, nil
}

// Color is never unless asked, because what a run prints goes to no terminal.
func (s *Set) Color() (colors.Colorization, error) {
	switch s.color {
	case "auto", "never", "":
		return colors.Never, nil
	case "always":
		return colors.Always, nil
	case "raw":
		return colors.Raw, nil
	}
	return "", fault.Refuse("unsupported color option: '%s'.  Supported values are: auto, always, never, raw", s.color)
}
