package mgr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// An Endpoint is a transport, and what the manager shall know of it. It is a transport.Transport
// itself, to be given to Open and Run like any other:
//
//	m.Run(ctx, &mgr.Endpoint{Transport: &unix.Transport{Path: "ro.sock", Mode: 0o666}, MaxAccess: mgr.Read})
type Endpoint struct {
	transport.Transport

	// Name is what records and lists call the way in. Empty: the address of its listener.
	Name string

	// MaxAccess is the ceiling: nobody may more through this way in, whoever it is and whatever the
	// Authorizer says. 0: there is none.
	MaxAccess Level
}

// check says why the endpoint makes no sense.
func (e *Endpoint) check() error {
	switch {
	case e.Transport == nil:
		return fmt.Errorf("the endpoint %q has no transport", e.Name)
	case e.MaxAccess > Admin:
		return fmt.Errorf("there is no level of access %d; the levels are read, write, admin", e.MaxAccess)
	}
	return nil
}

// Endpoints returns what is open, without the transports, sorted by name.
func (m *CommandMgr) Endpoints() []Endpoint {
	var all []Endpoint
	for _, s := range m.openSockets() {
		all = append(all, Endpoint{Name: s.endpoint.Load().Name, MaxAccess: s.endpoint.Load().MaxAccess})
	}
	slices.SortFunc(all, func(a, b Endpoint) int {
		return strings.Compare(a.Name, b.Name)
	})
	return all
}

// TooHigh says, as an *wire.Error, that a call asks for more than its way in lets anybody have; nil: it
// does not.
func (c *Call) TooHigh() *wire.Error {
	if c.Via == nil || c.Via.MaxAccess == 0 || c.Asks() <= c.Via.MaxAccess {
		return nil
	}
	return wire.Errorf(wire.CodeForbidden, "", "'%s' is not allowed through %s: it asks for %s access, and nobody has more than %s there",
		wire.Shorten(c.Name), c.Via.Name, c.Asks(), c.Via.MaxAccess)
}

// Asks returns the access that the call asks for: its command's, and the least of a command that does
// not exist.
func (c *Call) Asks() Level {
	if c.Command == nil {
		return Read
	}
	return c.Command.Level
}
