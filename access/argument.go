package access

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/rudderpost/rudderpost/wire"
)

// An ArgumentRule says with which arguments a role allows commands.
type ArgumentRule struct {
	// Commands are names and globs, as in Role.Allow, but no levels. All rules of a role that are
	// about a command must hold.
	Commands []string

	// Pointer says where in the arguments to look: a JSON pointer (RFC 6901), such as "/zone" or
	// "/leases/0/address". If nothing is there, the call is refused.
	Pointer string

	// Values are what may be there: strings, booleans, and numbers that are an int, an int64 or a
	// float64. What is compared is what the JSON means, not how it is written; numbers are the same
	// when they are exactly the same, and a string is never one.
	Values []any
}

// A demand is an ArgumentRule that makes sense.
type demand struct {
	commands []string
	pointer  string
	path     []string // pointer, taken to pieces
	values   []scalar
}

func parseDemand(rule ArgumentRule) (*demand, error) {
	d := &demand{commands: slices.Clone(rule.Commands), pointer: rule.Pointer}
	if len(rule.Commands) == 0 {
		return nil, errors.New("commands: it is about none; \"*\" is all")
	}
	for i, text := range rule.Commands {
		err := checkGlob(text)
		if _, level := levels[text]; level {
			err = errors.New("that is a level, and a rule on arguments is about commands by their names")
		}
		if err != nil {
			return nil, fmt.Errorf("commands %d, %q: %w", i+1, text, err)
		}
	}
	var err error
	if d.path, err = parsePointer(rule.Pointer); err != nil {
		return nil, err
	}
	if len(rule.Values) == 0 {
		return nil, errors.New("values: there is none, so nothing would be allowed; deny the command instead")
	}
	for i, value := range rule.Values {
		s, err := scalarOf(value)
		if err != nil {
			return nil, fmt.Errorf("values %d: %w", i+1, err)
		}
		d.values = append(d.values, s)
	}
	return d, nil
}

// concerns reports whether the demand is about a command.
func (d *demand) concerns(name string, plain bool) bool {
	for _, glob := range d.commands {
		if plain && matchesGlob(glob, name) {
			return true
		}
	}
	return false
}

// holds reports whether arguments have what is demanded.
func (d *demand) holds(arguments wire.Value) bool {
	value := find(arguments, d.path)
	for _, s := range d.values {
		if s.is(value) {
			return true
		}
	}
	return false
}

var (
	pointerForm = regexp.MustCompile(`^(/([^~/]|~[01])*)*$`)
	unescape    = strings.NewReplacer("~1", "/", "~0", "~")
)

// parsePointer reads a JSON pointer. The empty one is the whole.
func parsePointer(text string) ([]string, error) {
	if !pointerForm.MatchString(text) {
		return nil, fmt.Errorf("pointer: %q is no JSON pointer: every name has a / in front, and in a name ~ is written ~0, and / is ~1", text)
	}
	if text == "" {
		return nil, nil
	}
	path := strings.Split(text[1:], "/")
	for i, name := range path {
		path[i] = unescape.Replace(name)
	}
	return path, nil
}
