package tcp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/netfd"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// A listener without authentication, or with an unusable configuration, does not open.
func TestListenerWithoutAuthenticationDoesNotOpen(t *testing.T) {
	id := newIdentity(t)
	missing := &tlsconf.Server{Cert: id.daemon.Cert, Key: id.daemon.Key, ClientCA: id.dir + "/nowhere.pem"}
	noClientCA := &tlsconf.Server{Cert: id.daemon.Cert, Key: id.daemon.Key}
	for want, at := range map[string]*tcp.Transport{
		`use TLS, or name the role that all clients get (anonymous = "ROLE")`: {Address: "127.0.0.1:0"},
		"insecure = true":         {Address: "127.0.0.1:0", Anonymous: "monitor"},
		"is not loopback":         {Address: "0.0.0.0:0", Anonymous: "monitor", Insecure: true},
		"nowhere.pem":             {Address: "127.0.0.1:0", TLS: missing},
		"no address":              {TLS: id.server},
		"missing port in address": {Address: "127.0.0.1", TLS: id.server},
		"a TCP socket is needed":  {Listener: unixListener(t), TLS: id.server},
		"client CA":               {Address: "127.0.0.1:0", TLS: noClientCA},
		"address already in use":  {Address: usedAddress(t), TLS: id.server},
	} {
		_, err := at.Listen(t.Context())
		require.ErrorAs(t, err, new(*net.OpError), want)
		require.ErrorContains(t, err, want)
	}
}

func unixListener(t *testing.T) net.Listener {
	dir, err := os.MkdirTemp("", "rp")
	require.NoError(t, err)
	l, err := net.Listen("unix", dir+"/s")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(); _ = os.RemoveAll(dir) })
	return l
}

func usedAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// listen opens a listener until the test ends.
func listen(t *testing.T, at *tcp.Transport) transport.Listener {
	t.Helper()
	l, err := at.Listen(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestPassedListenerIsUsed(t *testing.T) {
	id := newIdentity(t)
	opened, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := listen(t, &tcp.Transport{Address: "ignored", Listener: opened, TLS: id.server})
	require.Equal(t, opened.Addr(), l.Addr())
	client, err := (&tcp.Transport{Address: l.Addr().String(), Client: id.client}).Dial(t.Context())
	require.NoError(t, err)
	server, err := l.Accept(t.Context())
	require.NoError(t, err)
	require.Equal(t, client.Peer().Addr.String(), l.Addr().String())
	require.NoError(t, errors.Join(client.Close(), server.Close(), l.Close()))
	_, err = opened.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

// A peer that is still sending bytes which are not read receives the reply. A plain close would discard it by a
// reset.
func TestPeerThatStillSendsReceivesReplyAfterClose(t *testing.T) {
	id := newIdentity(t)
	for name, at := range map[string]*tcp.Transport{
		"tcp": {Address: "127.0.0.1:0", Insecure: true, Anonymous: "monitor", MaxFrame: 1 << 10},
		"tls": {Address: "127.0.0.1:0", TLS: id.server, MaxFrame: 1 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, at)
			dialer := &tcp.Transport{Address: l.Addr().String()}
			if at.TLS != nil {
				dialer.Client = id.client
			}
			for range 20 {
				client, err := dialer.Dial(t.Context())
				require.NoError(t, err)
				sent := make(chan error, 1)
				go func() { sent <- client.Send(t.Context(), []byte(`{"x":"`+strings.Repeat("x", 2<<20)+`"}`)) }()
				server, err := l.Accept(t.Context())
				require.NoError(t, err)
				_, err = server.Receive(t.Context(), nil)
				require.ErrorAs(t, err, new(*transport.FrameError))
				require.NoError(t, server.Send(t.Context(), []byte(`{"too":"large"}`)))
				require.NoError(t, server.Close())
				reply, err := client.Receive(t.Context(), nil)
				require.NoError(t, err)
				require.Equal(t, `{"too":"large"}`, string(reply))
				_ = client.Close()
				<-sent
			}
		})
	}
}

// A client whose handshake fails receives the alert, even if it has sent its first frame already, as TLS 1.3 allows.
func TestClientReceivesAlertOfFailedHandshake(t *testing.T) {
	id := newIdentity(t)
	refusals := make(chan transport.Refusal, 100)
	l := listen(t, &tcp.Transport{Address: "127.0.0.1:0", TLS: id.server, OnRefused: func(r transport.Refusal) { refusals <- r }})
	noCert := &tcp.Transport{Address: l.Addr().String(), Client: &tlsconf.Client{CA: id.client.CA}}
	for range 50 {
		client, err := noCert.Dial(t.Context())
		require.NoError(t, err)
		_ = client.Send(t.Context(), []byte(`{"command":"list-commands","arguments":"`+strings.Repeat("x", 1<<10)+`"}`))
		_, err = client.Receive(t.Context(), nil)
		require.ErrorContains(t, err, "certificate required")
		require.NoError(t, client.Close())
		r := <-refusals
		require.Equal(t, "tls", r.Transport)
		require.NotNil(t, r.Addr)
		require.Error(t, r.Err)
	}
}

// A handshake that takes too long is closed and reported.
func TestSlowHandshakeIsRefused(t *testing.T) {
	id := newIdentity(t)
	refusals := make(chan transport.Refusal, 2)
	l := listen(t, &tcp.Transport{Address: "127.0.0.1:0", TLS: id.server, OnRefused: func(r transport.Refusal) { refusals <- r }})
	half, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer half.Close()
	_, err = io.WriteString(half, "\x16\x03\x01\x00\xf8\x01")
	require.NoError(t, err)
	require.NoError(t, half.SetReadDeadline(time.Now().Add(30*time.Second)))
	_, err = io.Copy(io.Discard, half)
	require.NoError(t, err)
	require.ErrorIs(t, (<-refusals).Err, os.ErrDeadlineExceeded)
}

// Only our protocol is negotiated, and no version below TLS 1.3.
func TestOtherProtocolOrOldTLSIsRefused(t *testing.T) {
	id := newIdentity(t)
	l := listen(t, &tcp.Transport{Address: "127.0.0.1:0", TLS: id.server})
	for want, change := range map[string]func(*tls.Config){
		"no application protocol": func(c *tls.Config) { c.NextProtos = []string{"h2"} },
		"protocol version":        func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
	} {
		config, err := id.client.Config("127.0.0.1")
		require.NoError(t, err)
		change(config)
		_, err = tls.Dial("tcp", l.Addr().String(), config)
		require.ErrorContains(t, err, want)
	}
	config, err := id.client.Config("127.0.0.1") // names no protocol
	require.NoError(t, err)
	c, err := tls.Dial("tcp", l.Addr().String(), config)
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestDialErrorSaysWhatToDo(t *testing.T) {
	id := newIdentity(t)
	plain := listen(t, &tcp.Transport{Address: "127.0.0.1:0", Insecure: true, Anonymous: "monitor"})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go func() {
		if c, err := plain.Accept(ctx); err == nil {
			_, _ = c.Receive(ctx, nil)
			_ = c.Send(ctx, []byte(`{"text":"invalid first character"}`))
			_ = c.Close()
		}
	}()
	_, err := (&tcp.Transport{Address: plain.Addr().String(), Client: id.client}).Dial(ctx)
	require.ErrorContains(t, err, "does not speak TLS there; is it tcp://")
	require.ErrorAs(t, err, new(*net.OpError))
	_, err = (&tcp.Transport{Address: "nowhere"}).Dial(ctx)
	require.ErrorContains(t, err, "missing port in address")
	secure := listen(t, &tcp.Transport{Address: "127.0.0.1:0", TLS: id.server})
	other := newIdentity(t)
	_, err = (&tcp.Transport{Address: secure.Addr().String(), Client: other.client}).Dial(ctx)
	var verifyErr *tlsconf.VerifyError
	require.ErrorAs(t, err, &verifyErr)
	require.Equal(t, id.daemon.Fingerprint, verifyErr.Fingerprint)
}

// A closed conn lingers, so its descriptor is still open. It cannot be parked: no event would ever wake it.
func TestClosedConnThatLingersIsNotParked(t *testing.T) {
	p, err := netfd.NewPoller()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	defer running.Wait()
	defer stop()
	l := listen(t, &tcp.Transport{Address: "127.0.0.1:0", Insecure: true, Anonymous: "monitor"})
	peer, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer peer.Close()
	conn, err := l.Accept(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.False(t, conn.(interface{ Fast() netfd.FrameConn }).Fast().Park(p, func() { t.Error("woken") }))
}
