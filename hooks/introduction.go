package hooks

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/wire"
)

// An introduction is what a process says that it adds.
type introduction struct {
	Commands []introduced `json:"commands"`
}

type introduced struct {
	Name      string       `json:"name"`
	Summary   string       `json:"summary"`
	Access    string       `json:"access"`
	Arguments wire.Value   `json:"arguments,omitempty"`
	Returns   wire.Value   `json:"returns,omitempty"`
	Examples  []wire.Value `json:"examples,omitempty"`
}

const (
	maxCommands = 256  // of one process
	maxSummary  = 1024 // bytes
)

var levels = map[string]mgr.Level{"read": mgr.Read, "write": mgr.Write, "admin": mgr.Admin}

// commands makes commands of an introduction. handler makes the handler of each.
func (in *introduction) commands(owner string, handler func(cmd *mgr.Command) mgr.Handler) ([]*mgr.Command, error) {
	if len(in.Commands) > maxCommands {
		return nil, fmt.Errorf("it introduces %d commands, and %d are the most", len(in.Commands), maxCommands)
	}
	var commands []*mgr.Command
	var errs []error
	for _, each := range in.Commands {
		cmd, err := each.command(owner)
		if err != nil {
			errs = append(errs, fmt.Errorf("command '%s': %w", wire.Shorten(each.Name), err))
			continue
		}
		cmd.Handler = handler(cmd)
		commands = append(commands, cmd)
	}
	return commands, errors.Join(errs...)
}

func (in *introduced) command(owner string) (*mgr.Command, error) {
	cmd := mgr.Command{Name: in.Name, Summary: in.Summary, Owner: owner, Level: levels[in.Access], Async: true}
	if cmd.Level == 0 {
		return nil, fmt.Errorf("its access is '%s'; it must be read, write or admin", wire.Shorten(in.Access))
	}
	if len(in.Summary) > maxSummary {
		return nil, fmt.Errorf("its summary has more than %d bytes", maxSummary)
	}
	if strings.ContainsFunc(in.Summary, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return nil, fmt.Errorf("its summary %+q has a character that cannot be printed", in.Summary)
	}
	var err error
	if in.Arguments != nil {
		if cmd.Args, err = schema.Parse(in.Arguments); err != nil {
			return nil, fmt.Errorf("its arguments: %w", err)
		}
	}
	if in.Returns != nil {
		if cmd.Returns, err = schema.Parse(in.Returns); err != nil {
			return nil, fmt.Errorf("what it returns: %w", err)
		}
	}
	for _, example := range in.Examples {
		cmd.Examples = append(cmd.Examples, string(example))
	}
	cmd = cmd.Checked()
	return &cmd, nil
}
