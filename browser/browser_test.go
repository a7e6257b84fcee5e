// Package browser_test has the tests with a browser. Allowed pages can send commands. All other pages, of any origin
// and with any kind of request, run no command.
package browser_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"image/png"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A browserEnv has a daemon, the taps in front of it, and the outcome of each case.
type browserEnv struct {
	*daemon
	ws, http, tcp *tap
	tcpAddr       net.Addr
	unixAddr      net.Addr
	outcomes      map[string]outcome
	screenshot    string
}

// newBrowserEnv starts the daemon and the pages, and runs all cases in the browser.
func newBrowserEnv(t *testing.T) *browserEnv {
	t.Helper()
	s := newScript(t)
	d := startDaemon(t)
	env, unknown := alltransports.New(t), alltransports.New(t)
	withoutClientCA := &tlsconf.Server{Cert: env.Server.Cert, Key: env.Server.Key} // requests no client certificates

	var taps []*tap
	allowed, otherPort := servePages(t, pageHandler(false, &taps)), servePages(t, pageHandler(false, &taps))
	secure := serveSecurePages(t, pageHandler(true, &taps), withoutClientCA)
	tcpAddr := d.open(t, d.tcp())
	b := &browserEnv{
		daemon: d,
		ws:     newTap(t, d.open(t, d.websocket(nil, allowed))),
		http:   newTap(t, d.open(t, d.http())),
		tcp:    newTap(t, tcpAddr),

		tcpAddr: tcpAddr, unixAddr: d.open(t, d.unix(t)),
		screenshot: filepath.Join(t.ArtifactDir(), "good.png"),
	}
	taps = []*tap{b.ws, b.http, b.tcp}
	asEvilHost := strings.NewReplacer("127.0.0.1", "evil.test")
	b.outcomes = s.run(t, map[string]any{
		"chromium": s.chromium, "screenshot": b.screenshot,
		"keys": []string{keyOf(t, env.Server)},
		"user": "ann", "password": alltransports.Secret,

		"allowed": allowed, "secure": secure, "otherPort": otherPort, "otherHost": asEvilHost.Replace(otherPort),

		"ws": b.ws.url("ws"), "wsEvil": asEvilHost.Replace(b.ws.url("ws")),
		"wsLenient":  "ws://" + d.open(t, d.websocket(nil, allowed, otherPort)).String(),
		"wss":        "wss://" + d.open(t, d.websocket(withoutClientCA, secure)).String(),
		"wssMutual":  "wss://" + d.open(t, d.websocket(env.Server, secure)).String(),
		"wssUnknown": "wss://" + d.open(t, d.websocket(unknown.Server, secure)).String(),
		"http":       b.http.url("http"), "httpEvil": asEvilHost.Replace(b.http.url("http")),
		"tcp": b.tcp.url("http"),
	})
	return b
}

func (p *tap) url(scheme string) string { return scheme + "://" + p.listener.Addr().String() }

// keyOf returns the hash of a certificate's key, with which the browser is configured to trust it.
func keyOf(t *testing.T, server *tlsconf.Server) string {
	t.Helper()
	text, err := os.ReadFile(server.Cert)
	require.NoError(t, err)
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Chromium tries every listener that it can reach.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("the test takes half a minute")
	}
	b := newBrowserEnv(t)
	t.Run("allowed pages", b.testPages)
	t.Run("WebSockets of other pages", b.testWebSockets)
	t.Run("requests of other pages", b.testRequests)
	t.Run("DNS rebinding", b.testRebinding)
	for name, o := range b.outcomes {
		require.Empty(t, o.Failed, name)
	}
	// Only these cases have run the command.
	require.Equal(t, []string{"http", "http, password kept", "allowed", "allowed over TLS", "allowed, certificates known", "other port, allowed"}, b.firedBy())
}

// An allowed page sends commands with its user's cookie. Its last request, without an id, ends the session.
func (b *browserEnv) testPages(t *testing.T) {
	require.Equal(t, []int{200, 200}, b.outcomes["login"].Statuses) // over HTTP, with the password of its user
	for name, kind := range map[string]string{"allowed": "ws", "allowed over TLS": "wss"} {
		t.Run(name, func(t *testing.T) {
			o := b.outcomes[name]
			require.Equal(t, "open, and speaks rudderpost.v1; closed, 1000 the conn has ended: a request without an id is the last one", o.State)
			require.Len(t, o.Frames, 6)
			require.Contains(t, o.Frames[1], `{"id":1,"result":0,"arguments":{"subjects":["user:page"],"transport":"`+kind+`"`)
			require.Equal(t, `{"id":"second","result":0}`, o.Frames[3])
			require.Contains(t, o.Frames[5], `"fire"`)
		})
	}
	file, err := os.Open(b.screenshot)
	require.NoError(t, err)
	defer file.Close()
	picture, err := png.Decode(file)
	require.NoError(t, err)
	require.Equal(t, 1000, picture.Bounds().Dx())
}

// A browser sends the cookie of a user for every page of the same host. The list of allowed origins stops other pages.
func (b *browserEnv) testWebSockets(t *testing.T) {
	require.True(t, b.outcomes["other port, allowed"].Opened, "the cookie authenticates the page")
	for name, want := range map[string]struct {
		status int
		cookie bool
		why    string
	}{
		"other port":           {403, true, `the origin "http://127.0.0.1:`},
		"other host":           {403, false, `the origin "http://evil.test:`},
		"null origin, sandbox": {403, false, `the origin "null" is not allowed`},
		"null origin, data":    {403, false, `the origin "null" is not allowed`},
		"not logged in":        {401, false, `no credentials`},
		"no subprotocol":       {400, true, `the subprotocol here is "rudderpost.v1"`},
		"another subprotocol":  {400, true, `and not one of ["chat"]`},
	} {
		t.Run(name, func(t *testing.T) {
			require.False(t, b.outcomes[name].Opened)
			require.Equal(t, 1006, b.outcomes[name].Code)
			seen, _ := b.ws.exchangesOf(name)
			require.Len(t, seen, 1)
			require.Equal(t, want.status, seen[0].status)
			require.Equal(t, want.cookie, len(seen[0].Cookies()) > 0)
			b.requireRefused(t, "ws", want.why)
		})
	}
	t.Run("unknown certificate", func(t *testing.T) {
		require.False(t, b.outcomes["unknown certificate"].Opened)
		b.requireRefused(t, "wss", "tls: unknown certificate")
	})
	// When a WebSocket listener requests a client certificate, Chromium shows no dialogue and closes. So a listener for
	// pages requests none, even if it has a client CA.
	t.Run("certificates known", func(t *testing.T) {
		require.Contains(t, b.outcomes["allowed, certificates known"].State, "open, and speaks rudderpost.v1; closed, 1000")
	})
}

func (b *browserEnv) requireRefused(t *testing.T, kind, why string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.refused {
		if r.Transport == kind && strings.Contains(r.Err.Error(), why) {
			return
		}
	}
	require.Fail(t, "no refusal was reported", "%s: %s\n%v", kind, why, b.refused)
}

// Requests that a page makes the browser send, with the user's password and cookie, run no command.
func (b *browserEnv) testRequests(t *testing.T) {
	const simple, preflight, get, health = "POST", "OPTIONS", "GET", "GET /healthz"
	for kind, method := range map[string]string{
		"form-text": simple, "form-urlencoded": simple, "form-multipart": simple,
		"fetch-text": simple, "fetch-untyped": simple, "beacon-text": simple, "ping": simple,
		"fetch-json": preflight, "beacon-json": preflight,
		"image": get, "script": get, "stylesheet": get, "prefetch": get,
		"fetch-health": health,
	} {
		for from, p := range map[string]*tap{"other port": b.http, "other host": b.http, "ws": b.ws, "tcp": b.tcp} {
			t.Run(kind+", "+from, func(t *testing.T) {
				o := b.outcomes[from+" "+kind]
				require.NotContains(t, o.Result, "200", "the page has read the response")
				seen, _ := p.exchangesOf(from + " " + kind)
				require.NotEmpty(t, seen)
				for _, x := range seen {
					require.Equal(t, strings.Fields(method)[0], x.Method)
					if p == b.tcp {
						require.Regexp(t, `"result": 1, "text": "invalid first character [A-Z]" \}`, x.rawAnswer)
						continue
					}
					status := map[string]map[string]int{
						"http": {simple: 403, preflight: 405, get: 405, health: 200},
						"ws":   {simple: 405, preflight: 405, get: 426, health: 404},
					}
					place := "http"
					if p == b.ws {
						place = "ws"
					}
					require.Equal(t, status[place][method], x.status)
					if from == "other port" && (method == simple || method == get) {
						require.NotEmpty(t, x.Header["Authorization"], "the browser sends the password of the user")
					}
				}
			})
		}
	}
	b.requireRefused(t, "http", "cross-origin request detected")
	for _, place := range []string{"tcp", "unix"} {
		t.Run("HTTP to a raw "+place, func(t *testing.T) { b.testHTTPToJSONListener(t, place) })
	}
}

// testHTTPToJSONListener sends HTTP to a listener for JSON. The daemon closes the connection, although it has no
// timeouts.
func (b *browserEnv) testHTTPToJSONListener(t *testing.T, network string) {
	addr := b.unixAddr
	if network == "tcp" {
		addr = b.tcpAddr
	}
	conn, err := net.Dial(network, addr.String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(testkit.Timeout)))
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18\r\n\r\n"+`{"command":"fire"}`)
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, `{ "error": { "code": "bad-frame" }, "result": 1, "text": "invalid first character P" }`+"\n", string(answer))
}

// After DNS rebinding, the browser takes a page for one of the same origin as the daemon.
func (b *browserEnv) testRebinding(t *testing.T) {
	for name, p := range map[string]*tap{
		"rebound": b.ws, "rebound fetch-json": b.http, "rebound fetch-text": b.http,
		"rebound form-text": b.http, "rebound fetch-health": b.http,
	} {
		t.Run(name, func(t *testing.T) {
			require.False(t, b.outcomes[name].Opened)
			seen, _ := p.exchangesOf(name)
			require.Len(t, seen, 1)
			require.Equal(t, 403, seen[0].status)
			require.True(t, strings.HasPrefix(seen[0].Host, "evil.test:"))
			if origin := seen[0].Header.Get("Origin"); origin != "" {
				require.Equal(t, "http://"+seen[0].Host, origin)
			}
		})
	}
	b.requireRefused(t, "ws", `the host "evil.test:`)
	b.requireRefused(t, "http", `the host "evil.test:`)
}
