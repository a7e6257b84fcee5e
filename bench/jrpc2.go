package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
	"github.com/creachadair/jrpc2/handler"
)

const jrpc2Note = "JSON-RPC 2.0 in lines, requests of about 80 bytes; handlers run beside each other, and there is no authorization"

var (
	jrpc2Typed = contestant{name: "jrpc2", floor: "floor-unix-loop", note: jrpc2Note, wire: protocol{request: jrpc2Line},
		start: serveJRPC2(func(s *site) (jrpc2.Handler, error) {
			f := echoOf(s)
			return handler.New(func(_ context.Context, in echo) (echo, error) { return f(in), nil }), nil
		})}
	jrpc2Raw = contestant{name: "jrpc2-raw", floor: "floor-unix-loop", note: "jrpc2 with a handler that gives bytes which were encoded before",
		can: func(w work) bool { return !w.Mixed }, wire: protocol{request: jrpc2Line},
		start: serveJRPC2(func(s *site) (jrpc2.Handler, error) {
			answer, err := json.Marshal(echoOf(s)(echo{plain}))
			return func(context.Context, *jrpc2.Request) (any, error) { return json.RawMessage(answer), nil }, err
		})}
)

func jrpc2Line(_ *site, value string, i int) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"bench-echo","params":{"value":%q},"id":%d}`+"\n", value, 10+i)
}

func serveJRPC2(handle func(*site) (jrpc2.Handler, error)) start {
	return func(s *site) (endpoint, error) {
		l, err := listen(s, "unix", nil)
		if err != nil {
			return endpoint{}, err
		}
		h, err := handle(s)
		if err != nil {
			return endpoint{}, err
		}
		go accept(l, func(c net.Conn) {
			_ = jrpc2.NewServer(handler.Map{"bench-echo": h}, nil).Start(channel.Line(c, c)).Wait()
		})
		return endpointOf(l.Addr()), nil
	}
}

// accept serves each conn of a listener on a goroutine.
func accept(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go serve(c)
	}
}
