package quic

import (
	"cmp"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/rudderpost/rudderpost/transport"
)

const (
	defaultIdle         = 10 * time.Second
	defaultMaxStreams   = 100
	defaultMaxConns     = 1024
	defaultMaxPerSource = 128

	handshakeTimeout = 5 * time.Second
	idleTimeout      = 60 * time.Second
	keepAlive        = 15 * time.Second
)

// The receive windows of a connection of the listener: what its client may send before it is read. The window of the
// connection bounds all its streams together. It is booked for the client when the connection is accepted, and each
// increase before it is granted.
const (
	serverStreamWindow, maxServerStreamWindow = 64 << 10, 2 << 20
	serverConnWindow, maxServerConnWindow     = 64 << 10, 4 << 20
)

// The receive windows of a dialed connection.
const (
	clientStreamWindow, maxClientStreamWindow = 256 << 10, 4 << 20
	clientConnWindow, maxClientConnWindow     = 16 << 20, 64 << 20
)

// serverConfig returns the configuration of a listener. Allow0RTT stays false. memory may be nil.
func (t *Transport) serverConfig(memory transport.Memory) *quicgo.Config {
	return &quicgo.Config{
		HandshakeIdleTimeout:           handshakeTimeout,
		MaxIdleTimeout:                 idleTimeout,
		InitialStreamReceiveWindow:     serverStreamWindow,
		MaxStreamReceiveWindow:         maxServerStreamWindow,
		InitialConnectionReceiveWindow: serverConnWindow,
		MaxConnectionReceiveWindow:     maxServerConnWindow,
		AllowConnectionWindowIncrease: func(conn *quicgo.Conn, delta uint64) bool {
			return memory == nil || recordOf(conn).growWindow(delta)
		},
		MaxIncomingStreams:    int64(cmp.Or(t.MaxStreams, defaultMaxStreams)),
		MaxIncomingUniStreams: cmp.Or(t.hooks.uniStreams, -1),
		// A stream counts until the daemon closes it, even if the client has closed it before.
		RequireStreamCreditRelease: true,
	}
}

// clientConfig returns the configuration of a dialer. The connection has a large window: a conn whose replies are not
// read must not delay the others.
func clientConfig() *quicgo.Config {
	return &quicgo.Config{
		HandshakeIdleTimeout:           handshakeTimeout,
		MaxIdleTimeout:                 idleTimeout,
		KeepAlivePeriod:                keepAlive,
		InitialStreamReceiveWindow:     clientStreamWindow,
		MaxStreamReceiveWindow:         maxClientStreamWindow,
		InitialConnectionReceiveWindow: clientConnWindow,
		MaxConnectionReceiveWindow:     maxClientConnWindow,
		MaxIncomingStreams:             -1,
		MaxIncomingUniStreams:          -1,
	}
}

// The application error codes of streams.
const (
	streamClosed  quicgo.StreamErrorCode = 0 // its conn was closed
	streamLast    quicgo.StreamErrorCode = 1 // the same, and the client wants nothing more of the connection
	streamRefused quicgo.StreamErrorCode = 2 // the daemon accepts no conns any more
)

// The application error codes of connections.
const (
	connDone          quicgo.ApplicationErrorCode = 0
	connIdle          quicgo.ApplicationErrorCode = 1
	connNoCredentials quicgo.ApplicationErrorCode = 2
	connMemory        quicgo.ApplicationErrorCode = 3 // too many bytes are held for this peer
	connBusy          quicgo.ApplicationErrorCode = 4 // evicted: too many handshakes
)
