package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	quicgo "github.com/quic-go/quic-go"
)

// floors return the bytes that they receive. Each transport has a plain one, and one (-loop) that hands each message to one
// goroutine and back, which is the minimum for a daemon with a loop. The one with -own has a client in Go, for contestants
// that have such a client.
var floors = slices.Concat(
	floor2("unix", func(handOff bool) start { return echoLines("unix", handOff, nil) }, protocol{request: lineCommand}),
	[]contestant{{name: "floor-unix-loop-own", start: echoLines("unix", true, nil), wire: protocol{request: lineCommand, dial: dialPlain}}},
	floor2("tcp", func(handOff bool) start { return echoLines("tcp", handOff, nil) }, protocol{request: lineCommand}),
	floor2("tls", func(handOff bool) start { return echoLines("tcp", handOff, tlsFor(lineProtocol)) },
		protocol{request: lineCommand, dial: dialTLS(lineProtocol)}),
	[]contestant{{name: "floor-tls-default", can: oneShot, note: "crypto/tls without any configuration on either side: full handshakes, and the client has no certificate",
		start: echoLines("tcp", false, tlsDefault), wire: protocol{request: lineCommand, dial: dialDefault}}},
	floor2("ws", func(handOff bool) start { return echoHTTP(echoMessages, handOff, nil) },
		protocol{request: messageCommand, prologue: upgrade}),
	floor2("wss", func(handOff bool) start { return echoHTTP(echoMessages, handOff, tlsFor(webProtocol)) },
		protocol{request: messageCommand, prologue: upgrade, dial: dialTLS(webProtocol)}),
	floor2("quic-stream", func(handOff bool) start { return echoQUIC(echoWhole, handOff) },
		protocol{request: jsonCommand, session: quicStreams}),
	floor2("quic-long", func(handOff bool) start { return echoQUIC(echoStream, handOff) },
		protocol{request: lineCommand, dial: dialQUIC}),
	floor2("http", func(handOff bool) start { return echoHTTP(echoBody, handOff, nil) }, protocol{request: postCommand}),
	floor2("https", func(handOff bool) start { return echoHTTP(echoBody, handOff, tlsFor(webProtocol)) },
		protocol{request: postCommand, dial: dialTLS(webProtocol)}),
)

// floor2 returns a floor without the hand-off and one with it.
func floor2(transport string, server func(handOff bool) start, wire protocol) []contestant {
	return []contestant{
		{name: "floor-" + transport, start: server(false), wire: wire},
		{name: "floor-" + transport + "-loop", start: server(true), wire: wire},
	}
}

// A floor has the data that all conns of a raw server share.
type floor struct {
	loop  chan chan struct{} // nil: there is no hand-off
	large []byte             // the reply, if it is not the request
	mixed bool               // only the commands of the larger kind get it
}

func newFloor(s *site, handOff bool) *floor {
	f := &floor{mixed: s.Mixed}
	if s.Reply > 0 || s.Mixed {
		f.large = []byte(strings.Repeat("x", max(s.Reply, largeReply)) + "\n")
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

// lane returns the function that a conn calls for each of its messages.
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

// answer returns the reply to a message.
func (f *floor) answer(message []byte) []byte {
	switch {
	case f.large == nil:
		return message
	case !f.mixed || bytes.Contains(message, []byte(larger)):
		return f.large
	case bytes.Contains(message, []byte(slower)):
		time.Sleep(slowness)
	}
	return message
}

// echoStream serves a byte stream. One read may return many messages; in a mix it returns one.
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
		times := 1
		if f.large != nil && !f.mixed {
			times = bytes.Count(buf[:n], []byte("\n"))
		}
		for range times {
			if _, err := c.Write(f.answer(buf[:n])); err != nil {
				return
			}
		}
	}
}

func echoLines(network string, handOff bool, secure func(*site) (*tls.Config, error)) start {
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

func echoHTTP(serve func(*floor, http.ResponseWriter, *http.Request), handOff bool, secure func(*site) (*tls.Config, error)) start {
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

func echoQUIC(serve func(*floor, *quicgo.Stream), handOff bool) start {
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

// echoWhole serves a stream with one message.
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
