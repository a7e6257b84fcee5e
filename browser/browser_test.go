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

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// A bench has a daemon, the taps before it, and how it went for the pages.
type bench struct {
	*daemon
	ws, http, tcp *tap
	tcpAddr       net.Addr
	unixAddr      net.Addr
	went          map[string]outcome
	screenshot    string
}

// setUp runs everything that the browser does.
func setUp(t *testing.T) *bench {
	t.Helper()
	s := newScript(t)
	d := startDaemon(t)
	env, unknown := alltransports.New(t), alltransports.New(t)
	alone := &tlsconf.Server{Cert: env.Server.Cert, Key: env.Server.Key} // asks for no certificates

	var taps []*tap
	good, neighbour := servePages(t, pages(false, &taps)), servePages(t, pages(false, &taps))
	secure := serveSecurePages(t, pages(true, &taps), alone)
	tcpAddr := d.open(t, d.tcp())
	b := &bench{
		daemon: d,
		ws:     newTap(t, d.open(t, d.websocket(nil, good))),
		http:   newTap(t, d.open(t, d.http())),
		tcp:    newTap(t, tcpAddr),

		tcpAddr: tcpAddr, unixAddr: d.open(t, d.unix(t)),
		screenshot: filepath.Join(t.ArtifactDir(), "good.png"),
	}
	taps = []*tap{b.ws, b.http, b.tcp}
	evil := strings.NewReplacer("127.0.0.1", "evil.test")
	b.went = s.run(t, map[string]any{
		"chromium": s.chromium, "screenshot": b.screenshot,
		"keys": []string{keyOf(t, env.Server)},
		"user": "ann", "password": alltransports.Secret,

		"good": good, "secure": secure, "neighbour": neighbour, "stranger": evil.Replace(neighbour),

		"ws": b.ws.url("ws"), "wsEvil": evil.Replace(b.ws.url("ws")),
		"wsLenient":  "ws://" + d.open(t, d.websocket(nil, good, neighbour)).String(),
		"wss":        "wss://" + d.open(t, d.websocket(alone, secure)).String(),
		"wssMutual":  "wss://" + d.open(t, d.websocket(env.Server, secure)).String(),
		"wssUnknown": "wss://" + d.open(t, d.websocket(unknown.Server, secure)).String(),
		"http":       b.http.url("http"), "httpEvil": evil.Replace(b.http.url("http")),
		"tcp": b.tcp.url("http"),
	})
	return b
}

func (p *tap) url(scheme string) string { return scheme + "://" + p.listener.Addr().String() }

// keyOf returns the hash of a certificate's key, by which a browser is told to believe it.
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

// Chromium, at every way in that it can reach.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	b := setUp(t)
	t.Run("pages of ours", b.testPages)
	t.Run("WebSockets of others", b.testWebSockets)
	t.Run("requests of others", b.testRequests)
	t.Run("names that lead here", b.testRebinding)
	for name, o := range b.went {
		require.Empty(t, o.Failed, name)
	}
	// Whatever else was tried, nobody but these gave the command.
	require.Equal(t, []string{"http", "http, password kept", "good", "good over TLS", "good, certificates known", "neighbour, allowed"}, b.shots())
}

// A page that may give commands gives them, by its user's cookie, in a session that its last request ends.
func (b *bench) testPages(t *testing.T) {
	require.Equal(t, []int{200, 200}, b.went["login"].Statuses) // over HTTP, by its user's password
	for name, kind := range map[string]string{"good": "ws", "good over TLS": "wss"} {
		t.Run(name, func(t *testing.T) {
			o := b.went[name]
			require.Equal(t, "open, and speaks rudderpost.v1; closed, 1000 the conversation is over: a request without an id is the last one", o.State)
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

// A browser sends a user's cookie for whatever page of the same host: the list of origins stops it.
func (b *bench) testWebSockets(t *testing.T) {
	require.True(t, b.went["neighbour, allowed"].Opened, "the cookie is what opens it")
	for name, want := range map[string]struct {
		status int
		cookie bool
		why    string
	}{
		"neighbour":            {403, true, `the origin "http://127.0.0.1:`},
		"stranger":             {403, false, `the origin "http://evil.test:`},
		"null origin, sandbox": {403, false, `the origin "null" is not allowed`},
		"null origin, data":    {403, false, `the origin "null" is not allowed`},
		"nobody logged in":     {401, false, `no credentials`},
		"no subprotocol":       {400, true, `the subprotocol here is "rudderpost.v1"`},
		"another subprotocol":  {400, true, `and not one of ["chat"]`},
	} {
		t.Run(name, func(t *testing.T) {
			require.False(t, b.went[name].Opened)
			require.Equal(t, 1006, b.went[name].Code)
			seen, _ := b.ws.of(name)
			require.Len(t, seen, 1)
			require.Equal(t, want.status, seen[0].status)
			require.Equal(t, want.cookie, len(seen[0].Cookies()) > 0)
			b.requireRefused(t, "ws", want.why)
		})
	}
	t.Run("unknown certificate", func(t *testing.T) {
		require.False(t, b.went["unknown certificate"].Opened)
		b.requireRefused(t, "wss", "tls: unknown certificate")
	})
	// Chromium shows nobody a choice of certificates when a WebSocket wants one, and gives up: a listener
	// for pages asks for none, though it has an authority that could vouch for them.
	t.Run("certificates known", func(t *testing.T) {
		require.Contains(t, b.went["good, certificates known"].State, "open, and speaks rudderpost.v1; closed, 1000")
	})
}

func (b *bench) requireRefused(t *testing.T, kind, why string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.refused {
		if r.Transport == kind && strings.Contains(r.Err.Error(), why) {
			return
		}
	}
	require.Fail(t, "nobody was told of a refusal", "%s: %s\n%v", kind, why, b.refused)
}

// What a page can make a browser send to anybody, with the user's password and cookie, runs nothing.
func (b *bench) testRequests(t *testing.T) {
	const simple, preflight, get, health = "POST", "OPTIONS", "GET", "GET /healthz"
	for kind, method := range map[string]string{
		"form-text": simple, "form-urlencoded": simple, "form-multipart": simple,
		"fetch-text": simple, "fetch-untyped": simple, "beacon-text": simple, "ping": simple,
		"fetch-json": preflight, "beacon-json": preflight,
		"image": get, "script": get, "stylesheet": get, "prefetch": get,
		"fetch-health": health,
	} {
		for from, p := range map[string]*tap{"neighbour": b.http, "stranger": b.http, "ws": b.ws, "tcp": b.tcp} {
			t.Run(kind+", "+from, func(t *testing.T) {
				o := b.went[from+" "+kind]
				require.NotContains(t, o.Result, "200", "the page has read an answer")
				seen, _ := p.of(from + " " + kind)
				require.NotEmpty(t, seen)
				for _, x := range seen {
					require.Equal(t, strings.Fields(method)[0], x.Method)
					if p == b.tcp {
						require.Regexp(t, `"result": 1, "text": "invalid first character [A-Z]" \}`, x.answer)
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
					if from == "neighbour" && (method == simple || method == get) {
						require.NotEmpty(t, x.Header["Authorization"], "it is as if the user had sent it")
					}
				}
			})
		}
	}
	b.requireRefused(t, "http", "cross-origin request detected")
	for _, place := range []string{"tcp", "unix"} {
		t.Run("HTTP to a raw "+place, func(t *testing.T) { b.testRaw(t, place) })
	}
}

// testRaw says HTTP where JSON is spoken, and is thrown out although nothing there runs out of time.
func (b *bench) testRaw(t *testing.T, network string) {
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

// A page whose name was made to lead to the daemon is of the same origin, for the browser.
func (b *bench) testRebinding(t *testing.T) {
	for name, p := range map[string]*tap{
		"rebound": b.ws, "rebound fetch-json": b.http, "rebound fetch-text": b.http,
		"rebound form-text": b.http, "rebound fetch-health": b.http,
	} {
		t.Run(name, func(t *testing.T) {
			require.False(t, b.went[name].Opened)
			seen, _ := p.of(name)
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
