package main

import (
	"context"
	"fmt"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var connectRPC = contestant{
	name: "connect", floor: "floor-unix-loop",
	note: "ConnectRPC, unary JSON over HTTP/1.1, driven by the raw client; handlers run beside each other, and there is no authorization",
	start: func(s *site) (endpoint, error) {
		l, err := listen(s, "unix", nil)
		if err != nil {
			return endpoint{}, err
		}
		f := echoOf(s)
		const procedure = "/bench.Bench/Echo"
		mux := http.NewServeMux()
		mux.Handle(procedure, connect.NewUnaryHandler(procedure, func(_ context.Context, r *connect.Request[wrapperspb.StringValue]) (*connect.Response[wrapperspb.StringValue], error) {
			return connect.NewResponse(wrapperspb.String(f(echo{r.Msg.GetValue()}).Value)), nil
		}))
		go func() { _ = http.Serve(l, mux) }()
		return endpointOf(l.Addr()), nil
	},
	wire: protocol{request: func(_ *site, value string, _ int) []byte {
		return post("/bench.Bench/Echo", "application/json", "Connect-Protocol-Version: 1\r\n", fmt.Appendf(nil, "%q", sixty(value)))
	}},
}
