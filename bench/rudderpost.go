package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/transport/websocket"
	"github.com/rudderpost/rudderpost/wire"
)

// ours has rudderpost over each of its transports, with a typed handler and with an untyped one.
var ours = slices.Concat(
	both2("unix", "", onUNIX, nil, protocol{request: lineCommand}),
	[]contestant{{name: "rudderpost-unix-client", floor: "floor-unix-loop-own", can: callers, note: "rudderpost-unix, driven by package client: " +
		"arguments are encoded and replies decoded", start: daemon(onUNIX, typed), wire: protocol{session: ourClient}}},
	[]contestant{{name: "rudderpost-unix-own", floor: "floor-unix-loop-own", note: "rudderpost-unix, driven by a Go client that says prepared bytes",
		start: daemon(onUNIX, typed), wire: protocol{request: lineCommand, dial: dialPlain}}},
	both2("tcp", "", onTCP(false), steady, protocol{request: lineCommand}),
	both2("tls", "", onTCP(true), steady, protocol{request: lineCommand, dial: dialTLS(lineProtocol)}),
	[]contestant{{name: "rudderpost-tls-resumed", floor: "floor-tls-loop", can: oneShot, note: "rudderpost-tls; all conns resume one session, while the floor's have full handshakes",
		start: daemon(onTCP(true), typed), wire: protocol{request: lineCommand, dial: dialResumed}}},
	both2("ws", "", onWebSocket(false), steady, protocol{request: messageCommand, prologue: upgrade}),
	both2("wss", "", onWebSocket(true), steady, protocol{request: messageCommand, prologue: upgrade, dial: dialTLS(webProtocol)}),
	both2("quic-stream", "a stream for each command", onQUIC, steady, protocol{request: jsonCommand, session: quicStreams}),
	both2("quic-long", "all commands of a connection on one stream", onQUIC, steady, protocol{request: lineCommand, dial: dialQUIC}),
	both2("http", "a token is verified with each command", onHTTP(false), steady, protocol{request: postCommand}),
	both2("https", "a token is verified with each command", onHTTP(true), steady, protocol{request: postCommand, dial: dialTLS(webProtocol)}),
)

// both2 returns rudderpost over one transport, with both kinds of handlers. They differ only in the handler, so the untyped one
// does not do all works on each transport.
func both2(name, note string, place place, can func(work) bool, wire protocol) []contestant {
	if note != "" {
		note = "; " + note
	}
	untypedCan := func(w work) bool { return !w.Mixed && (can == nil || can(w)) }
	return []contestant{
		{name: "rudderpost-" + name, floor: "floor-" + name + "-loop", start: daemon(place, typed), wire: wire,
			note: "a policy's roles decide on each call; the arguments are checked and decoded into a struct, and the reply is encoded from one" + note},
		{name: "rudderpost-" + name + "-untyped", floor: "floor-" + name + "-loop", start: daemon(place, untyped), wire: wire, can: untypedCan,
			note: "the handler takes bytes and gives bytes that were encoded before; all else as in rudderpost-" + name},
	}
}

// A place makes the transport of a manager.
type place = func(*site) (transport.Transport, error)

// daemon starts a manager with one listener. It has the default limits, but none for one peer, since one peer makes the whole
// load.
func daemon(place place, commands func(*site) ([]mgr.Command, error)) start {
	return func(s *site) (endpoint, error) {
		policy, err := access.NewPolicy(access.Options{
			NoOwner: true,
			Roles:   []access.Role{{Name: "bench", Allow: []string{"bench-*"}, Deny: []string{"*-never"}}},
			Principals: []access.Principal{
				{Subject: fmt.Sprint("uid:", os.Getuid()), Role: "bench"},
				{Subject: "cert:admin", Role: "bench"},
				{Subject: "anonymous:bench", Role: "bench"},
				{Subject: "token:bench", Role: "bench"},
			},
		})
		if err != nil {
			return endpoint{}, err
		}
		m := mgr.New(&mgr.Options{Authorizer: policy, Logger: slog.New(slog.DiscardHandler), Limits: mgr.Limits{
			MaxConns: -1, MaxConnsPerPeer: -1, MaxInFlightPerPeer: 8192, MaxQueued: 8192, MaxBuffered: 4 << 30,
			SlowCommand: 250 * time.Millisecond, // the default of the daemon
		}})
		all, err := commands(s)
		if err != nil {
			return endpoint{}, err
		}
		if err := m.Register(all...); err != nil {
			return endpoint{}, err
		}
		t, err := place(s)
		if err != nil {
			return endpoint{}, err
		}
		socket, err := m.Open(context.Background(), t)
		if err != nil {
			return endpoint{}, err
		}
		go func() { _ = m.Run(context.Background()) }()
		return endpointOf(socket.Addr()), nil
	}
}

// typed returns both kinds of commands. The slow one runs beside the loop.
func typed(s *site) ([]mgr.Command, error) {
	f := echoOf(s)
	h := func(_ context.Context, in echo) (echo, error) { return f(in), nil }
	return []mgr.Command{
		mgr.Func("bench-echo", "Echo.", mgr.Read, h),
		mgr.Async("bench-slow", "Echo after a while.", mgr.Read, h),
	}, nil
}

func untyped(s *site) ([]mgr.Command, error) {
	answer, err := wire.Encode(echoOf(s)(echo{plain}))
	return []mgr.Command{{Name: "bench-echo", Summary: "Echo.", Level: mgr.Read,
		Handler: func(context.Context, *mgr.Call) (wire.Reply, error) { return wire.Reply{Arguments: answer}, nil }}}, err
}

// ourClient gives commands with package client.
func ourClient(s *site, e endpoint) (session, error) {
	c, err := client.Dial(context.Background(), &unix.Transport{Path: e.Address})
	if err != nil {
		return session{}, err
	}
	return session{close: func() { _ = c.Close() }, trip: func(k *kind) error {
		command := "bench-echo"
		if k.value == slower {
			command = "bench-slow"
		}
		out, err := client.Call[echo](context.Background(), c, command, echo{k.value})
		if err == nil {
			err = checkEcho(s, k, out.Value, k.value)
		}
		return err
	}}, nil
}

func onUNIX(s *site) (transport.Transport, error) {
	return &unix.Transport{Path: s.path("socket"), Idle: time.Hour}, nil
}

func onTCP(secure bool) place {
	return func(s *site) (transport.Transport, error) {
		t := &tcp.Transport{Address: "127.0.0.1:0", Idle: time.Hour}
		if !secure {
			t.Insecure, t.Anonymous = true, "bench"
			return t, nil
		}
		var err error
		t.TLS, err = tlsconf.Auto(s.pki(), nil)
		return t, err
	}
}

func onWebSocket(secure bool) place {
	return func(s *site) (t transport.Transport, err error) {
		ws := &websocket.Transport{Address: "127.0.0.1:0", Idle: time.Hour, Insecure: !secure, MaxConns: 20_000}
		if secure {
			if ws.TLS, err = tlsconf.Auto(s.pki(), nil); err != nil {
				return nil, err
			}
		}
		ws.Authenticator, err = authenticator(s)
		return ws, err
	}
}

func onHTTP(secure bool) place {
	return func(s *site) (t transport.Transport, err error) {
		h := &http.Transport{Address: "127.0.0.1:0", Insecure: !secure, MaxConns: 20_000}
		if secure {
			if h.TLS, err = tlsconf.Auto(s.pki(), nil); err != nil {
				return nil, err
			}
		}
		h.Authenticator, err = authenticator(s)
		return h, err
	}
}

func onQUIC(s *site) (transport.Transport, error) {
	server, err := tlsconf.Auto(s.pki(), nil)
	return &quic.Transport{Address: "127.0.0.1:0", TLS: server, Idle: time.Hour, MaxConns: 20_000, MaxPerSource: 20_000}, err
}

// tokenFile returns the path of the tokens file of a run.
func tokenFile(shared string) string { return filepath.Join(shared, "tokens") }

func authenticator(s *site) (transport.Authenticator, error) {
	tokens, err := secrets.OpenTokens(tokenFile(s.Shared))
	return &secrets.Authenticator{Tokens: tokens}, err
}
