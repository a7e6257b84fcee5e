package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// requestUnderLoad calls ask from several goroutines until stop is called. An error fails the test.
func requestUnderLoad(t *testing.T, several int, ask func() error) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var all sync.WaitGroup
	for range several {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := ask(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() {
		close(done)
		all.Wait()
	}
}

// While a listener is replaced at the same address, every client is accepted, because both listeners share the socket.
func TestReplacedListenerRefusesNoClient(t *testing.T) {
	files := "cert = \"run/pki/server.pem\"\nkey = \"run/pki/server.key\"\nclient-ca = \"run/pki/ca.pem\"\n"
	for name, c := range map[string]struct{ transport, one, other string }{
		"cert":      {"tcp", "pki = \"auto\"\n", files},
		"client-ca": {"tcp", files, strings.Replace(files, "run/pki/ca.pem", "ca-too.pem", 1)},
		"hosts":     {"http", files + "allow-hosts = [\"a.example\"]\n", files + "allow-hosts = [\"b.example\"]\n"},
		"max-conns": {"http", "pki = \"auto\"\n", "pki = \"auto\"\n[limits]\nmax-conns = 999\n"},
		"auth":      {"http", "pki = \"auto\"\n", "pki = \"auto\"\n[auth]\nusers-file = \"users\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, address := testkit.ShortDir(t), testkit.Port(t)
			config := func(how string) string {
				return "log-level = \"error\"\nstate-dir = \"run\"\n[[principal]]\nsubject = \"cert:admin\"\nrole = \"monitor\"\n" + oneSocket +
					fmt.Sprintf("[[listen]]\ntransport = %q\naddress = %q\n", c.transport, address) + how
			}
			_, err := tlsconf.Auto(filepath.Join(dir, "run", "pki"), nil)
			require.NoError(t, err)
			ca, err := os.ReadFile(filepath.Join(dir, "run", "pki", "ca.pem"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "ca-too.pem"), ca, 0o600))
			p := startIn(t, dir, config(c.one))
			id := tlsconf.ClientFrom(filepath.Join(dir, "run", "pki"), "")
			ask := commandOver(&tcp.Transport{Address: address, Client: id})
			if c.transport == "http" {
				ask = postOver(t, address, id)
			}
			stop := requestUnderLoad(t, 3, ask)
			for i := range 60 {
				writeConfig(t, dir, config([]string{c.other, c.one}[i%2]))
				reply := p.command("config-reload", "")
				require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
				if t.Failed() {
					break
				}
			}
			stop()
			p.stop()
		})
	}
}

// A change that needs a restart is refused, and the error says what to do.
func TestListenerThatCannotBeReplacedSaysSo(t *testing.T) {
	dir := testkit.ShortDir(t)
	address, metrics := testkit.Port(t), testkit.Port(t)
	config := "state-dir = \"run\"\n" + oneSocket + fmt.Sprintf("[[listen]]\ntransport = \"quic\"\npki = \"auto\"\naddress = %q\n", address) +
		fmt.Sprintf("[metrics]\nlisten = %q\n[audit]\nfile = \"audit.jsonl\"\n", metrics)
	p := startIn(t, dir, config)
	p.urls(2)
	state := p.configState()
	for name, c := range map[string]struct{ old, new, want string }{
		"quic": {"pki = \"auto\"", "cert = \"run/pki/server.pem\"\nkey = \"run/pki/server.key\"\nclient-ca = \"run/pki/ca.pem\"",
			"listen 2 (quic): this listener cannot be changed while it is open; give it another address than UDP address " + address + ", or restart the daemon"},
		"group": {"path = \"control.sock\"", "path = \"control.sock\"\ngroup = \"root\"",
			"listen 1 (unix): this listener cannot be changed while it is open; give it another address than path " + filepath.Join(dir, "control.sock") + ", or restart the daemon"},
		"metrics":       {"[audit]", "allow-hosts = [\"x\"]\n[audit]", "metrics.allow-hosts: can be changed while the daemon runs only together with listen; restart the daemon"},
		"audit moved":   {"audit.jsonl", "other.jsonl", "audit.file: cannot be moved from " + filepath.Join(dir, "audit.jsonl") + " while the daemon runs; restart the daemon"},
		"audit removed": {"file = \"audit.jsonl\"", "", "audit.file: cannot be moved"},
	} {
		t.Run(name, func(t *testing.T) {
			writeConfig(t, dir, strings.Replace(config, c.old, c.new, 1))
			reply := p.command("config-reload", "")
			require.Equal(t, wire.CodeError, reply.Code)
			require.Contains(t, reply.Text, c.want)
			require.Equal(t, state, p.configState())
		})
	}
	writeConfig(t, dir, strings.Replace(config, "pki = \"auto\"", "pki = \"auto\"\nmax-access = \"read\"", 1))
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code, "a ceiling can")
	p.stop()
}

// A reload adds and removes passwords, tokens, metrics and hooks, and adds the audit.
func TestAuthMetricsAndHooksChangeWhileRunning(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeHook(t, dir, "hook-a")
	address, metrics := testkit.Port(t), testkit.Port(t)
	base := "state-dir = \"run\"\n" + oneSocket + fmt.Sprintf("[[listen]]\ntransport = \"http\"\npki = \"auto\"\naddress = %q\n", address)
	p := startIn(t, dir, base)
	p.urls(2)
	put := func(more string) {
		t.Helper()
		writeConfig(t, dir, base+more)
		reply := p.command("config-reload", "")
		require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	}
	config, err := (&tlsconf.Client{CA: filepath.Join(dir, "run", "pki", "ca.pem")}).Config("127.0.0.1", "http/1.1")
	require.NoError(t, err)
	byToken := func() int { // 0: the TLS handshake failed
		token, _ := os.ReadFile(filepath.Join(dir, "run", "first.token"))
		request, err := http.NewRequest(http.MethodPost, "https://"+address+"/", strings.NewReader(`{"command":"version-get"}`))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		request.Header.Set("Content-Type", "application/json")
		reply, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}).Do(request)
		if err != nil {
			return 0
		}
		_ = reply.Body.Close()
		return reply.StatusCode
	}
	for range 2 {
		require.Zero(t, byToken())
		put("[auth]\ntokens-file = \"tokens\"\n")
		require.Equal(t, http.StatusOK, byToken())
		put("[auth]\nusers-file = \"users\"\n")
		require.Equal(t, http.StatusUnauthorized, byToken())
		put("")
	}
	for range 2 {
		put(fmt.Sprintf("[metrics]\nlisten = %q\n", metrics))
		status, body := httpGet(t, http.MethodGet, "http://"+metrics+"/metrics", metrics)
		require.Equal(t, http.StatusOK, status, body)
		put("")
		_, err := net.Dial("tcp", metrics)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	}
	for range 2 {
		put("[[hook]]\nname = \"a\"\nexec = [\"hook-a\"]\n")
		waitForHooks(t, dir, 1)
		require.Contains(t, string(p.command("list-commands", "").Arguments.(wire.Value)), "hook-a")
		put("")
		waitForHooks(t, dir, 0)
		require.NotContains(t, string(p.command("list-commands", "").Arguments.(wire.Value)), "hook-a")
	}
	put("[audit]\nfile = \"audit.jsonl\"\n")
	p.command("build-report", "")
	record, err := os.ReadFile(filepath.Join(dir, "audit.jsonl"))
	require.NoError(t, err)
	require.Contains(t, string(record), "build-report")
	p.stop()
}

// If a new hook fails to load, the old process keeps running.
func TestHookThatFailsToLoadKeepsTheRunningOne(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeHook(t, dir, "good")
	for name, text := range map[string]string{
		"ends": "exit 3\n", "babbles": "echo hello\n", "double": "read -r hello\necho '{\"introduce\":{\"commands\":[{\"name\":\"version-get\",\"summary\":\"-\",\"access\":\"read\"}]}}'\nread -r x\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "plain"), []byte("x"), 0o644))
	hook := func(exec string) string {
		return oneSocket + "[[hook]]\nname = \"a\"\nexec = [\"" + exec + "\"]\n"
	}
	p := startIn(t, dir, hook("good"))
	list := string(p.command("hook-list", "").Arguments.(wire.Value))
	require.Contains(t, list, `"pid":`)
	for _, broken := range []string{"ends", "babbles", "double", "plain", "gone"} {
		writeConfig(t, dir, hook(broken))
		reply := p.command("config-reload", "")
		require.Equal(t, wire.CodeError, reply.Code, broken)
		require.Contains(t, reply.Text, "'a'", broken)
		require.Equal(t, list, string(p.command("hook-list", "").Arguments.(wire.Value)), broken)
	}
	waitForHooks(t, dir, 1)
	p.stop()
	waitForNoHooks(t, dir)
}

// Conns of a listener that was replaced stay open, with the lower of the two limits.
func TestConnsOfSupersededListenerGetLoweredMaxAccess(t *testing.T) {
	dir, address := testkit.ShortDir(t), testkit.Port(t)
	config := func(more string) string {
		return "state-dir = \"run\"\n[[principal]]\nsubject = \"cert:admin\"\nrole = \"admin\"\n" + oneSocket + fmt.Sprintf("[[listen]]\ntransport = \"tcp\"\naddress = %q\n", address) + more
	}
	files := "cert = \"run/pki/server.pem\"\nkey = \"run/pki/server.key\"\nclient-ca = \"run/pki/ca.pem\"\n"
	p := startIn(t, dir, config("pki = \"auto\"\n"))
	p.urls(2)
	at := &tcp.Transport{Address: address, Client: tlsconf.ClientFrom(filepath.Join(dir, "run", "pki"), "")}
	session, err := client.Dial(t.Context(), at)
	require.NoError(t, err)
	defer session.Close()
	may := func() wire.Code {
		reply, err := session.Do(t.Context(), wire.Request{Command: "statistic-reset-all"})
		require.NoError(t, err)
		return reply.Code
	}
	require.Equal(t, wire.CodeSuccess, may())
	writeConfig(t, dir, config(files+"max-access = \"read\"\n"))
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	require.Equal(t, wire.CodeForbidden, may())
	writeConfig(t, dir, config("pki = \"auto\"\n"))
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	require.Equal(t, wire.CodeForbidden, may(), "the limit of older conns is never raised")
	require.NoError(t, commandOver(at)())

	// The limit also passes through a listener in between.
	session, err = client.Dial(t.Context(), at)
	require.NoError(t, err)
	defer session.Close()
	require.Equal(t, wire.CodeSuccess, may())
	for _, more := range []string{files, "pki = \"auto\"\n"} {
		writeConfig(t, dir, config(more))
		require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
		require.Equal(t, wire.CodeSuccess, may())
	}
	writeConfig(t, dir, config("pki = \"auto\"\nmax-access = \"read\"\n"))
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	require.Equal(t, wire.CodeForbidden, may())
	p.stop()
}

// Listeners with port 0 keep the port that they have when the configuration changes. This also holds for two equal
// ones, and for one that changes.
func TestListenerAtAnyPortKeepsItsPort(t *testing.T) {
	const two = "state-dir = \"run\"\n" + oneSocket + `
[[listen]]
transport = "tcp"
address = "127.0.0.1:0"
pki = "auto"
[[listen]]
transport = "tcp"
address = "127.0.0.1:0"
pki = "auto"
[[listen]]
transport = "quic"
address = "127.0.0.1:0"
pki = "auto"
`
	dir := testkit.ShortDir(t)
	writeConfig(t, dir, two)
	p := start(t, dir, nil, "-c", "config.toml")
	p.listening()
	urls := func(n int) []string {
		var status struct {
			Sockets struct {
				Open []string `json:"open"`
			} `json:"sockets"`
		}
		arguments, _ := p.command("status-get", "").Arguments.(wire.Value)
		require.NoError(t, json.Unmarshal(arguments, &status))
		require.Len(t, status.Sockets.Open, n)
		return status.Sockets.Open
	}
	before := urls(4)
	reload := func(config string) {
		t.Helper()
		writeConfig(t, dir, config)
		reply := p.command("config-reload", "")
		require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	}
	reload(two + "[limits]\nmax-queued = 17\n")
	require.Equal(t, before, urls(4))
	require.Equal(t, 4, strings.Count(p.Out.String(), "listening on "), "a new listener was opened")
	reload(strings.Replace(two, "pki = \"auto\"\n", "insecure = true\nanonymous = \"monitor\"\n", 1))
	before[1] = strings.Replace(before[1], "tls:", "tcp:", 1)
	require.Equal(t, before, urls(4))

	reply := p.setConfig(setLevel("warn"))
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	require.Equal(t, before, urls(4))

	reload(strings.Replace(two, "[[listen]]\ntransport = \"tcp\"\naddress = \"127.0.0.1:0\"\npki = \"auto\"\n", "", 1))
	require.Equal(t, slices.Delete(before, 1, 2), urls(3), "the first of two is closed, the second stays open")
}
