package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// resourceUsage returns the resources that a process uses.
func (p *process) resourceUsage() (descriptors, children, goroutines int, rss int64) {
	p.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", p.Process.Pid)
	fds, err := os.ReadDir(proc + "fd")
	require.NoError(p.t, err)
	tasks, err := filepath.Glob(proc + "task/*/children")
	require.NoError(p.t, err)
	for _, path := range tasks {
		text, _ := os.ReadFile(path)
		children += len(strings.Fields(string(text)))
	}
	reply := p.command("metrics-get", `{"prefix":"go_goroutines"}`)
	arguments, _ := reply.Arguments.(wire.Value)
	_, rest, _ := strings.Cut(string(arguments), `"value":`)
	goroutines, _ = strconv.Atoi(strings.TrimSpace(rest[:strings.IndexAny(rest, ",}")]))
	statm, err := os.ReadFile(proc + "statm")
	require.NoError(p.t, err)
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	require.NoError(p.t, err)
	return len(fds), children, goroutines, pages * int64(os.Getpagesize())
}

// A thousand reloads under load refuse no client, even at a listener that is replaced, and leak nothing.
func TestThousandReloadsUnderLoadLeakNothing(t *testing.T) {
	reloads := 1000
	if testing.Short() {
		reloads = 50
	}
	dir := testkit.ShortDir(t)
	writeHook(t, dir, "hook-a")
	writeHook(t, dir, "hook-b")
	kept, still, changing, coming := testkit.Port(t), testkit.Port(t), testkit.Port(t), testkit.Port(t)
	config := func(level, hosts, hook, more string) string {
		return fmt.Sprintf(`
log-level = %q
state-dir = "run"
[[listen]]
transport = "unix"
path = "s"
[[listen]]
transport = "tcp"
address = %q
pki = "auto"
[[listen]]
transport = "http"
address = %q
pki = "auto"
[[listen]]
transport = "http"
address = %q
cert = "run/pki/server.pem"
key = "run/pki/server.key"
client-ca = "run/pki/ca.pem"
allow-hosts = [%q]
[[hook]]
name = "kept"
exec = ["hook-a"]
%s`, level, kept, still, changing, hosts, hook) + more
	}
	both := []string{
		config("error", "a.example", "", ""),
		"log-format = \"json\"\n" + config("warn", "b.example", "[[hook]]\nname = \"comes\"\nexec = [\"hook-b\"]\n", fmt.Sprintf("[[listen]]\ntransport = \"tcp\"\naddress = %q\npki = \"auto\"\n[limits]\nmax-in-flight = 8\n[[role]]\nname = \"x\"\nallow = [\"read\"]\n", coming)),
	}
	writeConfig(t, dir, both[0])
	p := start(t, dir, nil, "-c", "config.toml")
	p.listening()
	reload := func(i int) {
		if i < 10 || i%10 < 2 { // a hook is a process, so not at every reload
			writeConfig(t, dir, both[i%2])
		} else {
			writeConfig(t, dir, strings.Replace(both[0], "a.example", "c"+strconv.Itoa(i)+".example", 1))
		}
		reply := p.command("config-reload", "")
		require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	}
	for i := range 10 {
		reload(i)
	}
	testkit.Eventually(t, func() bool { _, children, _, _ := p.resourceUsage(); return children <= 2 }, "old hooks do not end")
	descriptors, _, goroutines, rss := p.resourceUsage()

	pki := tlsconf.ClientFrom(filepath.Join(dir, "run", "pki"), "")
	var stop atomic.Bool
	var done atomic.Int64
	var load sync.WaitGroup
	var failed atomic.Pointer[string]
	for name, ask := range map[string]func() error{
		"unix": commandOver(&unix.Transport{Path: p.listening()}), "tls": commandOver(&tcp.Transport{Address: kept, Client: pki}), "https": postOver(t, still, pki), "changing https": postOver(t, changing, pki),
	} {
		load.Go(func() {
			for !stop.Load() {
				if err := ask(); err != nil {
					text := fmt.Sprintf("%s: %v", name, err)
					failed.Store(&text)
					return
				}
				done.Add(1)
			}
		})
	}
	long, err := client.Dial(t.Context(), &tcp.Transport{Address: kept, Client: pki})
	require.NoError(t, err)
	_, err = long.Do(t.Context(), wire.Request{Command: "version-get"})
	require.NoError(t, err)
	for i := range reloads {
		reload(i)
		if text := failed.Load(); text != nil {
			require.Fail(t, *text)
		}
	}
	reload(0)
	reply, err := long.Do(t.Context(), wire.Request{Command: "version-get"})
	require.NoError(t, err, "its listener has not changed")
	require.Equal(t, wire.CodeSuccess, reply.Code)
	require.NoError(t, long.Close())
	stop.Store(true)
	load.Wait()
	require.Greater(t, done.Load(), int64(reloads))
	testkit.Eventually(t, func() bool {
		d, c, g, _ := p.resourceUsage()
		return d <= descriptors && c <= 1 && g <= goroutines // after the handshakeGrace of stopped listeners
	}, "a reload leaks descriptors, processes or goroutines")
	d, c, g, after := p.resourceUsage()
	t.Logf("%d commands; descriptors %d → %d, children %d, goroutines %d → %d, resident %d → %d MiB", done.Load(), descriptors, d, c, goroutines, g, rss>>20, after>>20)
	if !testkit.RaceEnabled { // the race detector uses memory of its own
		require.Less(t, after, rss+(64<<20))
	}
	p.stop()
	waitForNoHooks(t, dir)
}

// commandOver sends a command on a new conn.
func commandOver(dialer transport.Dialer) func() error {
	return func() error {
		reply, err := client.Do(context.Background(), dialer, wire.Request{Command: "version-get"})
		if err == nil {
			err = reply.Err()
		}
		return err
	}
}

// postOver does the same over HTTPS on a new connection, because the daemon may close an idle one at the same time.
func postOver(t *testing.T, address string, id *tlsconf.Client) func() error {
	t.Helper()
	config, err := id.Config("127.0.0.1", "http/1.1")
	require.NoError(t, err)
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	return func() error {
		reply, err := c.Post("https://"+address+"/", "application/json", strings.NewReader(`{"command":"version-get"}`))
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		if reply.StatusCode != http.StatusOK {
			return errors.New(reply.Status)
		}
		_, err = io.Copy(io.Discard, reply.Body)
		return err
	}
}

// These keys may be set over the channel. A new key is read-only until it is in this list and has the tag.
func TestOnlyTaggedKeysAreSettable(t *testing.T) {
	settable := map[string]bool{
		"log-level": true, "log-format": true,
	}
	narrow := map[string]bool{"listen.max-access": true, "listen.allow-hosts": true, "listen.allow-origins": true} // TestConfigSetOnlyNarrowsListeners
	for f := range reflect.TypeFor[Limits]().Fields() {
		settable["limits."+keyOf(f)] = true
	}
	seen := map[string]bool{}
	var walk func(typ reflect.Type, under string)
	walk = func(typ reflect.Type, under string) {
		for f := range typ.Fields() {
			key := keyOf(f)
			if key == "" {
				continue
			}
			inner := f.Type
			for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[Secret]() {
				require.Empty(t, f.Tag.Get("wire"), "%s: its keys have the tag, each", under+key)
				walk(inner, under+key+".")
				continue
			}
			seen[under+key] = f.Tag.Get("wire") == "set"
			require.Equal(t, narrow[under+key], f.Tag.Get("wire") == "narrow", key)
		}
	}
	walk(reflect.TypeFor[Config](), "")
	for key, may := range seen {
		require.Equal(t, settable[key], may, key)
	}
	require.Greater(t, len(seen), 50)

	// The daemon enforces it.
	both := newConfigPair(t)
	writeConfig(t, both.dir, both.new)
	p := start(t, both.dir, nil, "-c", "config.toml")
	state := p.configState()
	reply := p.command("config-get", "")
	arguments, _ := reply.Arguments.(wire.Value)
	for key, may := range map[string]bool{
		`"state-dir":"/etc"`: false, `"log-file":"/etc/x"`: false, `"access":{"owner":false}`: false, `"role":[]`: false,
		`"principal":[{"subject":"uid:1","role":"admin"}]`: false, `"auth":{"users-file":"/etc/shadow"}`: false, `"auth":{"tokens-file":"t"}`: false,
		`"audit":{"file":"/etc/x"}`: false, `"audit":{"reads":false}`: false, `"hook":[]`: false, `"hook":[{"name":"evil","exec":["/bin/sh"]}]`: false,
		`"metrics":{"listen":"127.0.0.1:0"}`: false, `"listen":[{"transport":"unix","path":"other"}]`: false,
		`"listen":[{"transport":"unix","path":"s","mode":"0666"}]`: false, `"listen":[{"transport":"tcp","address":"127.0.0.1:0","insecure":true,"anonymous":"admin"}]`: false,
		`"listen":[{"transport":"tcp","address":"127.0.0.1:0","cert":"/etc/passwd","key":"/etc/shadow"}]`: false,
		`"log-level":"warn"`: true, `"limits":{"max-rate":7}`: true,
	} {
		section := arguments
		var shown struct{ Rudderpost map[string]json.RawMessage }
		require.NoError(t, json.Unmarshal(section, &shown))
		name, value, _ := strings.Cut(key, ":")
		shown.Rudderpost[strings.Trim(name, `"`)] = json.RawMessage(value)
		text, err := json.Marshal(map[string]any{"Rudderpost": shown.Rudderpost})
		require.NoError(t, err)
		reply := p.command("config-test", string(text))
		if may {
			require.Equal(t, wire.CodeSuccess, reply.Code, "%s: %s", key, reply.Text)
			continue
		}
		require.ErrorIs(t, reply.Err(), errNotSettable, "%s: %s", key, reply.Text)
		refusal, ok := errors.AsType[*wire.Error](reply.Err())
		require.True(t, ok)
		require.Contains(t, fmt.Sprint(refusal.Fields), "/Rudderpost/"+strings.Trim(name, `"`), key)
	}
	require.Equal(t, state, p.configState())

	// A hidden secret means the value in force; another value is refused.
	var shown struct{ Rudderpost map[string]json.RawMessage }
	require.NoError(t, json.Unmarshal(arguments, &shown))
	require.Contains(t, string(shown.Rudderpost["hook"]), `"key": "***"`)
	text, err := json.Marshal(map[string]any{"Rudderpost": shown.Rudderpost})
	require.NoError(t, err)
	require.Equal(t, wire.CodeSuccess, p.command("config-set", string(text)).Code)
	require.Equal(t, state, p.configState(), "config-set of the output of config-get changes nothing")
	require.ErrorIs(t, p.command("config-set", strings.Replace(string(text), `"key":"***"`, `"key":"guess"`, 1)).Err(), errNotSettable)
	require.Equal(t, wire.CodeSuccess, p.command("config-set", strings.Replace(string(text), `"key":"***"`, `"key":"canary-77"`, 1)).Code, "a client may send the secret itself")
	record, err := os.ReadFile(filepath.Join(both.dir, "audit.jsonl"))
	require.NoError(t, err)
	require.Contains(t, string(record), `"config-set"`)
	for _, text := range []string{string(record), p.Out.String(), p.Err.String(), string(arguments)} {
		require.NotContains(t, text, "canary-77")
	}
	p.stop()
}
