package alltransports

import (
	"context"
	"crypto/tls"
	"errors"
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

// An Env has a CA, with a server and a client that trust each other.
type Env struct {
	CA     *tlsconf.CA
	Dir    string          // the directory of the CA
	Server *tlsconf.Server // reads the CRL at each handshake
	Client Identity        // the certificate "admin", and the password of ann
}

// New makes an Env in a directory that is removed when the test ends.
func New(t testing.TB) *Env {
	t.Helper()
	e, err := At(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// At opens the Env in dir, or makes one. It is for a second process.
func At(dir string) (*Env, error) {
	server, err := tlsconf.Auto(dir, nil)
	if err != nil {
		return nil, err
	}
	server.CheckEvery = time.Nanosecond // the CRL is read at each handshake
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

// Cases returns all transports. Those over UNIX sockets are missing on systems without them.
func (e *Env) Cases() []Case {
	return append(e.local(),
		e.tcp("tcp", nil), e.tcp("tls", e.Server),
		e.websocket("ws", nil), e.websocket("wss", e.Server),
		e.quic(),
		e.http("http", nil), e.http("https", e.Server),
	)
}

func connect(network string) func(context.Context, net.Addr) (net.Conn, error) {
	return func(ctx context.Context, addr net.Addr) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr.String())
	}
}

func (e *Env) tcp(name string, server *tlsconf.Server) Case {
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

func (e *Env) websocket(name string, server *tlsconf.Server) Case {
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

func (e *Env) http(name string, server *tlsconf.Server) Case {
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

func (e *Env) quic() Case {
	return Case{
		Name: "quic", HalfClose: true, Secure: true,
		Listen: func(_ testing.TB, l Limits) transport.Transport {
			return &quic.Transport{
				Address: anyPort, TLS: e.Server,
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

// secure does a TLS handshake on a connection.
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

// CloseWrite closes the writing half. It returns nil when the daemon has stopped reading: the daemon may reply to a
// request, and close the stream, before the client closes its half.
func (s rawStream) CloseWrite() error {
	err := s.Stream.Close()
	stopped, ok := errors.AsType[*quicgo.StreamError](context.Cause(s.Context()))
	if ok && stopped.Remote {
		return nil
	}
	return err
}

func (s rawStream) LocalAddr() net.Addr  { return s.conn.LocalAddr() }
func (s rawStream) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }
func (s rawStream) Close() error         { return s.conn.CloseWithError(0, "") }
