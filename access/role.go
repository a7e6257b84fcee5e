package access

import (
	"errors"
	"fmt"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/mgr"
)

// A Role is a list of commands that it allows and denies.
//
// An element of Allow and Deny is a level, the name of a command, or a pattern. A level is "read", "write" or
// "admin"; it matches the commands of exactly that level, not of those below. A pattern is a name with * in it, such
// as "zone-*"; each * matches any run of characters, also an empty one. Names and patterns match from the first byte
// to the last.
type Role struct {
	// Name has at most 64 lower-case letters, digits and hyphens, and begins with a letter. The names monitor, operator
	// and admin are taken by the built-in roles.
	Name string

	// Allow lists what the role allows.
	Allow []string

	// Deny lists what the role denies. A denied command is refused, even where Allow or another role of the same
	// peer allows it.
	Deny []string

	// Arguments restrict the arguments of commands in Allow. They do not restrict other roles of the same peer.
	Arguments []ArgumentRule
}

// builtin are the roles of every Policy.
var builtin = []Role{
	{Name: "monitor", Allow: []string{"read"}},
	{Name: "operator", Allow: []string{"read", "write"}},
	{Name: "admin", Allow: []string{"read", "write", "admin"}},
}

// A role is a compiled Role.
type role struct {
	name        string
	index       int // in ruleset.roles
	allow, deny []rule
	constraints []*argConstraint
}

// A rule is a compiled element of Allow or Deny: a level, or a name or pattern.
type rule struct {
	text  string
	level mgr.Level // 0: text is a name or a pattern
}

func parseRole(r Role, index int) (*role, error) {
	if err := secrets.CheckRole(r.Name); err != nil {
		return nil, err
	}
	if len(r.Allow) == 0 && len(r.Deny) == 0 {
		return nil, errors.New("it allows nothing and denies nothing")
	}
	compiled := &role{name: r.Name, index: index}
	var err error
	if compiled.allow, err = parseRules("allow", r.Allow); err != nil {
		return nil, err
	}
	if compiled.deny, err = parseRules("deny", r.Deny); err != nil {
		return nil, err
	}
	for i, rule := range r.Arguments {
		c, err := parseArgumentRule(rule)
		if err != nil {
			return nil, fmt.Errorf("arguments %d: %w", i+1, err)
		}
		compiled.constraints = append(compiled.constraints, c)
	}
	return compiled, nil
}

func parseRules(what string, texts []string) ([]rule, error) {
	var all []rule
	for i, text := range texts {
		level, isLevel := mgr.ParseLevel(text)
		if !isLevel {
			if err := checkPattern(text); err != nil {
				return nil, fmt.Errorf("%s %d, %q: %w", what, i+1, text, err)
			}
		}
		all = append(all, rule{text, level})
	}
	return all, nil
}

// A matchResult is how a role matches a command.
type matchResult struct {
	kind        matchKind
	rule        string           // the text of the rule that matches
	constraints []*argConstraint // with allows: the constraints on the arguments
}

type matchKind uint8

const (
	noMatch matchKind = iota
	allows
	denies
)

// match compares a command with all rules of the role. Deny comes first.
func (r *role) match(name string, level mgr.Level) matchResult {
	patterns := isNameLike(name)
	for _, deny := range r.deny {
		if deny.matches(name, level, patterns) {
			return matchResult{kind: denies, rule: deny.text}
		}
	}
	for _, allow := range r.allow {
		if allow.matches(name, level, patterns) {
			return matchResult{kind: allows, rule: allow.text, constraints: r.constraintsOn(name, patterns)}
		}
	}
	return matchResult{}
}

// matches reports whether the rule matches a command. patterns says whether its name is one that patterns can match.
func (r rule) matches(name string, level mgr.Level, patterns bool) bool {
	if r.level != 0 {
		return r.level == level
	}
	return patterns && matchesPattern(r.text, name)
}

func (r *role) constraintsOn(name string, patterns bool) (all []*argConstraint) {
	for _, c := range r.constraints {
		if patterns && c.matches(name) {
			all = append(all, c)
		}
	}
	return all
}
