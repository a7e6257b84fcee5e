package alltransports

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/websocket"

	quicgo "github.com/quic-go/quic-go"
)

// A World is a CA with a daemon and a client that believe each other.
type Env struct {
	CA     *tlsconf.CA
	Dir    string          // of the CA
	Server *tlsconf.Server // believes no certificate that was revoked an instant ago
	Client Identity        // "admin", and ann
}

// New makes a World that lasts as long as the test.
func New(t testing.TB) *Env {
	t.Helper()
	w, err := At(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// At makes a World in dir, or opens the one that is there, for another process.
func At(dir string) (*Env, error) {
	server, err := tlsconf.Auto(dir, nil)
	if err != nil {
		return nil, err
	}
	server.CheckEvery = time.Nanosecond // at every handshake
	ca, err := tlsconf.OpenCA(dir)
	if err != nil {
		return nil, err
	}
	return &Env{CA: ca, Dir: dir, Server: server, Client: Identity{
		Client: tlsconf.ClientFrom(dir, ""),
		Claim:  transport.Claim{User: "ann", Password: Secret},
	}}, nil
}

const anyPort = "127.0.0.1:0"

// Ways returns all of them.
func (w *Env) Cases() []Case {
	return append(w.local(),
		w.tcp("tcp", nil), w.tcp("tls", w.Server),
		w.websocket("ws", nil), w.websocket("wss", w.Server),
		w.quic(),
		w.http("http", nil), w.http("https", w.Server),
	)
}

func connect(network string) func(context.Context, net.Addr) (net.Conn, error) {
	return func(ctx context.Context, addr net.Addr) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr.String())
	}
}

func (w *Env) tcp(name string, server *tlsconf.Server) Case {
	return Case{
		Name: name, HalfClose: true, Secure: server != nil,
		Listen: func(_ testing.TB, l Limits) transport.Transport {
			t := &tcp.Transport{
				Address: anyPort, TLS: server,
				MaxFrame: l.MaxFrame, Idle: l.Idle, FrameTimeout: l.FrameTimeout, OnRefused: l.OnRefused,
			}
			if server == nil {
				t.Insecure, t.Anonymous = true, "monitor"
			}
			return t
		},
		Dial: func(addr net.Addr, id Identity) transport.Dialer {
			t := &tcp.Transport{Address: addr.String()}
			if server != nil {
				t.Client = id.Client
			}
			return t
		},
		Raw: func(ctx context.Context, addr net.Addr, id Identity) (Bytes, error) {
			c, err := connect("tcp")(ctx, addr)
			if err != nil {
				return nil, err
			}
			if server == nil {
				return c.(*net.TCPConn), nil
			}
			return secure(c, id)
		},
		Connect: connect("tcp"),
	}
}

func (w *Env) websocket(name string, server *tlsconf.Server) Case {
	return Case{
		Name: name, Secure: server != nil, Passwords: true,
		Listen: func(_ testing.TB, l Limits) transport.Transport {
			return &websocket.Transport{
				Address: anyPort, TLS: server, Insecure: server == nil, Authenticator: FakeAuth{},
				MaxFrame: l.MaxFrame, Idle: l.Idle, FrameTimeout: l.FrameTimeout, OnRefused: l.OnRefused,
			}
		},
		Dial: func(addr net.Addr, id Identity) transport.Dialer {
			t := &websocket.Transport{Address: addr.String(), Credentials: id.Claim}
			if server != nil {
				t.Client = id.Client
			}
			return t
		},
		Connect: connect("tcp"),
	}
}

func (w *Env) http(name string, server *tlsconf.Server) Case {
	return Case{
		Name: name, OneShot: true, Secure: server != nil, Passwords: true,
		Listen: func(_ testing.TB, l Limits) transport.Transport {
			return &http.Transport{
				Address: anyPort, TLS: server, Insecure: server == nil, Authenticator: FakeAuth{},
				MaxFrame: l.MaxFrame, Idle: l.Idle, FrameTimeout: l.FrameTimeout, OnRefused: l.OnRefused,
			}
		},
		Dial: func(addr net.Addr, id Identity) transport.Dialer {
			t := &http.Transport{Address: addr.String(), Credentials: id.Claim}
			if server != nil {
				t.Client = id.Client
			}
			return t
		},
		Connect: connect("tcp"),
	}
}

func (w *Env) quic() Case {
	return Case{
		Name: "quic", HalfClose: true, Secure: true,
		Listen: func(_ testing.TB, l Limits) transport.Transport {
			return &quic.Transport{
				Address: anyPort, TLS: w.Server,
				MaxFrame: l.MaxFrame, Idle: l.Idle, FrameTimeout: l.FrameTimeout, OnRefused: l.OnRefused,
			}
		},
		Dial: func(addr net.Addr, id Identity) transport.Dialer {
			return &quic.Transport{Address: addr.String(), Client: id.Client}
		},
		Raw:     rawQUIC,
		Connect: connect("udp"),
	}
}

// secure does a TLS handshake on a bare connection.
func secure(c net.Conn, id Identity) (Bytes, error) {
	config, err := id.Client.Config("127.0.0.1", tcp.Protocol)
	if err != nil {
		return nil, err
	}
	t := tls.Client(c, config)
	if err := t.Handshake(); err != nil {
		_ = c.Close()
		return nil, err
	}
	return t, nil
}

// rawQUIC opens a stream on a connection of its own.
func rawQUIC(ctx context.Context, addr net.Addr, id Identity) (Bytes, error) {
	config, err := id.Client.Config("127.0.0.1", quic.Protocol)
	if err != nil {
		return nil, err
	}
	conn, err := quicgo.DialAddr(ctx, addr.String(), config, nil)
	if err != nil {
		return nil, err
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	return rawStream{stream, conn}, nil
}

type rawStream struct {
	*quicgo.Stream
	conn *quicgo.Conn
}

func (s rawStream) CloseWrite() error    { return s.Stream.Close() }
func (s rawStream) LocalAddr() net.Addr  { return s.conn.LocalAddr() }
func (s rawStream) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }
func (s rawStream) Close() error         { return s.conn.CloseWithError(0, "") }
