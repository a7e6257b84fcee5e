package transport

import (
	"net"
	"strconv"
	"strings"
	"sync/atomic"
)

// A Peer is who is at the other end of a conn: facts that the transport has established, and never
// a password.
type Peer struct {
	Transport string       // the kind of transport: "unix", "tls", "pipe", …
	Session   string       // the connection underneath, unique in this process
	Addr      net.Addr     // where the peer is; nil where that means nothing
	Creds     []Credential // proven, never merely claimed; the strongest first
	Target    *Target      // how the peer addressed the daemon; nil: the transport has no names
}

// A Target is how a peer addressed the daemon. The peer chose these names, so they prove nothing about the peer. They
// tell which names of the daemon its clients depend on.
type Target struct {
	Host   string // HTTP's Host header, with its port if the client sent one; the server name (SNI) of TLS and QUIC
	Origin string // HTTP's Origin header, which browsers send for pages; empty: none
}

// A Credential is one proven fact about a peer. Its concrete type belongs to the transport that
// proved it, and has the details.
type Credential interface {
	// Subject names the credential for rules and logs: "uid:0", "cert:ops.example", "user:ann",
	// "token:ci", "self". It is compared exactly, never parsed.
	Subject() string
}

// A GroupCredential is one of a user of the system, which proves groups too: the subject "gid:27" for
// each of them, and "socket-group" for who is in the group of the socket that the peer came through.
type GroupCredential interface {
	Credential
	GroupIDs() []uint32
	InSocketGroup() bool
}

// A Revocable is a credential that may cease to be true while its conn is open: a certificate is
// revoked, a password changed, a token expires. The manager asks at each request, and once a second,
// and closes the conns of those that have one. It must be quick; many ask at once.
type Revocable interface {
	Credential
	Revoked() bool
}

// CredAs returns the first credential of p that has the type C.
func CredAs[C Credential](p Peer) (C, bool) {
	for _, cred := range p.Creds {
		if c, ok := cred.(C); ok {
			return c, true
		}
	}
	var none C
	return none, false
}

// String names the peer in one word for logs: its subjects, or "nobody".
func (p Peer) String() string {
	switch len(p.Creds) {
	case 0:
		return "nobody"
	case 1:
		return p.Creds[0].Subject()
	}
	subjects := make([]string, len(p.Creds))
	for i, cred := range p.Creds {
		subjects[i] = cred.Subject()
	}
	return strings.Join(subjects, ",")
}

var sessions atomic.Uint64

// NewSession returns a name for a connection, unique in this process: the kind and a number.
func NewSession(kind string) string {
	return kind + "-" + strconv.FormatUint(sessions.Add(1), 10)
}
