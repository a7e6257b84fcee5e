package rudderpost_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/waystest"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tcp"

	"github.com/stretchr/testify/require"
)

// The round trips over every network transport, next to raw echoes over the same wire: x-floor is the
// ratio to one that does nothing else, x-loop-floor to one whose conns hand each message to one loop
// goroutine and back, as rudderpost must. All three have the same clients, none of them ours, and the
// same certificates, and are measured in turns within one run.
//
// A stream of QUIC is what our one-shot conns are, and costs more than a message on one that stays:
// quic-stream opens one for each request, quic-long has one for all of a connection.
//
//	go test -run - -bench Net -benchtime 2s .
func BenchmarkNet(b *testing.B) {
	b.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	world := waystest.New(b)
	world.Server.CheckEvery = 0 // the tests look at the files with every question
	for _, w := range rawWires {
		for _, conns := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/conns=%d", w.name, conns), func(b *testing.B) {
				if conns == 1 {
					defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				}
				w.b, w.world = b, world
				ours := w.clients(w.serve(), conns)
				compare(b, conns, ours,
					floor{"x-floor", w.clients(w.echo(w, nil), conns)},
					floor{"x-loop-floor", w.clients(w.echo(w, startLoop(b)), conns)})
			})
		}
	}
}

// A rawWire is what travels between a raw client and a raw echo.
type rawWire struct {
	name     string
	way      string // of ours that it is compared with
	protocol string // for TLS (ALPN); empty: there is none
	echo     func(rawWire, floorLoop) net.Addr
	dial     func(rawWire, net.Addr) roundTrip

	b     *testing.B
	world *waystest.World
}

// A roundTrip sends a request and reads its reply, which is good until the next.
type roundTrip func() ([]byte, error)

var rawWires = []rawWire{
	{name: "tcp", way: "tcp", echo: rawWire.echoLines, dial: rawWire.dialLines},
	{name: "tls", way: "tls", protocol: tcp.Protocol, echo: rawWire.echoLines, dial: rawWire.dialLines},
	{name: "ws", way: "ws", echo: rawWire.echoWebSocket, dial: rawWire.dialWebSocket},
	{name: "wss", way: "wss", protocol: "http/1.1", echo: rawWire.echoWebSocket, dial: rawWire.dialWebSocket},
	{name: "quic-stream", way: "quic", protocol: quic.Protocol, echo: rawWire.echoStreams, dial: rawWire.dialStreams},
	{name: "quic-long", way: "quic", protocol: quic.Protocol, echo: rawWire.echoStream, dial: rawWire.dialStream},
	{name: "http", way: "http", echo: rawWire.echoHTTP, dial: rawWire.dialHTTP},
	{name: "https", way: "https", protocol: "http/1.1", echo: rawWire.echoHTTP, dial: rawWire.dialHTTP},
}

// last is a request without an id, for conns that carry one.
const last = `{"command":"bench-echo","arguments":{"value":"abcdefg"}}`

// serve starts rudderpost.
func (w rawWire) serve() net.Addr {
	ways := w.world.Ways()
	i := slices.IndexFunc(ways, func(way waystest.Way) bool { return way.Name == w.way })
	place := ways[i].Listen(w.b, waystest.Limits{})
	if q, ok := place.(*quic.Transport); ok {
		q.MaxPerSource = 512 // all clients come from here
	}
	m := mgr.New(&mgr.Options{Logger: quiet, Authorizer: whoever{}})
	require.NoError(w.b, m.Register(benchCommand("untyped")))
	return serveFor(w.b, m, place)
}

// clients makes clients, each with a connection of its own.
func (w rawWire) clients(addr net.Addr, n int) contestant {
	all := make([]roundTrip, n)
	for i := range all {
		all[i] = w.dial(w, addr)
		reply, err := all[i]()
		require.NoError(w.b, err)
		require.Regexp(w.b, `"value": ?"abcdef`, string(reply)) // a reply to a request without an id has Kea's spelling
	}
	return func(n int) time.Duration {
		return together(all, func(trip roundTrip) {
			for range n {
				if _, err := trip(); err != nil {
					panic(err)
				}
			}
		})
	}
}

// server returns the TLS of a floor, which is ours, or nil.
func (w rawWire) server() *tls.Config {
	if w.protocol == "" {
		return nil
	}
	config, err := w.world.Server.Config(tls.RequireAndVerifyClientCert, w.protocol)
	require.NoError(w.b, err)
	return config
}

// client returns that of a client, or nil.
func (w rawWire) client() *tls.Config {
	if w.protocol == "" {
		return nil
	}
	config, err := w.world.Client.Client.Config("127.0.0.1", w.protocol)
	require.NoError(w.b, err)
	return config
}

func (w rawWire) listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w.b, err)
	w.b.Cleanup(func() { _ = l.Close() })
	if config := w.server(); config != nil {
		l = tls.NewListener(l, config)
	}
	return l
}

func (w rawWire) echoLines(loop floorLoop) net.Addr {
	l := w.listen()
	go echoConns(l, loop)
	return l.Addr()
}

func (w rawWire) dialLines(addr net.Addr) roundTrip {
	c, err := net.Dial("tcp", addr.String())
	require.NoError(w.b, err)
	w.b.Cleanup(func() { _ = c.Close() })
	if config := w.client(); config != nil {
		c = tls.Client(c, config)
	}
	return lines(c)
}

// lines speaks in lines.
func lines(c io.ReadWriter) roundTrip {
	in := bufio.NewReader(c)
	return func() ([]byte, error) {
		if _, err := io.WriteString(c, request); err != nil {
			return nil, err
		}
		return in.ReadSlice('\n')
	}
}
