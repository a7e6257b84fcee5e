package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A Decision is what a Policy says of a call, and why.
type Decision struct {
	Allowed bool
	Rule    string // which principal or default has which role, and what that says, in words
	Role    string // the role that decided; empty: none
}

// Explain returns what Authorize decides about a call, and by which rule. It tells rules, so it is not
// for everybody.
func (p *Policy) Explain(call *mgr.Call) Decision {
	l := p.law.Load()
	r := l.decide(call)
	d := Decision{Allowed: r.outcome == allowed}
	if r.outcome > noEntry {
		d.Role = r.grant.role.name
	}
	switch r.outcome {
	case noRole:
		d.Rule = fmt.Sprintf("nothing gives %s a role", call.Peer)
	case noEntry:
		var all []string
		for _, g := range l.grantsOf(call.Peer) {
			all = append(all, g.String())
		}
		d.Rule = strings.Join(all, ", ") + ", which does not allow it"
		if len(all) > 1 {
			d.Rule = strings.Join(all, ", ") + "; none of them allows it"
		}
	case arguments:
		d.Rule = fmt.Sprintf("%s, which allows %q, but not with what is at %q in the arguments", r.grant, r.verdict.entry, r.demand.pointer)
	case allowed:
		d.Rule = fmt.Sprintf("%s, which allows %q", r.grant, r.verdict.entry)
		if len(r.verdict.demands) > 0 {
			d.Rule += ", with such arguments"
		}
	case denied:
		d.Rule = fmt.Sprintf("%s, which denies %q", r.grant, r.verdict.entry)
	}
	return d
}

// refuse says in words that the caller may read why a call may not run: of roles other than its own it
// tells nothing.
func (l *law) refuse(call *mgr.Call, r ruling) *wire.Error {
	if len(call.Peer.Creds) == 0 {
		return wire.Errorf(wire.CodeUnauthenticated, "", "nothing is known about who you are, so nothing is allowed")
	}
	because := ""
	var fields []wire.Field
	switch r.outcome {
	case noEntry:
		because = fmt.Sprintf(": it asks for %s access, and your role %s does not allow it", call.Asks(), l.rolesOf(call.Peer))
	case arguments:
		because = fmt.Sprintf(": your role %s allows it only with other arguments", r.grant.role.name)
		fields = []wire.Field{{Pointer: r.demand.pointer, Text: "is none of the values that the role allows"}}
	case denied:
		because = fmt.Sprintf(": your role %s denies it", r.grant.role.name)
	}
	refusal := wire.Errorf(wire.CodeForbidden, "", "'%s' is not allowed for %s%s", wire.Shorten(call.Name), call.Peer, because)
	refusal.Fields = fields
	return refusal
}

// String is how a decision tells of a grant.
func (g grant) String() string {
	switch g.origin {
	case fromDefault:
		return fmt.Sprintf("by default %q has the role %q", g.subject, g.role.name)
	case fromFile:
		return fmt.Sprintf("%q has the role %q in its file", g.subject, g.role.name)
	}
	return fmt.Sprintf("principal %q has the role %q", g.subject, g.role.name)
}

// grantsOf lists the roles that a peer has now.
func (l *law) grantsOf(peer transport.Peer) (all []grant) {
	add := func(g grant) {
		if g.role != nil && !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	for _, cred := range peer.Creds {
		add(l.grant(cred))
		if member, ok := cred.(transport.GroupCredential); ok {
			if member.InSocketGroup() {
				add(l.grants[socketGroup])
			}
			for _, gid := range member.GroupIDs() {
				add(l.groups[gid])
			}
		}
	}
	return all
}

func (l *law) rolesOf(peer transport.Peer) string {
	var names []string
	for _, g := range l.grantsOf(peer) {
		if !slices.Contains(names, g.role.name) {
			names = append(names, g.role.name)
		}
	}
	return strings.Join(names, ", ")
}
