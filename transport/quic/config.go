package quic

import (
	"cmp"
	"time"

	quicgo "github.com/quic-go/quic-go"
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

// What the peer has sent and nobody has read: to begin with, and at most.
const (
	streamWindow, maxStreamWindow = 64 << 10, 2 << 20
	connWindow, maxConnWindow     = 1 << 20, 8 << 20
)

// serverConfig leaves Allow0RTT and the like as they are: off.
func (t *Transport) serverConfig() *quicgo.Config {
	return &quicgo.Config{
		HandshakeIdleTimeout:           handshakeTimeout,
		MaxIdleTimeout:                 idleTimeout,
		InitialStreamReceiveWindow:     streamWindow,
		MaxStreamReceiveWindow:         maxStreamWindow,
		InitialConnectionReceiveWindow: connWindow,
		MaxConnectionReceiveWindow:     maxConnWindow,
		MaxIncomingStreams:             int64(cmp.Or(t.MaxStreams, defaultMaxStreams)),
		MaxIncomingUniStreams:          cmp.Or(t.hooks.uniStreams, -1),
		// A conn counts until it is closed here, not until the client has lost interest in it.
		RequireStreamCreditRelease: true,
	}
}

// clientConfig has larger windows for the connection: a conn whose replies nobody reads must not
// hold up the others.
func clientConfig() *quicgo.Config {
	return &quicgo.Config{
		HandshakeIdleTimeout:           handshakeTimeout,
		MaxIdleTimeout:                 idleTimeout,
		KeepAlivePeriod:                keepAlive,
		InitialStreamReceiveWindow:     4 * streamWindow,
		MaxStreamReceiveWindow:         2 * maxStreamWindow,
		InitialConnectionReceiveWindow: 16 * connWindow,
		MaxConnectionReceiveWindow:     8 * maxConnWindow,
		MaxIncomingStreams:             -1,
		MaxIncomingUniStreams:          -1,
	}
}

// The application error codes of streams.
const (
	streamClosed  quicgo.StreamErrorCode = 0 // its conn was closed
	streamLast    quicgo.StreamErrorCode = 1 // the same, and the client wants nothing more of the connection
	streamRefused quicgo.StreamErrorCode = 2 // the daemon takes no conns any more
)

// The application error codes of connections.
const (
	connDone   quicgo.ApplicationErrorCode = 0
	connIdle   quicgo.ApplicationErrorCode = 1
	connNobody quicgo.ApplicationErrorCode = 2
)
