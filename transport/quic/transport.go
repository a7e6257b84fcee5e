package quic

import (
	"net"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// Protocol is the name of what is spoken (ALPN).
const Protocol = "rudderpost/1"

// Transport is a UDP address at which QUIC is spoken. It must be neither copied nor changed after the
// first Dial: it keeps the connection. It may be used by many at once.
type Transport struct {
	// Address is the host and the port: "127.0.0.1:7443", "[::1]:7443", "daemon.example:7443". To
	// listen, the host may be empty, which means all addresses, and the port 0.
	Address string

	// PacketConn is a bound UDP socket that was opened elsewhere, such as by systemd. Listen then
	// takes it over, and Address is not looked at. It is closed with the last connection.
	PacketConn net.PacketConn

	// TLS says who the daemon is and which clients it believes. Listen needs it, with a ClientCA.
	TLS *tlsconf.Server

	// Client says who the client is and which daemons it believes. nil: it has no certificate, which
	// our daemons refuse, and believes the system's authorities.
	Client *tlsconf.Client

	// MaxFrame is the longest frame in bytes that is received. 0: transport.DefaultMaxFrame for the
	// conns of a listener, transport.ClientMaxFrame for those that were dialed.
	MaxFrame int

	// Idle is how long a client may be silent before its first frame is whole, and before it opens the
	// first stream of a connection; FrameTimeout is how long a frame may take. See transport.StreamConfig. Idle is
	// not for conns that were dialed.
	Idle, FrameTimeout time.Duration

	// Limits, if it is set, says MaxFrame, Idle and FrameTimeout for each conn of a listener anew, instead
	// of these fields.
	Limits func() transport.FrameLimits

	// MaxStreams is how many conns a client may have on one connection. 0: 100.
	MaxStreams int

	// MaxConns is how many connections a listener has at a time, handshakes included. 0: 1024.
	MaxConns int

	// MaxPerSource is how many of them may come from one address; of IPv6 the first 64 bits count.
	// 0: 128.
	MaxPerSource int

	// Keys is the path of a file, 0600, that holds the keys with which a daemon tells a client that
	// it has forgotten their connection (stateless reset), and recognizes addresses that it has seen.
	// It is made when it is not there. With it clients learn at once that their daemon was restarted;
	// without it, when their connection has been silent for a minute. Empty: new keys for each Listen.
	// Listen refuses it where a user that is not trusted could read or change it: the file, the folders
	// above it up to / and symbolic links on the way must belong to root, to this process's user or to one of
	// TrustOwners, and no other user may write to them (a folder above its own with the sticky bit excepted).
	Keys string

	// TrustOwners are ids of users that may own Keys and the folders above it, beside root and this process's
	// user. It is for containers.
	TrustOwners []uint32

	// OnRefused is told of each handshake that has failed and each connection that is one too many.
	// It is called from several goroutines, and must not block. nil: nobody is.
	OnRefused func(transport.Refusal)

	pool pool

	hooks hooks
}

// What only tests change.
type hooks struct {
	protocol   string                         // instead of Protocol
	socket     func() (net.PacketConn, error) // where Dial sends from
	pace       int                            // instead of freeHandshakes
	uniStreams int64                          // that a client may open, and nobody reads
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Dialer    = (*Transport)(nil)
)

func (t *Transport) limits() transport.FrameLimits {
	return transport.FrameLimitsOf(t.Limits, transport.FrameLimits{MaxFrame: t.MaxFrame, Idle: t.Idle, FrameTimeout: t.FrameTimeout})
}
