package browser_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	httpd "github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/transport/websocket"

	"github.com/stretchr/testify/require"
)

// A daemon has the command "fire", which only allowed pages may run.
type daemon struct {
	*mgr.CommandMgr
	mu      sync.Mutex
	fired   []string // the argument "by" of each call
	refused []transport.Refusal
}

// allowAll allows every command, so that only the listeners can stop a page.
type allowAll struct{}

func (allowAll) Authorize(*mgr.Call) error { return nil }

// startDaemon runs a daemon until the test ends.
func startDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{CommandMgr: mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: allowAll{}})}
	type fireArguments struct {
		By string `json:"by"`
	}
	require.NoError(t, d.Register(mgr.Func("fire", "Record a call.", mgr.Write,
		func(_ context.Context, s fireArguments) (mgr.None, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.fired = append(d.fired, s.By)
			return mgr.None{}, nil
		})))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return d
}

// open opens a listener, and returns its address.
func (d *daemon) open(t *testing.T, place transport.Transport) net.Addr {
	t.Helper()
	socket, err := d.Open(t.Context(), place)
	require.NoError(t, err)
	return socket.Addr()
}

func (d *daemon) onRefused(r transport.Refusal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused = append(d.refused, r)
}

// firedBy returns the argument "by" of each call of "fire".
func (d *daemon) firedBy() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.fired...)
}

const anyPort = "127.0.0.1:0"

// websocket returns a listener for pages of these origins, whose users have a cookie.
func (d *daemon) websocket(server *tlsconf.Server, origins ...string) *websocket.Transport {
	return &websocket.Transport{
		Address: anyPort, TLS: server, Insecure: server == nil,
		AllowOrigins: origins, Identify: identify, OnRefused: d.onRefused,
	}
}

func (d *daemon) http() *httpd.Transport {
	return &httpd.Transport{Address: anyPort, Insecure: true, Authenticator: alltransports.FakeAuth{}, OnRefused: d.onRefused}
}

// tcp and unix return listeners without timeouts: if the daemon closes a connection, the cause is what the client sent.
func (d *daemon) tcp() *tcp.Transport {
	return &tcp.Transport{Address: anyPort, Insecure: true, Anonymous: "monitor", Idle: -1, FrameTimeout: -1}
}

func (d *daemon) unix(t *testing.T) *unix.Transport {
	dir, err := os.MkdirTemp("", "rp")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &unix.Transport{Path: filepath.Join(dir, "s"), Idle: -1, FrameTimeout: -1}
}

// The cookie of a page's user. The browser sends it with each request of a page of the same host to that host, to any
// port.
const (
	cookieName   = "session"
	cookieSecret = "an-unguessable-session"
)

// logIn sets the cookie.
func logIn(w http.ResponseWriter, secure bool) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: cookieSecret, Path: "/",
		HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode,
	})
}

// identify returns the credentials of a request with the cookie.
func identify(r *http.Request) ([]transport.Credential, error) {
	if c, err := r.Cookie(cookieName); err != nil || c.Value != cookieSecret {
		return nil, nil
	}
	return []transport.Credential{alltransports.Proven("user:page")}, nil
}
