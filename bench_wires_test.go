package rudderpost_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	gorilla "github.com/gorilla/websocket"
	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"
)

// serveHTTP starts net/http.
func (w rawWire) serveHTTP(h http.HandlerFunc) net.Addr {
	l := w.listen()
	server := &http.Server{Handler: h}
	w.b.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
	return l.Addr()
}

// header is what proves to ours who the client is.
func (w rawWire) header() http.Header {
	r := http.Request{Header: http.Header{"Content-Type": {"application/json"}}}
	r.SetBasicAuth(w.world.Client.Claim.User, w.world.Client.Claim.Password)
	return r.Header
}

func (w rawWire) url(scheme string, addr net.Addr) string {
	if w.protocol != "" {
		scheme += "s"
	}
	return scheme + "://" + addr.String() + "/"
}

func (w rawWire) echoWebSocket(loop floorLoop) net.Addr {
	return w.serveHTTP(func(out http.ResponseWriter, r *http.Request) {
		var upgrader gorilla.Upgrader
		c, err := upgrader.Upgrade(out, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		pass := loop.lane()
		for {
			kind, message, err := c.ReadMessage()
			if err != nil {
				return
			}
			pass()
			if c.WriteMessage(kind, message) != nil {
				return
			}
		}
	})
}

func (w rawWire) dialWebSocket(addr net.Addr) roundTrip {
	dialer := gorilla.Dialer{TLSClientConfig: w.client()}
	c, answer, err := dialer.Dial(w.url("ws", addr), w.header())
	require.NoError(w.b, err)
	_ = answer.Body.Close()
	w.b.Cleanup(func() { _ = c.Close() })
	message := []byte(request)
	return func() ([]byte, error) {
		if err := c.WriteMessage(gorilla.TextMessage, message); err != nil {
			return nil, err
		}
		_, reply, err := c.ReadMessage()
		return reply, err
	}
}

func (w rawWire) echoHTTP(loop floorLoop) net.Addr {
	return w.serveHTTP(func(out http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		loop.lane()()
		out.Header().Set("Content-Type", "application/json")
		out.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = out.Write(body)
	})
}

func (w rawWire) dialHTTP(addr net.Addr) roundTrip {
	wires := &http.Transport{TLSClientConfig: w.client()} // its own, so that it has one connection
	w.b.Cleanup(wires.CloseIdleConnections)
	url, header := w.url("http", addr), w.header()
	return func() ([]byte, error) {
		r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader([]byte(last)))
		if err != nil {
			return nil, err
		}
		r.Header = header
		answer, err := wires.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		return io.ReadAll(answer.Body)
	}
}

func (w rawWire) echoQUIC(serve func(*quicgo.Stream)) net.Addr {
	l, err := quicgo.ListenAddr("127.0.0.1:0", w.server(), nil)
	require.NoError(w.b, err)
	w.b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				for {
					stream, err := c.AcceptStream(context.Background())
					if err != nil {
						return
					}
					go serve(stream)
				}
			}()
		}
	}()
	return l.Addr()
}

func (w rawWire) dialQUIC(addr net.Addr) *quicgo.Conn {
	c, err := quicgo.DialAddr(w.b.Context(), addr.String(), w.client(), nil)
	require.NoError(w.b, err)
	w.b.Cleanup(func() { _ = c.CloseWithError(0, "") })
	return c
}

func (w rawWire) echoStreams(loop floorLoop) net.Addr {
	return w.echoQUIC(func(stream *quicgo.Stream) {
		defer stream.Close()
		if message, err := io.ReadAll(stream); err == nil {
			loop.lane()()
			_, _ = stream.Write(message)
		}
	})
}

func (w rawWire) dialStreams(addr net.Addr) roundTrip {
	c := w.dialQUIC(addr)
	return func() ([]byte, error) {
		stream, err := c.OpenStreamSync(context.Background())
		if err != nil {
			return nil, err
		}
		_, _ = io.WriteString(stream, last)
		_ = stream.Close()
		return io.ReadAll(stream)
	}
}

func (w rawWire) echoStream(loop floorLoop) net.Addr {
	return w.echoQUIC(func(stream *quicgo.Stream) { echoTo(stream, loop) })
}

func (w rawWire) dialStream(addr net.Addr) roundTrip {
	stream, err := w.dialQUIC(addr).OpenStreamSync(w.b.Context())
	require.NoError(w.b, err)
	return lines(stream)
}
