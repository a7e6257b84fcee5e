package main

import (
	"context"

	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var ttrpcGo = contestant{
	name: "ttrpc", floor: "floor-unix-loop-own", can: callers,
	note: "protobuf, no JSON; its own client; what is in flight comes from as many goroutines; handlers run beside each other",
	start: func(s *site) (endpoint, error) {
		l, err := listen(s, "unix", nil)
		if err != nil {
			return endpoint{}, err
		}
		f := echoOf(s)
		t, err := ttrpc.NewServer()
		if err != nil {
			return endpoint{}, err
		}
		t.RegisterService("bench.Bench", &ttrpc.ServiceDesc{Methods: map[string]ttrpc.Method{
			"Echo": func(_ context.Context, decode func(any) error) (any, error) {
				var in wrapperspb.StringValue
				if err := decode(&in); err != nil {
					return nil, err
				}
				return wrapperspb.String(f(echo{in.GetValue()}).Value), nil
			},
		}})
		go func() { _ = t.Serve(context.Background(), l) }()
		return endpointOf(l.Addr()), nil
	},
	wire: protocol{session: func(s *site, e endpoint) (session, error) {
		conn, err := dialOf(e)
		if err != nil {
			return session{}, err
		}
		c := ttrpc.NewClient(conn)
		return session{close: func() { _ = c.Close() }, trip: func(k *kind) error {
			var out wrapperspb.StringValue
			if err := c.Call(context.Background(), "bench.Bench", "Echo", wrapperspb.String(k.sixty), &out); err != nil {
				return err
			}
			return checkEcho(s, k, out.GetValue(), k.sixty)
		}}, nil
	}},
}
