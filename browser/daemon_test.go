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

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	httpd "github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/transport/websocket"
)

// A daemon whose command "fire" must not be given by just any page.
type daemon struct {
	*mgr.CommandMgr
	mu      sync.Mutex
	fired   []string // by whom
	refused []transport.Refusal
}

// everybody may do everything: what stops a page here is its way in, and nothing else.
type everybody struct{}

func (everybody) Authorize(*mgr.Call) error { return nil }

// startDaemon runs one as long as the test.
func startDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{CommandMgr: mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: everybody{}})}
	type shot struct {
		By string `json:"by"`
	}
	require.NoError(t, d.Register(mgr.Func("fire", "Do what cannot be undone.", mgr.Write,
		func(_ context.Context, s shot) (mgr.None, error) {
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

// open opens a way in, and returns where.
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

// shots returns who has given the command.
func (d *daemon) shots() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.fired...)
}

const anyPort = "127.0.0.1:0"

// websocket is a place for the pages of some origins, whose users have a cookie.
func (d *daemon) websocket(server *tlsconf.Server, origins ...string) *websocket.Transport {
	return &websocket.Transport{
		Address: anyPort, TLS: server, Insecure: server == nil,
		AllowOrigins: origins, Identify: identify, OnRefused: d.onRefused,
	}
}

func (d *daemon) http() *httpd.Transport {
	return &httpd.Transport{Address: anyPort, Insecure: true, Authenticator: alltransports.FakeAuth{}, OnRefused: d.onRefused}
}

// The raw transports never give up on a client that is silent: who is gone was thrown out.
func (d *daemon) tcp() *tcp.Transport {
	return &tcp.Transport{Address: anyPort, Insecure: true, Anonymous: "monitor", Idle: -1, FrameTimeout: -1}
}

func (d *daemon) unix(t *testing.T) *unix.Transport {
	dir, err := os.MkdirTemp("", "rp")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &unix.Transport{Path: filepath.Join(dir, "s"), Idle: -1, FrameTimeout: -1}
}

// The cookie of a page's user. It goes with every request to the host that gave it, whatever the port,
// that a page of the same host makes.
const (
	cookieName   = "session"
	cookieSecret = "an-unguessable-session"
)

// logIn gives a browser its cookie.
func logIn(w http.ResponseWriter, secure bool) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: cookieSecret, Path: "/",
		HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode,
	})
}

// identify is how the daemon knows such a page.
func identify(r *http.Request) ([]transport.Credential, error) {
	if c, err := r.Cookie(cookieName); err != nil || c.Value != cookieSecret {
		return nil, nil
	}
	return []transport.Credential{alltransports.Proven("user:page")}, nil
}
