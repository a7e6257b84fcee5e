// Package web is what the transports over HTTP have in common: who may speak, and a server that
// strangers cannot fill.
package web

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/rudderpost/rudderpost/internal/webhost"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/proxyaddr"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// A Guard decides which requests may become conns.
type Guard struct {
	Transport     string                  // the kind of transport, for refusals
	AllowHosts    []string                // names that the daemon is known by, with or without a port
	AllowOrigins  []string                // scheme://host[:port] of pages that may speak to it
	Authenticator transport.Authenticator // verifies Basic and Bearer; nil: refuses them
	OnRefused     func(transport.Refusal)

	TrustedProxies []netip.Prefix // proxies whose X-Forwarded-For is believed
}

// RefusedError says why a request goes no further.
type RefusedError struct {
	Status int
	Header http.Header // goes with it
	Err    error
}

// Error tells the reason.
func (r *RefusedError) Error() string { return r.Err.Error() }

// Unwrap returns the reason.
func (r *RefusedError) Unwrap() error { return r.Err }

// Refuse reports that a request goes no further.
func (g *Guard) Refuse(r *http.Request, status int, err error) *RefusedError {
	return g.refuse(r, status, transport.Claim{}, err)
}

// Malformed reports that a client which has proven its subjects sent a request that is no command.
func (g *Guard) Malformed(r *http.Request, status int, err error) *RefusedError {
	if g.OnRefused != nil {
		g.OnRefused(transport.Refusal{Transport: g.Transport, Addr: g.Addr(r), Malformed: true, Err: err})
	}
	return &RefusedError{Status: status, Header: http.Header{}, Err: err}
}

func (g *Guard) refuse(r *http.Request, status int, claim transport.Claim, err error) *RefusedError {
	if g.OnRefused != nil {
		g.OnRefused(transport.Refusal{Transport: g.Transport, Addr: g.Addr(r), Claim: claim, Err: err})
	}
	no := &RefusedError{Status: status, Header: http.Header{}, Err: err}
	if status == http.StatusServiceUnavailable {
		no.Header.Set("Retry-After", RetryAfter)
	}
	return no
}

// CheckHost refuses a request that was meant for somebody else: a page whose name has been made to
// lead here (DNS rebinding) carries that name. Addresses cannot be made to lead anywhere, and the
// names of the local host nowhere else.
func (g *Guard) CheckHost(r *http.Request) *RefusedError {
	if r.Host == "" && !r.ProtoAtLeast(1, 1) || webhost.Allowed(r.Host, g.AllowHosts, cameByLoopback(r)) { // browsers send HTTP/1.1
		return nil
	}
	return g.Refuse(r, http.StatusForbidden, fmt.Errorf("the host %q is none of ours; if it is, add it to allow-hosts", r.Host))
}

func cameByLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.IsLoopback()
}

// CheckOrigin refuses pages that are not on the list. What is no page says no origin; but one that
// sends cookies is a page, whatever it says.
func (g *Guard) CheckOrigin(r *http.Request) *RefusedError {
	origins := r.Header["Origin"]
	switch {
	case len(origins) == 0 && len(r.Header["Cookie"]) == 0:
		return nil
	case len(origins) == 1 && origins[0] != "null" && slices.Contains(g.AllowOrigins, origins[0]):
		return nil
	}
	return g.Refuse(r, http.StatusForbidden, originError(origins))
}

// originError says why origins are refused, and what to do.
func originError(origins []string) error {
	switch {
	case len(origins) == 0:
		return errors.New("the request has a cookie and no Origin header; a browser must send the Origin of its page, which allow-origins lists, and a program must send no cookie, but its credentials in the Authorization header")
	case len(origins) > 1:
		return fmt.Errorf("the request has %d Origin headers (%q); send one, which allow-origins lists", len(origins), origins)
	case origins[0] == "null":
		return errors.New(`the origin "null" may not: it is that of a page from a file or in a sandbox; serve the page from a host, and add its origin to allow-origins`)
	}
	return fmt.Errorf("the origin %q may not; if it may, add it to allow-origins", origins[0])
}

// Identify returns what the client has proven: by its certificate, and by a password or a token. One
// that claims something wrong is refused, whatever else it has proven; and so is one that has proven
// nothing.
func (g *Guard) Identify(r *http.Request) ([]transport.Credential, *RefusedError) {
	creds := certified(r)
	claim, claimed, err := g.claimOf(r)
	switch {
	case err != nil:
		return nil, g.unauthorized(r, claim, err)
	case !claimed && len(creds) == 0:
		return nil, g.unauthorized(r, claim, transport.ErrNoCredentials)
	case !claimed:
		return creds, nil
	case g.Authenticator == nil:
		return nil, g.unauthorized(r, claim, errors.New("no users and no tokens are known here"))
	}
	proven, err := g.Authenticator.Authenticate(r.Context(), claim)
	if err != nil {
		return nil, g.unauthorized(r, claim, err)
	}
	if len(creds) == 0 {
		return proven, nil
	}
	return slices.Concat(creds, proven), nil
}

// certified returns what the connection of a request has proven. One that another server serves knows
// nothing of revocations to come.
func certified(r *http.Request) []transport.Credential {
	if c := connOf(r); c != nil {
		return c.front.Creds
	}
	if r.TLS != nil {
		return tlsconf.Creds(*r.TLS)
	}
	return nil
}

func (g *Guard) unauthorized(r *http.Request, claim transport.Claim, err error) *RefusedError {
	if slow, ok := errors.AsType[*transport.SlowDownError](err); ok {
		no := g.refuse(r, http.StatusTooManyRequests, claim, err)
		no.Header.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(slow.After.Seconds())))))
		return no
	}
	no := g.refuse(r, http.StatusUnauthorized, claim, err)
	no.Header.Set("WWW-Authenticate", Challenge)
	return no
}

// RetryAfter is when, in seconds, a client may repeat a request that was refused because of a limit or of the daemon's
// state: rates count by the second, and most other limits are free again when some command has ended.
const RetryAfter = "1"

// Challenge is the WWW-Authenticate header of a 401 (RFC 7617).
const Challenge = `Basic realm="rudderpost", charset="UTF-8"`

var errBadAuthorization = errors.New("the Authorization header is neither Basic nor Bearer (RFC 7617, RFC 6750)")

// claimOf reads the Authorization header.
func (g *Guard) claimOf(r *http.Request) (claim transport.Claim, claimed bool, err error) {
	values := r.Header["Authorization"]
	switch len(values) {
	case 0:
		return claim, false, nil
	case 1:
	default:
		return claim, true, errBadAuthorization
	}
	claim.From = g.Addr(r)
	scheme, rest, _ := strings.Cut(strings.Trim(values[0], " \t"), " ")
	rest = strings.Trim(rest, " \t")
	switch {
	case strings.EqualFold(scheme, "basic"):
		text, err := base64.StdEncoding.DecodeString(rest)
		user, password, ok := strings.Cut(string(text), ":")
		if err != nil || !ok || user == "" || !utf8.Valid(text) {
			return claim, true, errBadAuthorization
		}
		claim.User, claim.Password = user, password
	case strings.EqualFold(scheme, "bearer") && rest != "":
		claim.Token = rest
	default:
		return claim, true, errBadAuthorization
	}
	return claim, true, nil
}

// CheckProxy refuses a request of a trusted proxy whose X-Forwarded-For header cannot be read.
func (g *Guard) CheckProxy(r *http.Request) *RefusedError {
	if len(g.TrustedProxies) == 0 {
		return nil
	}
	if _, err := proxyaddr.Forwarded(r.Header["X-Forwarded-For"], g.TrustedProxies, connAddr(r)); err != nil {
		return g.Refuse(r, http.StatusBadRequest, err)
	}
	return nil
}

// Addr returns the address of the client that made a request: the one that a trusted proxy reports, or else
// the address of the connection.
func (g *Guard) Addr(r *http.Request) net.Addr {
	if len(g.TrustedProxies) == 0 {
		return connAddr(r)
	}
	addr, _ := proxyaddr.Forwarded(r.Header["X-Forwarded-For"], g.TrustedProxies, connAddr(r)) // CheckProxy tells the error
	return addr
}

// connAddr returns the address of the peer of a request's connection.
func connAddr(r *http.Request) net.Addr {
	if c := connOf(r); c != nil {
		return c.RemoteAddr()
	}
	if addr, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return net.TCPAddrFromAddrPort(addr)
	}
	return nil
}
