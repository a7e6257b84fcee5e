package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// underLoad asks again and again, several at once, until the returned function is called. Each failure is the
// test's.
func underLoad(t *testing.T, several int, ask func() error) (stop func()) {
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

// A listener that changes where it is refuses nobody while the next one takes over: they have one socket.
func TestHandOver(t *testing.T) {
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
			ask := giving(&tcp.Transport{Address: address, Client: id})
			if c.transport == "http" {
				ask = posting(t, address, id)
			}
			stop := underLoad(t, 3, ask)
			for i := range 60 {
				writeConfig(t, dir, config([]string{c.other, c.one}[i%2]))
				reply := p.give("config-reload", "")
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

// What cannot change where it is says so, and what to do.
func TestNoHandOver(t *testing.T) {
	dir := testkit.ShortDir(t)
	address, metrics := testkit.Port(t), testkit.Port(t)
	config := "state-dir = \"run\"\n" + oneSocket + fmt.Sprintf("[[listen]]\ntransport = \"quic\"\npki = \"auto\"\naddress = %q\n", address) +
		fmt.Sprintf("[metrics]\nlisten = %q\n[audit]\nfile = \"audit.jsonl\"\n", metrics)
	p := startIn(t, dir, config)
	p.urls(2)
	state := p.state()
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
			reply := p.give("config-reload", "")
			require.Equal(t, wire.CodeError, reply.Code)
			require.Contains(t, reply.Text, c.want)
			require.Equal(t, state, p.state())
		})
	}
	writeConfig(t, dir, strings.Replace(config, "pki = \"auto\"", "pki = \"auto\"\nmax-access = \"read\"", 1))
	require.Equal(t, wire.CodeSuccess, p.give("config-reload", "").Code, "a ceiling can")
	p.stop()
}

// Passwords and tokens, metrics and hooks come and go while the daemon runs; the record comes.
func TestSectionsComeAndGo(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeHook(t, dir, "hook-a")
	address, metrics := testkit.Port(t), testkit.Port(t)
	base := "state-dir = \"run\"\n" + oneSocket + fmt.Sprintf("[[listen]]\ntransport = \"http\"\npki = \"auto\"\naddress = %q\n", address)
	p := startIn(t, dir, base)
	p.urls(2)
	put := func(more string) {
		t.Helper()
		writeConfig(t, dir, base+more)
		reply := p.give("config-reload", "")
		require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	}
	config, err := (&tlsconf.Client{CA: filepath.Join(dir, "run", "pki", "ca.pem")}).Config("127.0.0.1", "http/1.1")
	require.NoError(t, err)
	byToken := func() int { // 0: not even TLS
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
		status, body := get(t, http.MethodGet, "http://"+metrics+"/metrics", metrics)
		require.Equal(t, http.StatusOK, status, body)
		put("")
		_, err := net.Dial("tcp", metrics)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	}
	for range 2 {
		put("[[hook]]\nname = \"a\"\nexec = [\"hook-a\"]\n")
		hooksIn(t, dir, 1)
		require.Contains(t, string(p.give("list-commands", "").Arguments.(wire.Value)), "hook-a")
		put("")
		hooksIn(t, dir, 0)
		require.NotContains(t, string(p.give("list-commands", "").Arguments.(wire.Value)), "hook-a")
	}
	put("[audit]\nfile = \"audit.jsonl\"\n")
	p.give("build-report", "")
	record, err := os.ReadFile(filepath.Join(dir, "audit.jsonl"))
	require.NoError(t, err)
	require.Contains(t, string(record), "build-report")
	p.stop()
}

// A hook that cannot be loaded leaves the one that runs as it is, the same process, whatever is wrong with it.
func TestBrokenHookKeepsTheOldOne(t *testing.T) {
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
	list := string(p.give("hook-list", "").Arguments.(wire.Value))
	require.Contains(t, list, `"pid":`)
	for _, broken := range []string{"ends", "babbles", "double", "plain", "gone"} {
		writeConfig(t, dir, hook(broken))
		reply := p.give("config-reload", "")
		require.Equal(t, wire.CodeError, reply.Code, broken)
		require.Contains(t, reply.Text, "'a'", broken)
		require.Equal(t, list, string(p.give("hook-list", "").Arguments.(wire.Value)), broken)
	}
	hooksIn(t, dir, 1)
	p.stop()
	noHooksLeft(t, dir)
}

// Who came through a listener before it changed may do no more than those who come now: its conns live on,
// under the ceiling that is the lower one.
func TestCeilingOfConnsThatStay(t *testing.T) {
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
	require.Equal(t, wire.CodeSuccess, p.give("config-reload", "").Code)
	require.Equal(t, wire.CodeForbidden, may())
	writeConfig(t, dir, config("pki = \"auto\"\n"))
	require.Equal(t, wire.CodeSuccess, p.give("config-reload", "").Code)
	require.Equal(t, wire.CodeForbidden, may(), "nobody is raised who came when less was allowed")
	require.NoError(t, giving(at)())

	// Also when there was another in between.
	session, err = client.Dial(t.Context(), at)
	require.NoError(t, err)
	defer session.Close()
	require.Equal(t, wire.CodeSuccess, may())
	for _, more := range []string{files, "pki = \"auto\"\n"} {
		writeConfig(t, dir, config(more))
		require.Equal(t, wire.CodeSuccess, p.give("config-reload", "").Code)
		require.Equal(t, wire.CodeSuccess, may())
	}
	writeConfig(t, dir, config("pki = \"auto\"\nmax-access = \"read\"\n"))
	require.Equal(t, wire.CodeSuccess, p.give("config-reload", "").Code)
	require.Equal(t, wire.CodeForbidden, may())
	p.stop()
}
