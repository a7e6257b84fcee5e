package http

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// Dial implements transport.Dialer. The conn carries one POST: it connects, or takes a connection
// that an earlier one has left, when the frame is sent; connecting may take 10 s. Whether there is a
// daemon shows then.
func (t *Transport) Dial(ctx context.Context) (transport.Conn, error) {
	if ctx.Err() != nil {
		return nil, t.failed(context.Cause(ctx))
	}
	secret := t.Credentials.User != "" || t.Credentials.Token != ""
	if t.Client == nil && secret && !t.Insecure && !isLoopback(t.Address) {
		return nil, t.failed(errors.New("the credentials would travel in the clear; use https"))
	}
	return newExchange(t, cmp.Or(t.MaxFrame, transport.ClientMaxFrame)), nil
}

func (t *Transport) url() *url.URL {
	path := t.Path
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return &url.URL{Scheme: kind(t.Client != nil), Host: t.Address, Path: path}
}

func (t *Transport) header() http.Header {
	h := http.Header{"Content-Type": typeJSON, "Accept": typeJSON, "User-Agent": {"rudderpost"}}
	if t.Lines {
		h["Accept"] = typeLines
	}
	r := http.Request{Header: h}
	switch c := t.Credentials; {
	case c.Token != "":
		h["Authorization"] = []string{"Bearer " + c.Token}
	case c.User != "":
		r.SetBasicAuth(c.User, c.Password)
	}
	return h
}

// idleConns is how many connections of a dialer wait for another POST, and idleTime how long: less
// than any daemon waits, so that none closes one in the moment in which it is used.
const (
	idleConns = 256
	idleTime  = 5 * time.Second
)

// connectTime is how long a connection may take to come about, its TLS handshake included.
const connectTime = 10 * time.Second

// connections returns the dialer's own.
func (t *Transport) connections() *http.Transport {
	t.once.Do(func() {
		t.client = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: connectTime}).DialContext,
			DialTLSContext:      t.dialTLS,
			DisableCompression:  true,
			MaxIdleConnsPerHost: idleConns,
			IdleConnTimeout:     idleTime,
		}
	})
	return t.client
}

// dialTLS connects by TLS.
func (t *Transport) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config, err := t.Client.Config(host, "http/1.1")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	return (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
}

// CloseIdle closes the connections that wait for another POST. They do so by themselves within 5 s.
func (t *Transport) CloseIdle() { t.connections().CloseIdleConnections() }

// failed says where something went wrong, and what can be done about it.
func (t *Transport) failed(err error) error {
	var record tls.RecordHeaderError
	advice := ""
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		advice = "; is the daemon running, and does it listen there?"
	case errors.As(err, &record):
		advice = "; it may be http and not https"
	}
	return fmt.Errorf("%s://%s: %w%s", kind(t.Client != nil), t.Address, err, advice)
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost"
}

// addr is an address as it was given.
type addr string

// Network implements net.Addr.
func (addr) Network() string { return "tcp" }

func (a addr) String() string { return string(a) }
