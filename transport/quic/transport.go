package quic

import (
	"net"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/limits"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// Protocol is the name of this protocol in the TLS handshake (ALPN, RFC 7301).
const Protocol = "rudderpost/1"

// Transport listens on, and dials, a UDP address with QUIC. Its methods may be called from any goroutine. It keeps
// the client's connection, so it must not be copied, and its fields must not change after the first call.
type Transport struct {
	// Address is the host and the port: "127.0.0.1:7443", "[::1]:7443", "daemon.example:7443". For Listen the host
	// may be empty, which means all addresses, and the port may be 0.
	Address string

	// PacketConn is a bound UDP socket that another program has opened, such as systemd. Listen uses it instead of
	// Address. It is closed with the listener and its last connection.
	PacketConn net.PacketConn

	// TLS has the daemon's certificate and the client CA. Listen needs both.
	TLS *tlsconf.Server

	// Client has the client's certificate and says which daemons it trusts. nil: no certificate, which our daemons
	// refuse, and the system's authorities.
	Client *tlsconf.Client

	// MaxFrame is the longest frame in bytes that is received. 0: transport.DefaultMaxFrame for accepted conns,
	// transport.ClientMaxFrame for dialed conns.
	MaxFrame int

	// Idle is how long a client may send nothing before its first frame on a stream is complete, and how long it may
	// have a connection without a first stream. FrameTimeout is how long one frame may take. For both see
	// transport.StreamConfig. Idle is not used for dialed conns.
	Idle, FrameTimeout time.Duration

	// Limits returns MaxFrame, Idle and FrameTimeout; it is called once for each accepted conn, and must not block.
	// nil: the fields of this struct are used.
	Limits func() transport.FrameLimits

	// MaxStreams is how many conns a client may have on one connection. 0: 100.
	MaxStreams int

	// MaxConns is how many connections a listener has at a time, with those in a handshake. 0: 1024.
	MaxConns int

	// MaxPerSource is how many of them may come from one address. For IPv6 the first 64 bits count. 0: 128.
	MaxPerSource int

	// Keys is the path of a file, mode 0600, with the keys of stateless resets and of address tokens. Listen makes it
	// if it does not exist. With it, clients learn at once that their daemon was restarted; without it, they learn it
	// when their connection has been silent for a minute. Empty: new keys for each Listen. Listen refuses a file that
	// an untrusted user could read or change: the file, the folders above it up to / and symbolic links on the way
	// must belong to root, to the user of this process or to one of TrustOwners, and no other user may write to them
	// (a folder above its own with the sticky bit excepted).
	Keys string

	// TrustOwners are ids of users that may own Keys and the folders above it, in addition to root and the user of
	// this process. It is for containers.
	TrustOwners []uint32

	// OnRefused is called for each handshake that has failed and each connection above a limit. It is called from
	// several goroutines at the same time, and must not block. nil: refusals are not reported.
	OnRefused func(transport.Refusal)

	pool pool

	hooks hooks
}

// hooks are changed by tests only.
type hooks struct {
	protocol   string                         // instead of Protocol
	socket     func() (net.PacketConn, error) // where Dial sends from
	pace       int                            // instead of freeHandshakes
	uniStreams int64                          // unidirectional streams that a client may open; they are not read
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Dialer    = (*Transport)(nil)
)

func (t *Transport) limits() transport.FrameLimits {
	return limits.Frame(t.Limits, transport.FrameLimits{MaxFrame: t.MaxFrame, Idle: t.Idle, FrameTimeout: t.FrameTimeout})
}
