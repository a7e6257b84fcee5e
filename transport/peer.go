package transport

import (
	"net"
	"strconv"
	"strings"
	"sync/atomic"
)

// A Peer is the identity of the other end of a conn: facts that the transport has established. It never contains a
// password.
type Peer struct {
	Transport string       // the kind of transport: "unix", "tls", "pipe", …
	Session   string       // the name of the connection, unique in this process: NewSession
	Addr      net.Addr     // the address of the peer; nil: the transport has none
	Creds     []Credential // the proven credentials, the strongest first
	Target    *Target      // the name by which the peer addressed the daemon; nil: the transport has no names
}

// A Target is the name by which a peer addressed the daemon. The peer chose it, so it proves nothing about the peer. It
// tells which names of the daemon its clients depend on.
type Target struct {
	Host   string // HTTP's Host header, with its port if the client sent one; the server name (SNI) of TLS and QUIC
	Origin string // HTTP's Origin header, which browsers send for pages; empty: none
}

// A Credential is one proven fact about a peer. Its concrete type is that of the transport that proved it, and has the
// details; CredAs finds it.
type Credential interface {
	// Subject names the credential for rules and logs: "uid:0", "cert:ops.example", "user:ann",
	// "token:ci", "self". It is compared exactly, never parsed.
	Subject() string
}

// A GroupCredential is the credential of a user of the system. It proves groups too: the subject "gid:27" for each group
// ID, and "socket-group" if the user is in the group of the socket file.
type GroupCredential interface {
	Credential
	GroupIDs() []uint32
	InSocketGroup() bool
}

// A Revocable is a credential that may become invalid while its conn is open: a certificate is revoked, a password
// changed, a token expires. The manager calls Revoked at each request and once a second, and closes the conn when it
// returns true. Revoked must not block, and several goroutines may call it at the same time.
type Revocable interface {
	Credential
	Revoked() bool
}

// CredAs returns the first credential of p that has the type C, and whether there is one.
func CredAs[C Credential](p Peer) (C, bool) {
	for _, cred := range p.Creds {
		if c, ok := cred.(C); ok {
			return c, true
		}
	}
	var none C
	return none, false
}

// String returns the subjects of the peer, separated by commas, for logs. It returns "unknown" for a peer without
// credentials.
func (p Peer) String() string {
	switch len(p.Creds) {
	case 0:
		return "unknown"
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

// NewSession returns a name for a connection, unique in this process: kind, a hyphen and a number. kind is the name of the
// transport.
func NewSession(kind string) string {
	return kind + "-" + strconv.FormatUint(sessions.Add(1), 10)
}
