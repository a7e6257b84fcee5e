package browser_test

import (
	"context"
	"crypto/tls"
	_ "embed"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

//go:embed page.html
var pageHTML []byte

// pageHandler serves the allowed page, an empty page in which attacks run, and the cookie of a user. GET /seen
// waits until a tap has seen the request of a case; the script calls it before the next case.
func pageHandler(secure bool, taps *[]*tap) http.Handler {
	mux := http.NewServeMux()
	html := func(text []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write(text)
		}
	}
	mux.HandleFunc("GET /{$}", html(pageHTML))
	mux.HandleFunc("GET /empty", html([]byte("<!doctype html><title>Empty</title>")))
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) { logIn(w, secure) })
	mux.HandleFunc("GET /seen", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), testkit.Timeout/3)
		defer cancel()
		if !waitForCase(ctx, r.FormValue("case"), *taps) {
			http.Error(w, "no tap has seen the request", http.StatusNotFound)
		}
	})
	return mux
}

// waitForCase waits until one of the taps has seen the request of a case.
func waitForCase(ctx context.Context, name string, taps []*tap) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan bool, len(taps))
	for _, p := range taps {
		go func() { found <- len(p.wait(ctx, name)) > 0 }()
	}
	for range taps {
		if <-found {
			return true
		}
	}
	return false
}

// servePages serves pages, and returns their origin.
func servePages(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// serveSecurePages serves pages over TLS, and returns their origin.
func serveSecurePages(t *testing.T, handler http.Handler, identity *tlsconf.Server) string {
	t.Helper()
	config, err := identity.Config(tls.NoClientCert, "http/1.1")
	require.NoError(t, err)
	l, err := net.Listen("tcp", anyPort)
	require.NoError(t, err)
	server := &httptest.Server{Listener: tls.NewListener(l, config), Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
	return "https://" + l.Addr().String()
}
