package websocket

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	gorilla "github.com/gorilla/websocket"

	"github.com/rudderpost/rudderpost/internal/ctxio"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/accept"
)

// A StatusError is the HTTP response of a daemon, or of a proxy in front of it, that does not upgrade. 401 and 429
// wrap transport.ErrWrongCredentials, or transport.ErrNoCredentials if none were sent, and a
// *transport.SlowDownError.
type StatusError struct {
	Status int    // of HTTP
	Text   string // the text of the response; empty: unknown
	reason error
}

// Error returns the status and the text.
func (e *StatusError) Error() string {
	text := e.Text
	if status := http.StatusText(e.Status); !strings.HasPrefix(text, status) || text == "" {
		text = strings.TrimSpace(status + " " + text)
	}
	text = fmt.Sprintf("the daemon does not open a WebSocket: %d %s", e.Status, text)
	if e.reason != nil {
		text += ": " + e.reason.Error()
	}
	return text
}

// Unwrap returns the error that the status stands for; nil: none.
func (e *StatusError) Unwrap() error { return e.reason }

// Dial implements transport.Dialer. It blocks for the TCP, TLS and WebSocket handshakes; when ctx ends before, it
// returns the cause of ctx. The error is a *net.OpError. It may wrap a *StatusError, and with TLS a
// *tlsconf.VerifyError.
func (t *Transport) Dial(ctx context.Context) (transport.Conn, error) {
	c, err := t.dial(ctx)
	if err != nil {
		if _, already := errors.AsType[*net.OpError](err); already {
			return nil, err
		}
		return nil, &net.OpError{Op: "dial", Net: kind(t.Client != nil), Err: fmt.Errorf("%s: %w", t.Address, err)}
	}
	return c, nil
}

func (t *Transport) dial(ctx context.Context) (*conn, error) {
	host, _, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var d net.Dialer
	tcp, err := d.DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, err
	}
	raw, err := t.secure(ctx, tcp, host)
	if err != nil {
		_ = tcp.Close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(ctxio.LongAgo) })
	l := &deadlineConn{Conn: raw}
	ws, err := t.open(ctx, l)
	if !stop() || err != nil {
		_ = tcp.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	_ = raw.SetDeadline(noDeadline)
	return newConn(ws, l, nil, t.dialed(transport.Peer{
		Transport: kind(raw.TLS != nil),
		Session:   raw.Session,
		Addr:      raw.RemoteAddr(),
		Creds:     raw.Creds,
	})), nil
}

// secure does the TLS handshake. Without TLS it refuses to send credentials to an address that is not loopback.
func (t *Transport) secure(ctx context.Context, tcp net.Conn, host string) (*accept.Conn, error) {
	if t.Client == nil {
		if t.claims() && !accept.IsLoopback(tcp.RemoteAddr()) {
			return nil, fmt.Errorf("%s would be sent there without encryption; use TLS (wss)", t.Credentials)
		}
		return accept.NewConn(tcp, "ws"), nil
	}
	return accept.NewClientConn(ctx, tcp, t.Client, host, "http/1.1", "wss", "ws://"+t.Address)
}

func (t *Transport) claims() bool { return t.Credentials.User != "" || t.Credentials.Token != "" }

// open does the opening handshake.
func (t *Transport) open(ctx context.Context, l *deadlineConn) (*gorilla.Conn, error) {
	connected := func(context.Context, string, string) (net.Conn, error) { return l, nil }
	d := gorilla.Dialer{
		NetDialContext:    connected,
		NetDialTLSContext: connected,
		ReadBufferSize:    readBuffer,
		WriteBufferSize:   writeBuffer,
		WriteBufferPool:   &writeBuffers,
		Subprotocols:      []string{Subprotocol},
	}
	header := http.Header{}
	switch {
	case t.Credentials.Token != "":
		header.Set("Authorization", "Bearer "+t.Credentials.Token)
	case t.Credentials.User != "":
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString(
			[]byte(t.Credentials.User+":"+t.Credentials.Password)))
	}
	if t.Origin != "" {
		header.Set("Origin", t.Origin)
	}
	where := url.URL{Scheme: kind(t.Client != nil), Host: t.Address, Path: t.path()}
	ws, response, err := d.DialContext(ctx, where.String(), header)
	if response != nil {
		defer func() { _ = response.Body.Close() }()
	}
	switch {
	case err == nil && ws.Subprotocol() != Subprotocol:
		return nil, fmt.Errorf("a WebSocket is there, but no daemon (it does not use the subprotocol %s)", Subprotocol)
	case errors.Is(err, gorilla.ErrBadHandshake):
		return nil, t.refused(response)
	case err != nil && t.Client == nil:
		return nil, fmt.Errorf("there is no HTTP server; is it wss://%s? %w", t.Address, err)
	}
	return ws, err
}

// refused returns the error for a response that is no upgrade.
func (t *Transport) refused(r *http.Response) error {
	e := &StatusError{Status: r.StatusCode}
	var body struct {
		Text string `json:"text"`
	}
	if text, err := io.ReadAll(r.Body); err == nil && json.Unmarshal(text, &body) == nil {
		e.Text = body.Text
	}
	switch {
	case r.StatusCode == http.StatusUnauthorized && t.claims():
		e.reason = transport.ErrWrongCredentials
	case r.StatusCode == http.StatusUnauthorized:
		e.reason = transport.ErrNoCredentials
	case r.StatusCode == http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(r.Header.Get("Retry-After"))
		e.reason = &transport.SlowDownError{After: time.Duration(seconds) * time.Second}
	}
	return e
}
