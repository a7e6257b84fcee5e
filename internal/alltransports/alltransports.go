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

// A Case is one kind of listener, and what a client can do there.
type Case struct {
	Name string // the transport, as in transport.Peer

	// OneShot: each conn has one request and one reply, and then closes. A client that sends something other than a frame
	// gets an error of the protocol (a status of HTTP), and no reply.
	OneShot bool

	// HalfClose: a client can close its writing half and still read.
	HalfClose bool

	// Secure: the listener has TLS, and takes client certificates.
	Secure bool

	// Passwords: a client can authenticate with a password or a token. Without TLS it must.
	Passwords bool

	// Listen returns a transport that listens at an address of its own.
	Listen func(t testing.TB, l Limits) transport.Transport

	// Dial returns a dialer to that address, with the credentials of id.
	Dial func(addr net.Addr, id Identity) transport.Dialer

	// Raw opens an authenticated conn on which a test reads and writes bytes. It is nil for transports whose frames are
	// messages.
	Raw func(ctx context.Context, addr net.Addr, id Identity) (Bytes, error)

	// Connect opens a connection of the network, without any handshake.
	Connect func(ctx context.Context, addr net.Addr) (net.Conn, error)
}

// Bytes is a byte stream of a client.
type Bytes interface {
	net.Conn
	CloseWrite() error
}

// Limits are the limits of a listener. Zero stands for the default of the transport.
type Limits struct {
	MaxFrame           int
	Idle, FrameTimeout time.Duration
	OnRefused          func(transport.Refusal)
}

// An Identity has the credentials of a client.
type Identity struct {
	Client *tlsconf.Client // for transports with TLS
	Claim  transport.Claim // for transports with passwords
}

// Secret is the token that FakeAuth accepts, and the password of its user "ann".
const Secret = "correct horse battery staple"

// FakeAuth is an Authenticator that accepts the user "ann" with the password Secret, and the token Secret.
type FakeAuth struct{}

// A Proven is a credential of FakeAuth: "user:ann" or "token:ci".
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

// An Address is the address of a listener in another process.
type Address string

// Network implements net.Addr. It returns the empty string.
func (a Address) Network() string { return "" }

// String implements net.Addr.
func (a Address) String() string { return string(a) }
