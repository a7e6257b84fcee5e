package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/websocket"
)

func TestCredentialsOfClient(t *testing.T) {
	id := newIdentity(t)
	cert := []string{"cert:ops.example", "cert-sha256:" + string(id.ops.Fingerprint)}
	l := listen(t, &websocket.Transport{Address: "127.0.0.1:0", TLS: id.server, Authenticator: book{}})
	for _, test := range []struct {
		name   string
		client *tlsconf.Client
		claim  transport.Claim
		want   []string
		err    error
	}{
		{"certificate", id.client, transport.Claim{}, cert, nil},
		{"password", &tlsconf.Client{CA: id.client.CA}, transport.Claim{User: "ann", Password: "pass:word"}, []string{"user:ann"}, nil},
		{"token", &tlsconf.Client{CA: id.client.CA}, transport.Claim{Token: "sesame"}, []string{"token:ci"}, nil},
		{"both", id.client, transport.Claim{Token: "sesame"}, append(cert[:2:2], "token:ci"), nil},
		{"pin", &tlsconf.Client{Pin: id.daemon.Fingerprint.Pin()}, transport.Claim{Token: "sesame"}, []string{"token:ci"}, nil},
		{"nothing", &tlsconf.Client{CA: id.client.CA}, transport.Claim{}, nil, transport.ErrNoCredentials},
		{"wrong password", &tlsconf.Client{CA: id.client.CA}, transport.Claim{User: "ann", Password: "?"}, nil, transport.ErrWrongCredentials},
		{"certificate and wrong token", id.client, transport.Claim{Token: "?"}, nil, transport.ErrWrongCredentials},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := &websocket.Transport{Address: l.Addr().String(), Client: test.client, Credentials: test.claim}
			if test.err != nil {
				_, err := at.Dial(timeout(t))
				require.ErrorIs(t, err, test.err)
				var status *websocket.StatusError
				require.ErrorAs(t, err, &status)
				require.Equal(t, http.StatusUnauthorized, status.Status)
				return
			}
			client := dial(t, at)
			c := accept(t, l)
			require.Equal(t, test.want, subjects(c))
			require.Equal(t, "wss", c.Peer().Transport)
			require.NotNil(t, c.Peer().Addr)
			require.Equal(t, []string{"cert-sha256:" + string(id.daemon.Fingerprint)}, subjects(client))
		})
	}
}

// Identify, which knows a page by its cookie, is called first.
func TestIdentifyIsCalledFirst(t *testing.T) {
	at := daemon()
	at.AllowOrigins = []string{"https://page.example"}
	at.Identify = func(r *http.Request) ([]transport.Credential, error) {
		switch c, err := r.Cookie("session"); {
		case err != nil:
			return nil, nil
		case c.Value == "ann's":
			return []transport.Credential{subject("user:ann")}, nil
		}
		return nil, errors.New("no such session")
	}
	l := listen(t, at)
	page := opener{"Origin: https://page.example", "Sec-WebSocket-Protocol: rudderpost.v1", "Authorization:"}
	for cookie, status := range map[string]int{"Cookie: session=ann's": 101, "Cookie: session=x": 401, "Cookie: a=b": 401} {
		r := ask(t, l.Addr(), append(page[:len(page):len(page)], cookie))
		require.Equal(t, status, r.status, r.body)
		if status == 101 {
			require.Equal(t, "rudderpost.v1", r.header.Get("Sec-Websocket-Protocol"))
			require.Equal(t, []string{"user:ann"}, subjects(accept(t, l)))
		}
	}
	require.NoError(t, dial(t, ann(l.Addr())).Close()) // what is no page has no cookie
	require.Equal(t, []string{"user:ann"}, subjects(accept(t, l)))
}

func TestPageNeedsAllowedOrigin(t *testing.T) {
	at := daemon()
	at.AllowOrigins = []string{"https://page.example"}
	l := listen(t, at)
	page := ann(l.Addr())
	page.Origin = "https://page.example"
	require.NoError(t, dial(t, page).Close())
	page.Origin = "https://evil.example"
	_, err := page.Dial(timeout(t))
	require.ErrorContains(t, err, `403 Forbidden: the origin "https://evil.example" is not allowed`)
}

func TestMountedHandler(t *testing.T) {
	h := daemon().Handler()
	addr := serve(t, h)
	unavailable := func() {
		t.Helper()
		r := ask(t, addr, nil)
		require.Equal(t, http.StatusServiceUnavailable, r.status)
		require.Contains(t, r.body, "does not listen")
	}
	unavailable()
	l := listen(t, h)
	require.Equal(t, "/", l.Addr().String())
	_, err := h.Listen(timeout(t))
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	client := dial(t, ann(addr))
	c := accept(t, l)
	require.NoError(t, l.Close())
	unavailable()
	l2 := listen(t, h)
	require.NoError(t, l.Close()) // which does not end the other
	send(t, client, hello)
	require.Equal(t, hello, receive(t, c))
	require.NoError(t, dial(t, ann(addr)).Close())
	require.NoError(t, accept(t, l2).Close())
}

func TestConnAboveMaxConnsIsRefused(t *testing.T) {
	var refused refusals
	at := daemon()
	at.MaxConns = 3
	at.OnRefused = refused.add
	l := listen(t, at)
	var clients []transport.Conn
	for range 3 {
		clients = append(clients, dial(t, ann(l.Addr()))) // they are not accepted yet
	}
	_, err := ann(l.Addr()).Dial(timeout(t))
	require.ErrorContains(t, err, "503 Service Unavailable: there are 3 connections already")
	require.Len(t, refused.take(), 1)
	require.NoError(t, clients[0].Close())
	require.Eventually(t, func() bool {
		c, err := ann(l.Addr()).Dial(timeout(t))
		if err != nil {
			return false
		}
		return c.Close() == nil
	}, testkit.Timeout, time.Millisecond)
}

// Conns stay open when their listener and its server close, and send their replies.
func TestConnsStayOpenWhenListenerCloses(t *testing.T) {
	l := listen(t, daemon())
	var clients, conns []transport.Conn
	for range 100 {
		clients = append(clients, dial(t, ann(l.Addr())))
		conns = append(conns, accept(t, l))
	}
	require.NoError(t, l.Close())
	for i, c := range conns {
		send(t, clients[i], "{}")
		require.Equal(t, "{}", receive(t, c))
		require.NoError(t, c.Context().Err())
		send(t, c, `{"a":1}`, `{"b":2}`)
		require.NoError(t, c.Close())
	}
	for _, c := range clients {
		require.Equal(t, `{"a":1}`, receive(t, c))
		require.Equal(t, `{"b":2}`, receive(t, c))
		require.Equal(t, io.EOF, receiveError(t, c))
		require.EqualError(t, ended(t, c), "the peer has closed (1000): the conn has ended: a request without an id is the last one")
	}
}

// A peer closes the connection without a close frame, between messages or in one.
func TestConnIsLostWithoutCloseFrame(t *testing.T) {
	l := listen(t, daemon())
	peer := connect(t, l.Addr())
	c := accept(t, l)
	_ = peer.Close()
	require.ErrorIs(t, receiveError(t, c), io.ErrUnexpectedEOF)
	require.EqualError(t, ended(t, c), "the peer has left without a close frame: unexpected EOF")

	peer = connect(t, l.Addr())
	c = accept(t, l)
	peer.say(frame(text, "{"), frame(more, `"a`))
	_ = peer.Close()
	require.Equal(t, &transport.FrameError{Reason: transport.CutOff, Discarded: 3}, receiveError(t, c))
	require.Error(t, ended(t, c))

	peer = connect(t, l.Addr())
	c = accept(t, l)
	require.NoError(t, peer.Conn.(*net.TCPConn).SetLinger(0))
	_ = peer.Close()
	require.ErrorIs(t, receiveError(t, c), syscall.ECONNRESET)
	require.ErrorIs(t, ended(t, c), syscall.ECONNRESET)
}

// The error of Receive has the close code, unless it is that of a normal end.
func TestReceiveReturnsCloseCode(t *testing.T) {
	l := listen(t, daemon())
	peer := connect(t, l.Addr())
	c := accept(t, l)
	peer.say(frame(fin|text, hello), frame(fin|closer, code(4001, "out of ink")))
	peer.hears("close 4001", "end")
	require.EqualError(t, ended(t, c), "the peer has closed (4001): out of ink")
	require.Equal(t, hello, receive(t, c)) // what came before is there
	err := receiveError(t, c)
	require.ErrorIs(t, err, io.EOF)
	require.EqualError(t, err, "the peer has closed (4001): out of ink")
	require.EqualError(t, c.Send(timeout(t), []byte("{}")), err.Error())
}

// Sends, pings, pongs and a close at the same time damage no message.
func TestConcurrentSendsAndControlFrames(t *testing.T) {
	at := daemon()
	at.PingInterval = time.Millisecond
	l := listen(t, at)
	peer := connect(t, l.Addr())
	c := accept(t, l)
	const count = 2000
	var all sync.WaitGroup
	all.Go(func() {
		for i := range count {
			if i%2 == 0 {
				_ = c.Send(context.Background(), []byte(hello))
			} else {
				_ = c.Send(context.Background(), []byte(hello), []byte(id1(i*100)))
			}
		}
		_ = c.Close()
	})
	all.Go(func() {
		for range count {
			if _, err := peer.Write(bytes.Join([][]byte{frame(fin|ping, "x"), frame(fin|pong, ""), frame(fin|text, again)}, nil)); err != nil {
				return
			}
		}
	})
	all.Go(func() {
		for {
			if _, err := c.Receive(context.Background(), nil); err != nil {
				return
			}
		}
	})
	texts, pongs, pings := 0, 0, 0
	for heard := peer.hear(); heard != "close 1000 the conn has ended: a request without an id is the last one"; heard = peer.hear() {
		switch heard {
		case "text " + hello:
			texts++
		case "pong x":
			pongs++
		case "ping ":
			pings++
		default:
			require.Contains(t, heard, `text {"id":1,"x":"xx`)
			texts++
		}
	}
	require.Equal(t, count+count/2, texts)
	require.Positive(t, pongs)
	require.Positive(t, pings)
	_ = peer.Close()
	all.Wait()
}

// A flood of pings whose pongs are not read blocks, and does not use up memory.
func TestPingFloodUsesNoMemory(t *testing.T) {
	l := listen(t, daemon())
	peer := connect(t, l.Addr())
	c := accept(t, l)
	flood := bytes.Repeat(frame(fin|ping, id1(125)), 1000)
	_ = peer.SetWriteDeadline(time.Now().Add(testkit.Timeout))
	for range 1000 {
		_ = peer.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := peer.Write(flood); err != nil {
			require.ErrorIs(t, err, errTimeout)
			require.NoError(t, c.Close())
			return
		}
	}
	t.Fatal("a peer that reads nothing is answered for ever")
}

func TestListenErrors(t *testing.T) {
	_, err := (&websocket.Transport{Address: "127.0.0.1:0"}).Listen(timeout(t))
	require.ErrorContains(t, err, "without TLS")
	_, err = (&websocket.Transport{Address: "0.0.0.0:0", Insecure: true}).Listen(timeout(t))
	require.ErrorContains(t, err, "loopback")
	_, err = (&websocket.Transport{Address: "127.0.0.1:0", TLS: &tlsconf.Server{Cert: "none.pem", Key: "none.key"}}).Listen(timeout(t))
	require.ErrorContains(t, err, "none.pem")
	l := listen(t, daemon())
	at := daemon()
	at.Address = l.Addr().String()
	_, err = at.Listen(timeout(t))
	require.ErrorIs(t, err, syscall.EADDRINUSE)
}

func TestPassedListenerIsUsed(t *testing.T) {
	passed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := daemon()
	at.Listener = passed
	l := listen(t, at)
	require.Equal(t, passed.Addr(), l.Addr())
	require.NoError(t, dial(t, ann(l.Addr())).Close())
}

// A conn that was not accepted when its listener closes gets the code for going away. A peer receives the reason of the first
// close only.
func TestPeerReceivesReasonOfFirstClose(t *testing.T) {
	l := listen(t, daemon())
	peer := connect(t, l.Addr())
	c := accept(t, l)
	long := strings.Repeat("x", 200)
	require.NoError(t, transport.CloseWithReason(c, transport.CloseReason{Code: transport.PolicyViolation, Text: long}))
	require.NoError(t, transport.CloseWithReason(c, transport.CloseReason{Code: transport.GoingAway, Text: "late"}))
	require.Equal(t, "close 1008 "+long[:120]+"…", peer.hear())

	peer = connect(t, l.Addr())
	require.NoError(t, l.Close())
	require.Equal(t, "close 1001 the daemon does not listen here any more", peer.hear())
}

// The reason that the transport has set for a bad frame is kept.
func TestReasonOfTransportIsKept(t *testing.T) {
	l := listen(t, daemon())
	peer := connect(t, l.Addr())
	c := accept(t, l)
	peer.say(frame(fin|binry, hello))
	_, err := c.Receive(timeout(t), nil)
	require.Equal(t, &transport.FrameError{Reason: transport.Binary}, err)
	require.NoError(t, transport.CloseWithReason(c, transport.CloseReason{Code: transport.GoingAway, Text: "late"}))
	require.Equal(t, "close 1003 a binary message is no command; send the JSON as a text message", peer.hear())
}
