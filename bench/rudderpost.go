package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/access/secrets"
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

const typedNote = "a policy's roles decide on each call; the arguments are checked and decoded into a struct, and the reply is encoded from one"

// ours is rudderpost over each of its transports.
var ours = []contestant{
	{name: "rudderpost-unix", floor: "floor-unix-loop", note: typedNote,
		start: daemon(onUNIX, typed), wire: protocol{request: lineCommand}},
	{name: "rudderpost-unix-untyped", floor: "floor-unix-loop", note: "the handler takes bytes and gives bytes; all else as in rudderpost-unix",
		start: daemon(onUNIX, untyped), wire: protocol{request: lineCommand}},
	{name: "rudderpost-unix-own", floor: "floor-unix-loop-own", note: "rudderpost-unix, driven by a Go client",
		start: daemon(onUNIX, typed), wire: protocol{request: lineCommand, dial: dialPlain}},
	{name: "rudderpost-tcp", floor: "floor-tcp-loop", note: typedNote,
		start: daemon(onTCP(false), typed), wire: protocol{request: lineCommand}},
	{name: "rudderpost-tls", floor: "floor-tls-loop", note: typedNote, can: secure,
		start: daemon(onTCP(true), typed), wire: protocol{request: lineCommand, dial: dialTLS(lineProtocol)}},
	{name: "rudderpost-ws", floor: "floor-ws-loop", note: typedNote,
		start: daemon(onWebSocket(false), typed), wire: protocol{request: messageCommand, prologue: upgrade}},
	{name: "rudderpost-wss", floor: "floor-wss-loop", note: typedNote, can: secure,
		start: daemon(onWebSocket(true), typed), wire: protocol{request: messageCommand, prologue: upgrade, dial: dialTLS(webProtocol)}},
	{name: "rudderpost-quic-stream", floor: "floor-quic-stream-loop", note: typedNote + "; a stream for each command", can: secure,
		start: daemon(onQUIC, typed), wire: protocol{session: quicStreams}},
	{name: "rudderpost-quic-long", floor: "floor-quic-long-loop", note: typedNote + "; all commands of a connection on one stream", can: secure,
		start: daemon(onQUIC, typed), wire: protocol{request: lineCommand, dial: dialQUIC}},
	{name: "rudderpost-http", floor: "floor-http-loop", note: typedNote + "; a token is verified with each command",
		start: daemon(onHTTP(false), typed), wire: protocol{request: postCommand}},
	{name: "rudderpost-https", floor: "floor-https-loop", note: typedNote + "; a token is verified with each command", can: secure,
		start: daemon(onHTTP(true), typed), wire: protocol{request: postCommand, dial: dialTLS(webProtocol)}},
}

// daemon starts a manager at one place. Its limits are the defaults but for those on how much one peer may
// ask, since one peer is all of the load here.
func daemon(place func(*site) (transport.Transport, error), command func(*site) (mgr.Command, error)) func(*site) (endpoint, error) {
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
			SlowCommand: 250 * time.Millisecond, // as the daemon has it
		}})
		c, err := command(s)
		if err != nil {
			return endpoint{}, err
		}
		if err := m.Register(c); err != nil {
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

// An echo is what a typed handler takes and gives, here and at the peers.
type echo struct {
	Value string `json:"value"`
}

// echoOf returns the handler of every contestant that has one: it answers what it was asked, or so many bytes.
func echoOf(s *site) func(echo) echo {
	if s.Reply == 0 {
		return func(in echo) echo { return in }
	}
	large := strings.Repeat("x", s.Reply)
	return func(echo) echo { return echo{large} }
}

func typed(s *site) (mgr.Command, error) {
	f := echoOf(s)
	return mgr.Func("bench-echo", "Echo.", mgr.Read, func(_ context.Context, in echo) (echo, error) { return f(in), nil }), nil
}

func untyped(s *site) (mgr.Command, error) {
	answer, err := wire.Encode(echoOf(s)(echo{"abcdef"}))
	return mgr.Command{Name: "bench-echo", Summary: "Echo.", Level: mgr.Read,
		Handler: func(context.Context, *mgr.Call) (wire.Reply, error) { return wire.Reply{Arguments: answer}, nil }}, err
}

func onUNIX(s *site) (transport.Transport, error) {
	return &unix.Transport{Path: s.path("socket"), Idle: time.Hour}, nil
}

func onTCP(secure bool) func(*site) (transport.Transport, error) {
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

func onWebSocket(secure bool) func(*site) (transport.Transport, error) {
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

func onHTTP(secure bool) func(*site) (transport.Transport, error) {
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

// tokenFile is where the run's token is.
func tokenFile(shared string) string { return filepath.Join(shared, "tokens") }

func authenticator(s *site) (transport.Authenticator, error) {
	tokens, err := secrets.OpenTokens(tokenFile(s.Shared))
	return &secrets.Authenticator{Tokens: tokens}, err
}
