package access

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// Options are what a Policy is made of. The zero Options allow what mgr.Owner allows.
type Options struct {
	// NoOwner keeps the user that the daemon runs as, root and the daemon itself from being admin
	// without a word about it in Principals.
	NoOwner bool

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

// A Policy is an mgr.Authorizer. It allows what the strongest of a client's credentials allows. It
// does not change, but the files behind it may: what they say counts at each call.
type Policy struct {
	levels map[string]mgr.Level // by subject
	users  *secrets.Users
	tokens *secrets.Tokens
}

var _ mgr.Authorizer = (*Policy)(nil)

// NewPolicy returns a Policy. The error names the principal that makes no sense, and says what would.
func NewPolicy(o Options) (*Policy, error) {
	p := &Policy{map[string]mgr.Level{}, o.Users, o.Tokens}
	for i, entry := range o.Principals {
		err := entry.check(o.Kinds)
		if _, twice := p.levels[entry.Subject]; err == nil && twice {
			err = errors.New("it has a role already; one subject has one role")
		}
		if err != nil {
			return nil, fmt.Errorf("principal %d, %q: %w", i+1, entry.Subject, err)
		}
		p.levels[entry.Subject] = entry.level()
	}
	if !o.NoOwner {
		for _, subject := range []string{"uid:0", "uid:" + strconv.Itoa(os.Geteuid()), self} {
			if _, named := p.levels[subject]; !named {
				p.levels[subject] = mgr.Admin
			}
		}
	}
	return p, nil
}

// Authorize implements mgr.Authorizer. A command that does not exist asks for any access at all: it
// is told so to those who may do something.
func (p *Policy) Authorize(call *mgr.Call) error {
	var has mgr.Level
	for _, cred := range call.Peer.Creds {
		has = max(has, p.level(cred))
	}
	asks := mgr.Read
	if call.Command != nil {
		asks = call.Command.Level
	}
	switch {
	case has >= asks:
		return nil
	case len(call.Peer.Creds) == 0:
		return wire.Errorf(wire.CodeUnauthenticated, "", "nothing is known about who you are, so nothing is allowed")
	case has == 0:
		return wire.Errorf(wire.CodeForbidden, "", "'%s' is not allowed for %s", wire.Shorten(call.Name), call.Peer)
	}
	return wire.Errorf(wire.CodeForbidden, "", "'%s' is not allowed for %s: it asks for %s access, and you have %s",
		wire.Shorten(call.Name), call.Peer, asks, has)
}

// level returns what a credential allows now.
func (p *Policy) level(cred transport.Credential) mgr.Level {
	role, known := "", true
	switch c := cred.(type) {
	case secrets.User:
		if p.users != nil {
			role, known = p.users.Role(c)
		}
	case secrets.Token:
		if p.tokens != nil {
			role, known = p.tokens.Role(c)
		}
	}
	if !known {
		return 0
	}
	if level, ok := p.levels[cred.Subject()]; ok {
		return level
	}
	return levelOf(role)
}
