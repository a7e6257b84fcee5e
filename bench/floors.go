package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/gorilla/websocket"
	quicgo "github.com/quic-go/quic-go"
)

// floors give back the bytes they get and do nothing else: each as plainly as its transport permits, and with
// a hand-off of each message to one goroutine and back, which is the least that a daemon with a loop can do. Those
// that end in -own are the same server, driven by a Go client, for contestants that have no other.
var floors = []contestant{
	{name: "floor-unix", start: echoLines("unix", false, nil), wire: protocol{request: lineCommand}},
	{name: "floor-unix-loop", start: echoLines("unix", true, nil), wire: protocol{request: lineCommand}},
	{name: "floor-unix-loop-own", start: echoLines("unix", true, nil), wire: protocol{request: lineCommand, dial: dialPlain}},
	{name: "floor-tcp", start: echoLines("tcp", false, nil), wire: protocol{request: lineCommand}},
	{name: "floor-tcp-loop", start: echoLines("tcp", true, nil), wire: protocol{request: lineCommand}},
	{name: "floor-tls", can: secure, start: echoLines("tcp", false, tlsFor(lineProtocol)), wire: protocol{request: lineCommand, dial: dialTLS(lineProtocol)}},
	{name: "floor-tls-loop", can: secure, start: echoLines("tcp", true, tlsFor(lineProtocol)), wire: protocol{request: lineCommand, dial: dialTLS(lineProtocol)}},
	{name: "floor-ws", start: echoHTTP(echoMessages, false, nil), wire: protocol{request: messageCommand, prologue: upgrade}},
	{name: "floor-ws-loop", start: echoHTTP(echoMessages, true, nil), wire: protocol{request: messageCommand, prologue: upgrade}},
	{name: "floor-wss-loop", can: secure, start: echoHTTP(echoMessages, true, tlsFor(webProtocol)), wire: protocol{request: messageCommand, prologue: upgrade, dial: dialTLS(webProtocol)}},
	{name: "floor-quic-stream-loop", can: secure, start: echoQUIC(echoWhole, true), wire: protocol{session: quicStreams}},
	{name: "floor-quic-long", can: keepsConns, start: echoQUIC(echoStream, false), wire: protocol{request: lineCommand, dial: dialQUIC}},
	{name: "floor-quic-long-loop", can: secure, start: echoQUIC(echoStream, true), wire: protocol{request: lineCommand, dial: dialQUIC}},
	{name: "floor-http-loop", start: echoHTTP(echoBody, true, nil), wire: protocol{request: postCommand}},
	{name: "floor-https-loop", can: secure, start: echoHTTP(echoBody, true, tlsFor(webProtocol)), wire: protocol{request: postCommand, dial: dialTLS(webProtocol)}},
}

// A floor is what all conns of a raw server share.
type floor struct {
	loop  chan chan struct{} // nil: there is no hand-off
	large []byte             // what is answered instead of what was asked
}

func newFloor(s *site, handOff bool) *floor {
	f := &floor{}
	if s.Reply > 0 {
		f.large = []byte(strings.Repeat("x", s.Reply) + "\n")
	}
	if handOff {
		f.loop = make(chan chan struct{}, 1024)
		go func() {
			for back := range f.loop {
				back <- struct{}{}
			}
		}()
	}
	return f
}

// lane returns what a conn does with each of its messages.
func (f *floor) lane() (pass func()) {
	if f.loop == nil {
		return func() {}
	}
	back := make(chan struct{}, 1)
	return func() {
		f.loop <- back
		<-back
	}
}

// answer is what is said to a message.
func (f *floor) answer(message []byte) []byte {
	if f.large != nil {
		return f.large
	}
	return message
}

// echoStream is a conn of bytes.
func (f *floor) echoStream(c io.ReadWriteCloser) {
	defer c.Close()
	pass := f.lane()
	buf := make([]byte, 4<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		pass()
		if f.large == nil {
			_, err = c.Write(buf[:n])
		}
		for range bytes.Count(buf[:n], []byte("\n")) * min(1, len(f.large)) {
			_, err = c.Write(f.large)
		}
		if err != nil {
			return
		}
	}
}

func echoLines(network string, handOff bool, secure func(*site) (*tls.Config, error)) func(*site) (endpoint, error) {
	return func(s *site) (endpoint, error) {
		l, err := listen(s, network, secure)
		if err != nil {
			return endpoint{}, err
		}
		f := newFloor(s, handOff)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go f.echoStream(c)
			}
		}()
		return endpointOf(l.Addr()), nil
	}
}

func echoHTTP(serve func(*floor, http.ResponseWriter, *http.Request), handOff bool, secure func(*site) (*tls.Config, error)) func(*site) (endpoint, error) {
	return func(s *site) (endpoint, error) {
		l, err := listen(s, "tcp", secure)
		if err != nil {
			return endpoint{}, err
		}
		f := newFloor(s, handOff)
		go func() {
			_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(f, w, r) }))
		}()
		return endpointOf(l.Addr()), nil
	}
}

func echoMessages(f *floor, w http.ResponseWriter, r *http.Request) {
	c, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	pass := f.lane()
	for {
		kind, message, err := c.ReadMessage()
		if err != nil {
			return
		}
		pass()
		if c.WriteMessage(kind, f.answer(message)) != nil {
			return
		}
	}
}

func echoBody(f *floor, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.lane()()
	body = f.answer(body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

func echoQUIC(serve func(*floor, *quicgo.Stream), handOff bool) func(*site) (endpoint, error) {
	return func(s *site) (endpoint, error) {
		config, err := tlsFor(lineProtocol)(s)
		if err != nil {
			return endpoint{}, err
		}
		l, err := quicgo.ListenAddr("127.0.0.1:0", config, nil)
		if err != nil {
			return endpoint{}, err
		}
		f := newFloor(s, handOff)
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
						go serve(f, stream)
					}
				}()
			}
		}()
		return endpointOf(l.Addr()), nil
	}
}

// echoWhole is a stream that carries one message.
func echoWhole(f *floor, stream *quicgo.Stream) {
	defer stream.Close()
	if message, err := io.ReadAll(stream); err == nil {
		f.lane()()
		_, _ = stream.Write(f.answer(message))
	}
}

func echoStream(f *floor, stream *quicgo.Stream) { f.echoStream(stream) }

func listen(s *site, network string, secure func(*site) (*tls.Config, error)) (net.Listener, error) {
	address := "127.0.0.1:0"
	if network == "unix" {
		address = s.path("socket")
	}
	l, err := net.Listen(network, address)
	if err != nil || secure == nil {
		return l, err
	}
	config, err := secure(s)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, config), nil
}

func endpointOf(a net.Addr) endpoint { return endpoint{Network: a.Network(), Address: a.String()} }
