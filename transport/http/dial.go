package http

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rudderpost/rudderpost/internal/webhost"
	"github.com/rudderpost/rudderpost/transport"
)

// Dial implements transport.Dialer. The conn carries one POST. Dial does not connect: Send connects, or uses an idle
// connection of an earlier conn. So errors of connecting, which may take up to 10 s, are those of Send. The error of
// Dial says that Credentials would be sent without TLS.
func (t *Transport) Dial(ctx context.Context) (transport.Conn, error) {
	if ctx.Err() != nil {
		return nil, t.failed(context.Cause(ctx))
	}
	secret := t.Credentials.User != "" || t.Credentials.Token != ""
	if t.Client == nil && secret && !t.Insecure && !webhost.IsLoopback(webhost.WithoutPort(t.Address)) {
		return nil, t.failed(errors.New("the credentials would be sent without encryption; use https"))
	}
	return newClientConn(t, cmp.Or(t.MaxFrame, transport.ClientMaxFrame)), nil
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

// idleConns is how many idle connections a dialer keeps, and idleTime how long. It is shorter than the timeout of any daemon,
// so that no daemon closes a connection while a request is on its way.
const (
	idleConns = 256
	idleTime  = 5 * time.Second
)

// connectTime is how long connecting may take, with the TLS handshake.
const connectTime = 10 * time.Second

// connections returns the http.Transport with the dialer's connections.
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

// dialTLS connects with TLS.
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

// CloseIdle closes the idle connections of a dialer. They close by themselves after 5 s.
func (t *Transport) CloseIdle() { t.connections().CloseIdleConnections() }

// failed adds the URL and advice to an error.
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

// An addr is the net.Addr of Transport.Address, as it was given.
type addr string

// Network implements net.Addr.
func (addr) Network() string { return "tcp" }

func (a addr) String() string { return string(a) }

// A StatusError is a response with a status other than 200 that is no reply. Unless the status is 500, no command was
// run.
type StatusError struct {
	Status     int
	Text       string        // the text of the response; empty: none
	RetryAfter time.Duration // when to try again; 0: unknown
}

// Error returns the status, the text, and what to do.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("HTTP status %d, %s", e.Status, http.StatusText(e.Status))
	if e.Text != "" && e.Text != http.StatusText(e.Status) {
		text = fmt.Sprintf("HTTP status %d, %q", e.Status, e.Text)
	}
	switch e.Status {
	case http.StatusUnauthorized:
		text += "; credentials are needed or wrong: --user, --token-file or --cert"
	case http.StatusForbidden:
		if e.Text == "" || e.Text == http.StatusText(e.Status) {
			text += "; the daemon does not know this host name, or a proxy refuses the request: use the daemon's address, or add the name to allow-hosts"
		}
	case http.StatusTooManyRequests:
		if e.RetryAfter > 0 {
			text += fmt.Sprintf("; try again in %s", e.RetryAfter)
		}
	case http.StatusServiceUnavailable:
		text += "; the daemon is starting or shutting down: try again"
	}
	return text
}

// statusError makes a StatusError of a response and its body.
func statusError(answer *http.Response, body []byte) *StatusError {
	e := &StatusError{Status: answer.StatusCode}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(min(seconds, 1<<20)) * time.Second
	}
	if _, rest, ok := strings.Cut(string(body), `"text":`); ok {
		quoted, _ := strconv.QuotedPrefix(strings.TrimLeft(rest, " "))
		e.Text, _ = strconv.Unquote(quoted)
	}
	return e
}
