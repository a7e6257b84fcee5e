package access

import (
	"errors"
	"fmt"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/mgr"
)

// A Role is a list of commands that one may run.
//
// An entry of Allow and Deny is a level, "read", "write" or "admin", which stands for the commands of
// just that level; or the name of a command; or a name with * in it, for any run of characters, such as
// "zone-*". Names are compared from the first byte to the last.
type Role struct {
	// Name is up to 64 lower-case letters and digits, and - behind the first, which is a letter.
	// monitor, operator and admin are built in.
	Name string

	// Allow is what the role allows.
	Allow []string

	// Deny is what it denies, whatever else allows it: also another role of the same peer.
	Deny []string

	// Arguments say more of what Allow allows. They take nothing from other roles of the same peer.
	Arguments []ArgumentRule
}

// builtin are the roles that every Policy has.
var builtin = []Role{
	{Name: "monitor", Allow: []string{"read"}},
	{Name: "operator", Allow: []string{"read", "write"}},
	{Name: "admin", Allow: []string{"read", "write", "admin"}},
}

// A role is a Role that makes sense.
type role struct {
	name        string
	index       int // among the roles of its law
	allow, deny []entry
	demands     []*demand
}

func parseRole(r Role, index int) (*role, error) {
	if err := secrets.CheckRole(r.Name); err != nil {
		return nil, err
	}
	if len(r.Allow) == 0 && len(r.Deny) == 0 {
		return nil, errors.New("it allows nothing and denies nothing")
	}
	made := &role{name: r.Name, index: index}
	var err error
	if made.allow, err = parseEntries("allow", r.Allow); err != nil {
		return nil, err
	}
	if made.deny, err = parseEntries("deny", r.Deny); err != nil {
		return nil, err
	}
	for i, rule := range r.Arguments {
		d, err := parseDemand(rule)
		if err != nil {
			return nil, fmt.Errorf("arguments %d: %w", i+1, err)
		}
		made.demands = append(made.demands, d)
	}
	return made, nil
}

// A verdict is what a role says of a command.
type verdict struct {
	effect  effect
	entry   string    // which says it
	demands []*demand // what arguments are allowed, if it is
}

type effect uint8

const (
	silent effect = iota
	allows
	denies
)

// judge compares a command with everything in the role.
func (r *role) judge(name string, level mgr.Level) verdict {
	plain := isPlainName(name)
	for _, e := range r.deny {
		if e.matches(name, level, plain) {
			return verdict{effect: denies, entry: e.text}
		}
	}
	for _, e := range r.allow {
		if e.matches(name, level, plain) {
			return verdict{effect: allows, entry: e.text, demands: r.demandsOn(name, plain)}
		}
	}
	return verdict{}
}

func (r *role) demandsOn(name string, plain bool) (all []*demand) {
	for _, d := range r.demands {
		if d.concerns(name, plain) {
			all = append(all, d)
		}
	}
	return all
}
