package main

import (
	"fmt"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
)

var netRPC = contestant{
	name: "net/rpc/jsonrpc", floor: "floor-unix-loop",
	note: "JSON-RPC 1.0 with encoding/json; handlers run beside each other, and there is no authorization",
	start: func(s *site) (endpoint, error) {
		l, err := listen(s, "unix", nil)
		if err != nil {
			return endpoint{}, err
		}
		r := rpc.NewServer()
		if err := r.RegisterName("bench", &echoService{echoOf(s)}); err != nil {
			return endpoint{}, err
		}
		go accept(l, func(c net.Conn) { r.ServeCodec(jsonrpc.NewServerCodec(c)) })
		return endpointOf(l.Addr()), nil
	},
	wire: protocol{request: func(_ *site, value string, i int) []byte {
		return fmt.Appendf(nil, `{"method":"bench.Echo","params":[{"value":%q}],"id":%d}`+"\n", value, 10+i)
	}},
}

type echoService struct{ f func(echo) echo }

// Exported is echo as an exported type, which net/rpc requires.
type Exported echo

// Echo has the signature that net/rpc requires.
func (e *echoService) Echo(in, out *Exported) error {
	*out = Exported(e.f(echo(*in)))
	return nil
}
