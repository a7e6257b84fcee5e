package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/transport/websocket"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A removableListener is a listener that a reload removes, with a dialer for it.
type removableListener struct {
	name   string
	config string // its [[listen]]
	at     transport.Dialer
}

// removableListeners returns a listener of each transport whose conns stay open between two commands.
func removableListeners(t *testing.T, dir string) []removableListener {
	t.Helper()
	id := tlsconf.ClientFrom(filepath.Join(dir, "run", "pki"), "")
	secure := func(kind, address string) string {
		return fmt.Sprintf("[[listen]]\ntransport = %q\npki = \"auto\"\naddress = %q\n", kind, address)
	}
	atTCP, atWS, atQUIC := testkit.Port(t), testkit.Port(t), testkit.Port(t)
	return []removableListener{
		{"unix", "[[listen]]\ntransport = \"unix\"\npath = \"more.sock\"\n", &unix.Transport{Path: filepath.Join(dir, "more.sock")}},
		{"tcp", secure("tcp", atTCP), &tcp.Transport{Address: atTCP, Client: id}},
		{"websocket", secure("websocket", atWS), &websocket.Transport{Address: atWS, Client: id}},
		{"quic", secure("quic", atQUIC), &quic.Transport{Address: atQUIC, Client: id}},
	}
}

const removedBase = "state-dir = \"run\"\n" + oneSocket

func (l removableListener) dial(t *testing.T) *client.Client {
	t.Helper()
	session, err := client.Dial(t.Context(), l.at)
	require.NoError(t, err)
	t.Cleanup(func() { _ = session.Close() })
	_, err = session.Do(t.Context(), wire.Request{Command: "version-get"})
	require.NoError(t, err)
	return session
}

// draining returns the number of drained conns in the reply to a transaction, or nil if the reply has none.
func draining(t *testing.T, reply wire.Reply) any {
	t.Helper()
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	var arguments map[string]any
	require.NoError(t, json.Unmarshal(reply.Arguments.(wire.Value), &arguments))
	require.NotEmpty(t, arguments["hash"])
	return arguments["draining"]
}

func requireSessionEnds(t *testing.T, session *client.Client) {
	t.Helper()
	testkit.Eventually(t, func() bool {
		_, err := session.Do(t.Context(), wire.Request{Command: "version-get"})
		return err != nil
	}, "the conn of the removed listener is open")
}

func TestReloadDrainsTheConnsOfARemovedListener(t *testing.T) {
	dir := testkit.ShortDir(t)
	listeners := removableListeners(t, dir)
	config := removedBase
	for _, l := range listeners {
		config += l.config
	}
	p := startIn(t, dir, config)
	p.urls(len(listeners) + 1)
	for i, l := range listeners {
		t.Run(l.name, func(t *testing.T) {
			idle, other := l.dial(t), l.dial(t)
			config = removedBase
			for _, l := range listeners[i+1:] {
				config += l.config
			}
			writeConfig(t, dir, config)
			reply := p.command("config-reload", "")
			require.EqualValues(t, 2, draining(t, reply))
			require.Equal(t, "Configuration successful. 2 conns of removed listeners are drained.", reply.Text)
			requireSessionEnds(t, idle)
			requireSessionEnds(t, other)
			require.Error(t, commandOver(l.at)())
			require.Nil(t, draining(t, p.command("config-reload", "")), "the second reload removes none")
		})
	}
	p.stop()
}

func TestReloadKeepsTheConnsOfARemovedListenerWithKeepConns(t *testing.T) {
	dir := testkit.ShortDir(t)
	listeners := removableListeners(t, dir)
	config := removedBase
	for _, l := range listeners {
		config += l.config
	}
	p := startIn(t, dir, config)
	p.urls(len(listeners) + 1)
	sessions := map[string]*client.Client{}
	for _, l := range listeners {
		sessions[l.name] = l.dial(t)
	}
	writeConfig(t, dir, removedBase+"[limits]\nkeep-conns = true\n")
	reply := p.command("config-reload", "")
	require.Nil(t, draining(t, reply))
	require.Equal(t, "Configuration successful.", reply.Text)
	for _, l := range listeners {
		require.Error(t, commandOver(l.at)(), l.name)
		_, err := sessions[l.name].Do(t.Context(), wire.Request{Command: "version-get"})
		require.NoError(t, err, l.name)
	}
	p.stop()
}

// The conn over which a reload came gets its reply, and is then closed.
func TestConnOfRemovedListenerGetsReplyOfItsReload(t *testing.T) {
	for _, command := range []string{"config-reload", "config-set"} {
		dir := testkit.ShortDir(t)
		for _, l := range removableListeners(t, dir) {
			t.Run(command+"/"+l.name, func(t *testing.T) {
				base := removedBase + "[[principal]]\nsubject = \"cert:admin\"\nrole = \"admin\"\n"
				p := startIn(t, dir, base+l.config)
				p.urls(2)
				session, idle := l.dial(t), l.dial(t)
				writeConfig(t, dir, base)
				arguments := wire.Value(`{"force":true}`)
				if command == "config-set" {
					arguments = wire.Value(`{"force":true,"Rudderpost":{"listen":[{"transport":"unix","path":"control.sock"}]}}`)
				}
				reply, err := session.Do(t.Context(), wire.Request{Command: command, Arguments: arguments})
				require.NoError(t, err)
				require.EqualValues(t, 2, draining(t, reply))
				requireSessionEnds(t, session)
				requireSessionEnds(t, idle)
				p.stop()
			})
		}
	}
}

// A command that does not end keeps its conn open until drain-timeout has passed.
func TestReloadClosesConnsAfterDrainTimeout(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeHook(t, dir, "endless")
	listeners := removableListeners(t, dir)
	base := removedBase + "[limits]\ndrain-timeout = \"300ms\"\n[[hook]]\nname = \"endless\"\nexec = [\"endless\"]\n"
	config := base
	for _, l := range listeners {
		config += l.config
	}
	p := startIn(t, dir, config)
	p.urls(len(listeners) + 1)
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		session := l.dial(t)
		go func() {
			_, err := session.Do(t.Context(), wire.Request{Command: "endless"})
			ended <- err
		}()
	}
	testkit.Eventually(t, func() bool {
		text := string(p.command("session-list", "").Arguments.(wire.Value))
		return strings.Count(text, `"endless"`) == len(listeners)
	}, "the commands do not run")
	writeConfig(t, dir, base)
	began := time.Now()
	require.EqualValues(t, len(listeners), draining(t, p.command("config-reload", "")))
	for range listeners {
		require.Error(t, <-ended)
	}
	require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
	testkit.Eventually(t, func() bool {
		return strings.Contains(p.Err.String(), "conns of a removed listener are closed before their commands are answered")
	}, "the end of the drain is not logged")
	p.stop()
}

// The conns of a replaced listener stay open. When the last listener at its address is removed, they are drained too.
func TestReloadDrainsTheConnsOfSupersededListenersWithTheLast(t *testing.T) {
	dir := testkit.ShortDir(t)
	l := removableListeners(t, dir)[1]
	files := strings.Replace(l.config, "pki = \"auto\"\n", "cert = \"run/pki/server.pem\"\nkey = \"run/pki/server.key\"\nclient-ca = \"run/pki/ca.pem\"\n", 1)
	p := startIn(t, dir, removedBase+l.config)
	p.urls(2)
	first := l.dial(t)
	writeConfig(t, dir, removedBase+files)
	require.Nil(t, draining(t, p.command("config-reload", "")))
	second := l.dial(t)
	_, err := first.Do(t.Context(), wire.Request{Command: "version-get"})
	require.NoError(t, err)
	writeConfig(t, dir, removedBase)
	require.EqualValues(t, 2, draining(t, p.command("config-reload", "")))
	requireSessionEnds(t, first)
	requireSessionEnds(t, second)
	p.stop()
}
