package access

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/mgr"
)

// Options are what a Policy is made of. The zero Options allow what mgr.Owner allows.
type Options struct {
	// NoOwner keeps the user that the daemon runs as, root and the daemon itself from being admin,
	// and members of the socket's group from being monitors, without a word about it in Principals.
	NoOwner bool

	// Roles are those beside monitor, operator and admin.
	Roles []Role

	// Principals are who has which role. One that names the owner replaces what it has as such.
	Principals []Principal

	// Kinds are subjects that only this daemon's own transports know, by what stands before the colon:
	// "vsock" for "vsock:3".
	Kinds []string

	// Users are the roles of credentials that they prove, as they are at each call. An entry of
	// Principals for the same subject decides the role instead, but not for a user who has been
	// removed, or has another password by now. nil: there are none.
	Users *secrets.Users

	// Tokens are the same for tokens, also for those that have expired.
	Tokens *secrets.Tokens
}

// A Policy is an mgr.Authorizer. A call is allowed if one of the roles that the peer has by its
// credentials allows it, and none denies it. What the files behind it say counts at each call, and so
// does an Update. Its methods may be called by many at once.
type Policy struct{ law atomic.Pointer[law] }

var _ mgr.Authorizer = (*Policy)(nil)

// NewPolicy returns a Policy. The error names the role or the principal that makes no sense, and says
// what would.
func NewPolicy(o Options) (*Policy, error) {
	p := &Policy{}
	if err := p.Update(o); err != nil {
		return nil, err
	}
	return p, nil
}

// Update replaces all that the Policy says, also for conns that are open: each call is decided by the
// old options or by the new ones, never by some of both. After an error the old ones stay.
func (p *Policy) Update(o Options) error {
	l, err := newLaw(o)
	if err != nil {
		return err
	}
	p.law.Store(l)
	return nil
}

// Authorize implements mgr.Authorizer. A command that does not exist asks for read access, and is
// compared by its name like any other.
func (p *Policy) Authorize(call *mgr.Call) error {
	l := p.law.Load()
	if r := l.decide(call); r.outcome != allowed {
		return l.refuse(call, r)
	}
	return nil
}

// Roles returns the names of all roles, those that are built in first.
func (p *Policy) Roles() []string {
	var names []string
	for _, r := range p.law.Load().roles {
		names = append(names, r.name)
	}
	return names
}

// Unknown says, a line each, which users and tokens have a role that there is not, and so may do
// nothing.
func (p *Policy) Unknown() (lines []string) {
	l := p.law.Load()
	look := func(what, name, subject, role string) {
		if _, named := l.grants[subject]; !named && l.byName[role] == nil {
			lines = append(lines, fmt.Sprintf("the %s %q has the role %q, which does not exist; the roles are %s", what, name, role, l.roleNames()))
		}
	}
	if l.users != nil {
		for _, u := range l.users.List() {
			look("user", u.Name, u.Subject(), u.Role)
		}
	}
	if l.tokens != nil {
		for _, t := range l.tokens.List() {
			look("token", t.ID, t.Subject(), t.Role)
		}
	}
	return slices.Clip(lines)
}
