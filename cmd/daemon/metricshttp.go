package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rudderpost/rudderpost/internal/webhost"
)

// Metrics configures the HTTP listener for Prometheus. Without an address there is none.
type Metrics struct {
	Listen     string   `toml:"listen,omitempty" json:"listen,omitempty"`
	AllowHosts []string `toml:"allow-hosts,omitempty" json:"allow-hosts,omitempty"`
}

// complete checks the values. The listener has no authentication and no encryption, so only a loopback address is
// allowed. Other machines need a proxy with both in front of it.
func (c *Metrics) complete() error {
	if c.Listen == "" {
		if len(c.AllowHosts) > 0 {
			return errors.New("metrics.allow-hosts: needs listen")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("metrics.listen: %q is not host:port such as \"127.0.0.1:9464\"", c.Listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("metrics.listen: %q is not a port number", port)
	}
	if !webhost.IsLoopback(host) {
		return fmt.Errorf("metrics.listen: %q is not loopback, and the metrics listener has no authentication; use 127.0.0.1, and a proxy with TLS for other machines", host)
	}
	return nil
}

// open opens the listener, or returns nil if there is no address. ready reports whether the daemon takes commands. It
// is called for each GET of /readyz, and must not block.
func (c *Metrics) open(m *metrics, keepAlive func() time.Duration, ready func() bool) (*metricsServer, error) {
	if c.Listen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	bounded := newBoundedListener(l, maxScrapers, keepAlive)
	s := &metricsServer{addr: l.Addr(), Server: http.Server{
		Handler:           bounded.serve(c.handler(m, ready)),
		ConnState:         bounded.state,
		ConnContext:       withBoundedConn,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second, // a client that does not read occupies its place for so long
		IdleTimeout:       time.Minute,      // boundedConn replaces it by keepAlive
		MaxHeaderBytes:    4 << 10,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, 0),
	}}
	s.serving.Go(func() { _ = s.Serve(bounded) })
	return s, nil
}

// handler answers GET /metrics, /healthz and /readyz, if the Host header is allowed. A web page that reaches the
// listener by DNS rebinding sends another host. /healthz and /readyz are also here because an HTTPS listener that
// requires a client certificate answers no request without one.
func (c *Metrics) handler(m *metrics, ready func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeHealth(w, true) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { writeHealth(w, ready()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		DisableCompression: true, MaxRequestsInFlight: maxScrapers, Timeout: 10 * time.Second,
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !webhost.Allowed(r.Host, c.AllowHosts, true) {
			http.Error(w, fmt.Sprintf("the host %q is not a name of this daemon; if it is, add it to allow-hosts in [metrics]", r.Host), http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// writeHealth writes the same answers as the http transport for these paths.
func writeHealth(w http.ResponseWriter, ok bool) {
	status, text := http.StatusOK, "ok\n"
	if !ok {
		status, text = http.StatusServiceUnavailable, "takes no commands\n"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// A metricsServer serves /metrics, /healthz and /readyz.
type metricsServer struct {
	http.Server
	addr    net.Addr
	serving sync.WaitGroup
}

// close waits for running scrapes, for at most a second, and closes the listener. s may be nil.
func (s *metricsServer) close() {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // an idle connection is not worth a longer wait
	defer cancel()
	if s.Shutdown(ctx) != nil {
		_ = s.Close()
	}
	s.serving.Wait()
}

// maxScrapers is the maximum number of connections, and so of concurrent requests.
const maxScrapers = 16
