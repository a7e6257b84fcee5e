package access

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"
)

// An ArgumentRule restricts the arguments with which a role allows commands.
type ArgumentRule struct {
	// Commands are names and patterns, as in Role.Allow, but no levels. At least one. If several rules of a role
	// match a command, the arguments must meet all of them.
	Commands []string

	// Pointer is a JSON pointer (RFC 6901) into the arguments, such as "/zone" or "/leases/0/address". If there is
	// no value at that place, the call is refused. The empty pointer means the whole of the arguments.
	Pointer string

	// Values are the values that are allowed there. At least one. A value is a string, a bool, an int, an int64
	// or a finite float64. Decoded values are compared, not their spelling. Numbers are equal if they are
	// mathematically equal, without rounding; a string is never equal to a number.
	Values []any
}

// An argConstraint is a compiled ArgumentRule.
type argConstraint struct {
	commands []string
	pointer  string
	path     []string // the unescaped steps of pointer
	values   []scalar
}

func parseArgumentRule(rule ArgumentRule) (*argConstraint, error) {
	c := &argConstraint{commands: slices.Clone(rule.Commands), pointer: rule.Pointer}
	if len(rule.Commands) == 0 {
		return nil, errors.New("commands: the rule names no command; \"*\" means all")
	}
	for i, text := range rule.Commands {
		err := checkPattern(text)
		if _, isLevel := mgr.ParseLevel(text); isLevel {
			err = errors.New("that is a level; an argument rule lists names and patterns of commands")
		}
		if err != nil {
			return nil, fmt.Errorf("commands %d, %q: %w", i+1, text, err)
		}
	}
	var err error
	if c.path, err = parsePointer(rule.Pointer); err != nil {
		return nil, err
	}
	if len(rule.Values) == 0 {
		return nil, errors.New("values: the list is empty, so nothing would be allowed; deny the command instead")
	}
	for i, value := range rule.Values {
		s, err := scalarOf(value)
		if err != nil {
			return nil, fmt.Errorf("values %d: %w", i+1, err)
		}
		c.values = append(c.values, s)
	}
	return c, nil
}

// matches reports whether the constraint restricts a command.
func (c *argConstraint) matches(name string) bool {
	for _, pattern := range c.commands {
		if matchesPattern(pattern, name) {
			return true
		}
	}
	return false
}

// allows reports whether the arguments meet the constraint.
func (c *argConstraint) allows(arguments wire.Value) bool {
	value := find(arguments, c.path)
	for _, s := range c.values {
		if s.equals(value) {
			return true
		}
	}
	return false
}

var (
	pointerForm = regexp.MustCompile(`^(/([^~/]|~[01])*)*$`)
	unescape    = strings.NewReplacer("~1", "/", "~0", "~")
)

// parsePointer returns the unescaped steps of a JSON pointer. The empty pointer has none.
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
