package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics says where Prometheus finds the daemon's metrics. Without an address it does nowhere.
type Metrics struct {
	Listen     string   `toml:"listen,omitempty" json:"listen,omitempty"`
	AllowHosts []string `toml:"allow-hosts,omitempty" json:"allow-hosts,omitempty"`
}

// complete checks the values. Nobody proves anything there and nothing is encrypted, so that it is for this
// machine only; who wants it elsewhere has something in front that does both.
func (c *Metrics) complete() error {
	if c.Listen == "" {
		if len(c.AllowHosts) > 0 {
			return errors.New("metrics.allow-hosts: there is no listen to reach by them")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("metrics.listen: %q is no host:port such as \"127.0.0.1:9464\"", c.Listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("metrics.listen: %q is no port", port)
	}
	if !isLoopback(host) {
		return fmt.Errorf("metrics.listen: %q is not loopback, and nobody proves there who they are; use 127.0.0.1, and for others a proxy with TLS in front of it", host)
	}
	return nil
}

// open opens the place, if there is to be one. ready reports whether commands are taken; it is called for each GET of
// /readyz, and must not block.
func (c *Metrics) open(m *metrics, keepAlive func() time.Duration, ready func() bool) (*metricsServer, error) {
	if c.Listen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	bounded := newBoundedListener(l, mostScrapers, keepAlive)
	s := &metricsServer{addr: l.Addr(), Server: http.Server{
		Handler:           bounded.serve(c.handler(m, ready)),
		ConnState:         bounded.state,
		ConnContext:       withBoundedConn,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second, // so long a client that does not read keeps its place
		IdleTimeout:       time.Minute,      // boundedConn replaces it by keepAlive
		MaxHeaderBytes:    4 << 10,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, 0),
	}}
	s.serving.Go(func() { _ = s.Serve(bounded) })
	return s, nil
}

// handler answers GET /metrics, /healthz and /readyz, of those that call us by a name of ours: a page whose name has
// been made to lead here (DNS rebinding) says another. The health of the daemon is also here because an HTTPS listener
// that requires a client certificate answers no request without one.
func (c *Metrics) handler(m *metrics, ready func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeHealth(w, true) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { writeHealth(w, ready()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		DisableCompression: true, MaxRequestsInFlight: mostScrapers, Timeout: 10 * time.Second,
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !c.isOurs(r.Host) {
			http.Error(w, fmt.Sprintf("the host %q is not a name of this daemon; if it is, add it to allow-hosts in [metrics]", r.Host), http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// writeHealth answers as the http transport does for the same paths.
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

// isOurs reports whether a Host header names us: by an address, as localhost, or as allow-hosts has it.
func (c *Metrics) isOurs(named string) bool {
	host := named
	if h, _, err := net.SplitHostPort(named); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")); err == nil || strings.EqualFold(host, "localhost") {
		return true
	}
	return slices.ContainsFunc(c.AllowHosts, func(allowed string) bool {
		return strings.EqualFold(named, allowed) || strings.EqualFold(host, allowed)
	})
}

// A metricsServer serves /metrics, /healthz and /readyz.
type metricsServer struct {
	http.Server
	addr    net.Addr
	serving sync.WaitGroup
}

// close ends it, after the scrapes that are going on. It may be nil.
func (s *metricsServer) close() {
	if s == nil {
		return
	}
	patience, cancel := context.WithTimeout(context.Background(), time.Second) // a silent connection is worth no more
	defer cancel()
	if s.Shutdown(patience) != nil {
		_ = s.Close()
	}
	s.serving.Wait()
}

// mostScrapers is how many connections there are at a time, and so requests.
const mostScrapers = 16
