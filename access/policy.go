package access

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/mgr"
)

// Options are the parts of a Policy. The zero Options allow what mgr.Owner allows.
type Options struct {
	// NoOwner leaves out the default roles: admin for the user that the daemon runs as, for root and for the
	// daemon itself, and monitor for members of the socket's group. Each of them then needs an element of
	// Principals. Default: false.
	NoOwner bool

	// Roles are the roles beside monitor, operator and admin.
	Roles []Role

	// Principals give subjects a role. An element for a subject with a default role replaces that role.
	Principals []Principal

	// Kinds are kinds of subjects that only this daemon's own transports prove: the part before the colon, such as
	// "vsock" for "vsock:3".
	Kinds []string

	// Users are the users whose roles count; the role is looked up at each call. An element of Principals
	// for the same subject decides the role instead. A user that was removed, or whose password has changed since the
	// credential was proven, has no role in either case. nil: users get a role from Principals only.
	Users *secrets.Users

	// Tokens are the same for tokens. A token that has expired has no role.
	Tokens *secrets.Tokens
}

// A Policy is an mgr.Authorizer. A call is allowed if one of the roles that the peer has by its credentials allows it,
// and none of them denies it. The files behind Options.Users and Options.Tokens are looked up at each call, and an
// Update counts from the next call on. All methods may be called concurrently.
type Policy struct{ ruleset atomic.Pointer[ruleset] }

var _ mgr.Authorizer = (*Policy)(nil)

// NewPolicy returns a Policy. It copies the options that it needs. The error names the role or the principal that is
// not valid, and says what would be valid.
func NewPolicy(o Options) (*Policy, error) {
	p := &Policy{}
	if err := p.Update(o); err != nil {
		return nil, err
	}
	return p, nil
}

// Update replaces all options of the Policy, also for conns that are open. Each call is decided by the old options or
// by the new ones, never by a mixture. After an error the old options stay in force. Update does not block.
func (p *Policy) Update(o Options) error {
	rs, err := newRuleset(o)
	if err != nil {
		return err
	}
	p.ruleset.Store(rs)
	return nil
}

// Authorize implements mgr.Authorizer: it returns nil, or the error reply as a *wire.Error. A command that does not
// exist is decided by its name, with the level read.
func (p *Policy) Authorize(call *mgr.Call) error {
	rs := p.ruleset.Load()
	if d := rs.decide(call); d.outcome != allowed {
		return rs.refusal(call, d)
	}
	return nil
}

// A Decision is the answer of Explain.
type Decision struct {
	Allowed bool
	Rule    string // the rule in words: the principal or the default with its role, and the rule of that role
	Role    string // the role that decided; empty: the peer has no role, or none of its roles matches the command
}

// Explain returns what Authorize decides about a call, and by which rule. It returns rules, so it is for
// administrators.
func (p *Policy) Explain(call *mgr.Call) Decision {
	rs := p.ruleset.Load()
	is := rs.decide(call)
	d := Decision{Allowed: is.outcome == allowed}
	if is.outcome > noRule {
		d.Role = is.grant.role.name
	}
	switch is.outcome {
	case noRole:
		d.Rule = fmt.Sprintf("nothing gives %s a role", call.Peer)
	case noRule:
		var all []string
		for _, g := range rs.grantsOf(call.Peer) {
			all = append(all, g.String())
		}
		d.Rule = strings.Join(all, ", ") + ", which does not allow it"
		if len(all) > 1 {
			d.Rule = strings.Join(all, ", ") + "; none of them allows it"
		}
	case wrongArguments:
		d.Rule = fmt.Sprintf("%s, which allows %q, but not with the value at %q in the arguments", is.grant, is.match.rule, is.unmet.pointer)
	case allowed:
		d.Rule = fmt.Sprintf("%s, which allows %q", is.grant, is.match.rule)
		if len(is.match.constraints) > 0 {
			d.Rule += ", with such arguments"
		}
	case denied:
		d.Rule = fmt.Sprintf("%s, which denies %q", is.grant, is.match.rule)
	}
	return d
}

// Roles returns the names of all roles: first the built-in ones, then those of the options in their order. The caller
// owns the slice.
func (p *Policy) Roles() []string { return p.ruleset.Load().roleNames() }

// UndefinedRoles returns a line of text for each user and each token whose role does not exist, so that it may do
// nothing. Users and tokens whose role Principals decide are left out. It reads the lists of users and
// tokens.
func (p *Policy) UndefinedRoles() (lines []string) {
	rs := p.ruleset.Load()
	check := func(what, name, subject, role string) {
		if _, named := rs.grants[subject]; !named && rs.byName[role] == nil {
			lines = append(lines, fmt.Sprintf("the %s %q has the role %q, which does not exist; the roles are %s",
				what, name, role, strings.Join(rs.roleNames(), ", ")))
		}
	}
	if rs.users != nil {
		for _, u := range rs.users.List() {
			check("user", u.Name, u.Subject(), u.Role)
		}
	}
	if rs.tokens != nil {
		for _, t := range rs.tokens.List() {
			check("token", t.ID, t.Subject(), t.Role)
		}
	}
	return slices.Clip(lines)
}

// UnusedRules returns a line of text for each name and each pattern in a role that matches none of the commands: it is
// misspelled, or meant for commands that are registered later. An argument rule that matches no command restricts
// nothing, so a spelling mistake in it allows too much.
func (p *Policy) UnusedRules(commands []mgr.Command) (lines []string) {
	for _, r := range p.ruleset.Load().roles[len(builtin):] {
		check := func(what, pattern string) {
			if !slices.ContainsFunc(commands, func(c mgr.Command) bool { return matchesPattern(pattern, c.Name) }) {
				lines = append(lines, fmt.Sprintf("the role %q %s %q, which matches no command", r.name, what, pattern))
			}
		}
		for _, e := range r.allow {
			if e.level == 0 {
				check("allows", e.text)
			}
		}
		for _, e := range r.deny {
			if e.level == 0 {
				check("denies", e.text)
			}
		}
		for _, c := range r.constraints {
			for _, pattern := range c.commands {
				check("has a rule on the arguments of", pattern)
			}
		}
	}
	return lines
}
