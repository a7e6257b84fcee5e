package access

import (
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
)

// A ruling is how a call is decided, and by what.
type ruling struct {
	outcome outcome
	grant   grant
	verdict verdict
	demand  *demand // which one does not hold
}

// The outcomes, such that a later one outdoes those before it.
type outcome uint8

const (
	noRole    outcome = iota // none of its credentials has one
	noEntry                  // no role says anything of the command
	arguments                // it is allowed with other arguments
	allowed
	denied
)

// decide asks all roles that a peer has. One that denies has the last word; otherwise one that allows is
// enough.
func (l *law) decide(call *mgr.Call) (r ruling) {
	c := question{Call: call}
	if call.Command != nil {
		c.row = l.row(call.Command)
	}
	for _, cred := range call.Peer.Creds {
		r.weigh(&c, l.grant(cred))
		if member, ok := cred.(transport.GroupCredential); ok {
			l.weighGroups(&r, &c, member)
		}
	}
	return r
}

func (l *law) weighGroups(r *ruling, c *question, member transport.GroupCredential) {
	if member.InSocketGroup() {
		r.weigh(c, l.grants[socketGroup])
	}
	if len(l.groups) == 0 {
		return
	}
	for _, gid := range member.GroupIDs() {
		r.weigh(c, l.groups[gid])
	}
}

// A question is a call, and what the roles say of its command if that exists.
type question struct {
	*mgr.Call
	row []verdict
}

func (c *question) verdict(r *role) verdict {
	if c.row != nil {
		return c.row[r.index]
	}
	return r.judge(c.Name, c.Asks())
}

// weigh hears one role more.
func (r *ruling) weigh(c *question, g grant) {
	if g.role == nil || r.outcome == denied {
		return
	}
	next := ruling{grant: g, verdict: c.verdict(g.role)}
	switch next.verdict.effect {
	case silent:
		next.outcome = noEntry
	case denies:
		next.outcome = denied
	case allows:
		if next.outcome = allowed; r.outcome == allowed {
			return // whatever its arguments are
		}
		if next.demand = c.unmet(next.verdict.demands); next.demand != nil {
			next.outcome = arguments
		}
	}
	if next.outcome > r.outcome {
		*r = next
	}
}

// unmet returns the first of the demands that does not hold.
func (c *question) unmet(demands []*demand) *demand {
	if c.Listing {
		return nil
	}
	for _, d := range demands {
		if !d.holds(c.Arguments) {
			return d
		}
	}
	return nil
}
