// Package httpauth has what the transports over HTTP share: [RequestAuth] authenticates requests, and [Server] bounds
// the number of connections without keeping new clients out.
package httpauth

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
	"github.com/rudderpost/rudderpost/transport/internal/accept"
	"github.com/rudderpost/rudderpost/transport/internal/proxyaddr"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// A RequestAuth checks a request before it becomes a conn: its Host, its Origin, its client certificate and its
// Authorization header. The methods may be called from any goroutine. Each refusal is reported to OnRefused.
type RequestAuth struct {
	Transport     string                  // the transport's name, for refusals
	AllowHosts    []string                // the names of the daemon, with or without a port
	AllowOrigins  []string                // the origins of allowed pages: scheme://host[:port]
	Authenticator transport.Authenticator // verifies Basic and Bearer credentials; nil: they are refused
	OnRefused     func(transport.Refusal) // nil: refusals are not reported

	TrustedProxies []netip.Prefix // proxies whose X-Forwarded-For header is used
}

// RefusedError says why a request was refused.
type RefusedError struct {
	Status int         // of HTTP
	Header http.Header // headers of the response
	Err    error       // the reason
}

// Error returns the reason.
func (r *RefusedError) Error() string { return r.Err.Error() }

// Unwrap returns the reason.
func (r *RefusedError) Unwrap() error { return r.Err }

// Refuse reports a refused request, and returns the error.
func (a *RequestAuth) Refuse(r *http.Request, status int, err error) *RefusedError {
	return a.refuse(r, status, transport.Claim{}, err)
}

// Malformed reports that an authenticated client sent a request that is no command, and returns the error.
func (a *RequestAuth) Malformed(r *http.Request, status int, err error) *RefusedError {
	if a.OnRefused != nil {
		a.OnRefused(transport.Refusal{Transport: a.Transport, Addr: a.ClientAddr(r), Malformed: true, Err: err})
	}
	return &RefusedError{Status: status, Header: http.Header{}, Err: err}
}

func (a *RequestAuth) refuse(r *http.Request, status int, claim transport.Claim, err error) *RefusedError {
	if a.OnRefused != nil {
		a.OnRefused(transport.Refusal{Transport: a.Transport, Addr: a.ClientAddr(r), Claim: claim, Err: err})
	}
	refused := &RefusedError{Status: status, Header: http.Header{}, Err: err}
	if status == http.StatusServiceUnavailable {
		refused.Header.Set("Retry-After", RetryAfter)
	}
	return refused
}

// CheckHost refuses a request whose Host header has a name that is not in AllowHosts. It protects against DNS rebinding:
// the page of an attacker has a name that resolves to the daemon's address, and its requests have that name in Host. IP
// addresses are allowed, and localhost is allowed on the loopback interface; see webhost.Allowed.
func (a *RequestAuth) CheckHost(r *http.Request) *RefusedError {
	if r.Host == "" && !r.ProtoAtLeast(1, 1) || webhost.Allowed(r.Host, a.AllowHosts, overLoopback(r)) { // only HTTP/1.0, which no browser sends, may lack a Host
		return nil
	}
	return a.Refuse(r, http.StatusForbidden, fmt.Errorf("the host %q is not a name of this daemon; if it is, add it to allow-hosts", r.Host))
}

// overLoopback reports whether the request came over the loopback interface.
func overLoopback(r *http.Request) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return accept.IsLoopback(local)
}

// CheckOrigin refuses requests of pages whose origin is not in AllowOrigins. A request without Origin comes from a
// program and is allowed, unless it has a cookie: then it may come from a page.
func (a *RequestAuth) CheckOrigin(r *http.Request) *RefusedError {
	origins := r.Header["Origin"]
	switch {
	case len(origins) == 0 && len(r.Header["Cookie"]) == 0:
		return nil
	case len(origins) == 1 && origins[0] != "null" && slices.Contains(a.AllowOrigins, origins[0]):
		return nil
	}
	return a.Refuse(r, http.StatusForbidden, originError(origins))
}

// originError returns why origins are refused, and what to do.
func originError(origins []string) error {
	switch {
	case len(origins) == 0:
		return errors.New("the request has a cookie and no Origin header; a browser must send the Origin of its page, which allow-origins lists, and a program must send no cookie, but its credentials in the Authorization header")
	case len(origins) > 1:
		return fmt.Errorf("the request has %d Origin headers (%q); send one, which allow-origins lists", len(origins), origins)
	case origins[0] == "null":
		return errors.New(`the origin "null" is not allowed: a page from a file or in a sandbox has it; serve the page from a host, and add its origin to allow-origins`)
	}
	return fmt.Errorf("the origin %q is not allowed; to allow it, add it to allow-origins", origins[0])
}

// Authenticate returns the credentials of the client: those of its certificate, and those of its password or token. A
// wrong password or token is refused even if the client has a certificate. A request without any credential is refused
// too. Authenticate blocks while the Authenticator verifies.
func (a *RequestAuth) Authenticate(r *http.Request) ([]transport.Credential, *RefusedError) {
	creds := certCreds(r)
	claim, claimed, err := a.claimOf(r)
	switch {
	case err != nil:
		return nil, a.unauthorized(r, claim, err)
	case !claimed && len(creds) == 0:
		return nil, a.unauthorized(r, claim, transport.ErrNoCredentials)
	case !claimed:
		return creds, nil
	case a.Authenticator == nil:
		return nil, a.unauthorized(r, claim, errors.New("this listener has no users and no tokens"))
	}
	proven, err := a.Authenticator.Authenticate(r.Context(), claim)
	if err != nil {
		return nil, a.unauthorized(r, claim, err)
	}
	if len(creds) == 0 {
		return proven, nil
	}
	return slices.Concat(creds, proven), nil
}

// certCreds returns the credentials of the client certificate of the connection. When another server serves r, later
// revocations do not affect them.
func certCreds(r *http.Request) []transport.Credential {
	if c := connOf(r); c != nil {
		return c.accepted.Creds
	}
	if r.TLS != nil {
		return tlsconf.Creds(*r.TLS)
	}
	return nil
}

// unauthorized refuses a request with 401, or with 429 when the Authenticator asks the client to slow down.
func (a *RequestAuth) unauthorized(r *http.Request, claim transport.Claim, err error) *RefusedError {
	if slow, ok := errors.AsType[*transport.SlowDownError](err); ok {
		refused := a.refuse(r, http.StatusTooManyRequests, claim, err)
		refused.Header.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(slow.After.Seconds())))))
		return refused
	}
	refused := a.refuse(r, http.StatusUnauthorized, claim, err)
	refused.Header.Set("WWW-Authenticate", Challenge)
	return refused
}

// RetryAfter is the Retry-After header, in seconds, of a request that was refused because of a limit or of the daemon's
// state. Rate limits count by the second, and most other limits are free again when a command has ended.
const RetryAfter = "1"

// Challenge is the WWW-Authenticate header of a 401 (RFC 7617).
const Challenge = `Basic realm="rudderpost", charset="UTF-8"`

var errBadAuthorization = errors.New("the Authorization header is neither Basic nor Bearer (RFC 7617, RFC 6750)")

// claimOf returns the credentials in the Authorization header. claimed is false when there is no such header.
func (a *RequestAuth) claimOf(r *http.Request) (claim transport.Claim, claimed bool, err error) {
	values := r.Header["Authorization"]
	switch len(values) {
	case 0:
		return claim, false, nil
	case 1:
	default:
		return claim, true, errBadAuthorization
	}
	claim.From = a.ClientAddr(r)
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

// CheckProxy refuses a request of a trusted proxy whose X-Forwarded-For header cannot be parsed.
func (a *RequestAuth) CheckProxy(r *http.Request) *RefusedError {
	if len(a.TrustedProxies) == 0 {
		return nil
	}
	if _, err := proxyaddr.Forwarded(r.Header["X-Forwarded-For"], a.TrustedProxies, connAddr(r)); err != nil {
		return a.Refuse(r, http.StatusBadRequest, err)
	}
	return nil
}

// ClientAddr returns the address of the client that sent r: the address that a trusted proxy reports, or else the
// address of the connection.
func (a *RequestAuth) ClientAddr(r *http.Request) net.Addr {
	if len(a.TrustedProxies) == 0 {
		return connAddr(r)
	}
	addr, _ := proxyaddr.Forwarded(r.Header["X-Forwarded-For"], a.TrustedProxies, connAddr(r)) // CheckProxy returns the error
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
