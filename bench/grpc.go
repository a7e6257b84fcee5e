package main

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var grpcGo = contestant{
	name: "grpc-go", floor: "floor-unix-loop-own", can: callers,
	note: "protobuf, no JSON; its own client; what is in flight comes from as many goroutines; handlers run beside each other",
	start: func(s *site) (endpoint, error) {
		l, err := listen(s, "unix", nil)
		if err != nil {
			return endpoint{}, err
		}
		f := echoOf(s)
		g := grpc.NewServer()
		g.RegisterService(&grpc.ServiceDesc{ServiceName: "bench.Bench", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
			MethodName: "Echo",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var in wrapperspb.StringValue
				if err := decode(&in); err != nil {
					return nil, err
				}
				return wrapperspb.String(f(echo{in.GetValue()}).Value), nil
			},
		}}}, nil)
		go func() { _ = g.Serve(l) }()
		return endpointOf(l.Addr()), nil
	},
	wire: protocol{session: func(s *site, e endpoint) (session, error) {
		c, err := grpc.NewClient("unix:"+e.Address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
		if err != nil {
			return session{}, err
		}
		return session{close: func() { _ = c.Close() }, trip: func(k *kind) error {
			var out wrapperspb.StringValue
			if err := c.Invoke(context.Background(), "/bench.Bench/Echo", wrapperspb.String(k.sixty), &out); err != nil {
				return err
			}
			return checkEcho(s, k, out.GetValue(), k.sixty)
		}}, nil
	}},
}

// checkEcho returns an error if a reply is not the correct one for a kind of command.
func checkEcho(s *site, k *kind, value, said string) error {
	switch {
	case s.Reply > 0 && len(value) == s.Reply, k.value == larger && len(value) == largeReply, s.Reply == 0 && value == said:
		return nil
	}
	return errors.New("the reply is not what was asked")
}

func dialOf(e endpoint) (net.Conn, error) { return net.Dial(e.Network, e.Address) }
