package main

import (
	"context"
	"fmt"
	"net"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
	"github.com/creachadair/jrpc2/handler"
)

var jrpc2Lines = contestant{
	name: "jrpc2", floor: "floor-unix-loop",
	note: "JSON-RPC 2.0 in lines, requests of about 80 bytes; handlers run beside each other, and nobody is asked who may",
	start: func(s *site) (endpoint, error) {
		l, err := listen(s, "unix", nil)
		if err != nil {
			return endpoint{}, err
		}
		f := echoOf(s)
		methods := handler.Map{"bench-echo": handler.New(func(_ context.Context, in echo) (echo, error) { return f(in), nil })}
		go accept(l, func(c net.Conn) { _ = jrpc2.NewServer(methods, nil).Start(channel.Line(c, c)).Wait() })
		return endpointOf(l.Addr()), nil
	},
	wire: protocol{request: func(_ *site, i int) []byte {
		return fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"bench-echo","params":{"value":"abcdef"},"id":%d}`+"\n", 10+i)
	}},
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
