// Package alltransports has a table of all transports, for tests that must hold on each of them. Such a test uses only what
// the table says about a transport.
package alltransports

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// A Way is one kind of endpoint, and what can be done there.
type Case struct {
	Name string // as in transport.Peer

	// OneShot: a conn is one request and its reply, and closes then, whatever the request says. What is
	// no frame is told in the wire's own words.
	OneShot bool

	// HalfClose: a client can say its last word and still listen.
	HalfClose bool

	// Secure: there is TLS, with the client's certificate.
	Secure bool

	// Passwords: a client can prove who it is by a password or a token, and without TLS must.
	Passwords bool

	// Listen makes a place for a daemon.
	Listen func(t testing.TB, l Limits) transport.Transport

	// Dial makes the way to it; id says who the client is.
	Dial func(addr net.Addr, id Identity) transport.Dialer

	// Raw opens a conn on which any bytes can be written and read. nil where frames are messages, which
	// can be neither glued nor split.
	Raw func(ctx context.Context, addr net.Addr, id Identity) (Bytes, error)

	// Connect opens a bare connection to the place, on which nothing has been said.
	Connect func(ctx context.Context, addr net.Addr) (net.Conn, error)
}

// Bytes are what a byte stream is for a client.
type Bytes interface {
	net.Conn
	CloseWrite() error
}

// Limits are what a place allows. Zero is the transport's own.
type Limits struct {
	MaxFrame           int
	Idle, FrameTimeout time.Duration
	OnRefused          func(transport.Refusal)
}

// An Identity is who a client is.
type Identity struct {
	Client *tlsconf.Client // where there is TLS
	Claim  transport.Claim // where there are passwords
}

// Secret is the token of the client that every daemon here knows, and the password of its user "ann".
const Secret = "correct horse battery staple"

// Keeper verifies claims: that of ann, and of the token.
type FakeAuth struct{}

// A Proven is the credential of a client that Keeper believes.
type Proven string

// Subject implements transport.Credential.
func (p Proven) Subject() string { return string(p) }

// Authenticate implements transport.Authenticator.
func (FakeAuth) Authenticate(_ context.Context, claim transport.Claim) ([]transport.Credential, error) {
	switch {
	case claim.User == "ann" && claim.Password == Secret:
		return []transport.Credential{Proven("user:ann")}, nil
	case claim.Token == Secret:
		return []transport.Credential{Proven("token:ci")}, nil
	}
	return nil, transport.ErrWrongCredentials
}

// An Address is the address of a listener in another process, which has printed it.
type Address string

// Network implements net.Addr. It returns the empty string.
func (a Address) Network() string { return "" }

// String implements net.Addr.
func (a Address) String() string { return string(a) }
