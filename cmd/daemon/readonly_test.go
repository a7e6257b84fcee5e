package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// config-set and config-test may reduce the rights of a listener, and never add any (decision 64).
func TestConfigSetOnlyNarrowsListeners(t *testing.T) {
	dir := testkit.ShortDir(t)
	web := testkit.Port(t)
	p := startIn(t, dir, "state-dir = \"run\"\n"+oneSocket+"[auth]\ntokens-file = \"tokens\"\n"+fmt.Sprintf(`
[[listen]]
transport = "websocket"
address = %q
pki = "auto"
max-access = "write"
allow-hosts = ["a.example", "b.example"]
allow-origins = ["https://a.example", "https://b.example"]
[[listen]]
transport = "tcp"
address = "127.0.0.1:0"
insecure = true
anonymous = "monitor"
`, web))
	p.urls(3)
	state := p.configState()
	with := func(n int, key string, value any) string {
		return `{"Rudderpost":` + p.configSection(func(section map[string]any) {
			listener := section["listen"].([]any)[n].(map[string]any)
			if value == nil {
				delete(listener, key)
			} else {
				listener[key] = value
			}
		}) + `}`
	}
	add := func(listener map[string]any) string {
		return `{"Rudderpost":` + p.configSection(func(section map[string]any) {
			section["listen"] = append(section["listen"].([]any), listener)
		}) + `}`
	}
	const ws, anonymous = 1, 2
	for name, c := range map[string]struct{ arguments, at, want string }{
		"higher ceiling":               {with(ws, "max-access", "admin"), "1/max-access", "cannot be raised over the channel: it is write"},
		"ceiling above the default":    {with(anonymous, "max-access", "write"), "2/max-access", "cannot be raised over the channel: it is read"},
		"another host":                 {with(ws, "allow-hosts", []string{"a.example", "evil.example"}), "1/allow-hosts", `cannot be extended over the channel: "evil.example" is new`},
		"another origin":               {with(ws, "allow-origins", []string{"https://evil.example"}), "1/allow-origins", `cannot be extended over the channel: "https://evil.example" is new`},
		"certificates for passwords":   {with(ws, "allow-origins", []string{}), "1/allow-origins", "the listener would then ask for certificates"},
		"without TLS":                  {with(ws, "insecure", true), "1/insecure", "cannot be set over the channel"},
		"another role of the rest":     {with(anonymous, "anonymous", "admin"), "2/anonymous", "cannot be set over the channel"},
		"another address":              {with(ws, "address", "127.0.0.1:0"), "1", "cannot be set over the channel"},
		"another transport":            {with(ws, "transport", "http"), "1", "cannot be set over the channel"},
		"one more":                     {add(map[string]any{"transport": "http", "address": "127.0.0.1:0", "pki": "auto"}), "3", "because a listener there gives rights"},
		"one more without TLS":         {add(map[string]any{"transport": "http", "address": "127.0.0.1:0", "insecure": true}), "3", "because a listener there gives rights"},
		"a second one at the same any": {add(map[string]any{"transport": "tcp", "address": "127.0.0.1:0", "insecure": true, "anonymous": "monitor"}), "3", "because a listener there gives rights"},
	} {
		for _, command := range []string{"config-set", "config-test"} {
			reply := p.command(command, c.arguments)
			require.ErrorIs(t, reply.Err(), errNotSettable, "%s: %s", name, reply.Text)
			require.Contains(t, fmt.Sprint(reply.Err()), "listen/"+c.at+"'", name)
			require.Contains(t, reply.Text, c.want, name)
		}
	}
	forced := `{"force":true,` + with(ws, "max-access", "admin")[1:]
	require.ErrorIs(t, p.command("config-set", forced).Err(), errNotSettable, "force does not give rights")
	require.Equal(t, state, p.configState())

	for _, c := range []struct {
		key   string
		value any
		want  any
	}{
		{"max-access", nil, "write"}, // a missing key keeps its value
		{"allow-hosts", nil, []any{"a.example", "b.example"}},
		{"allow-origins", nil, []any{"https://a.example", "https://b.example"}},
		{"max-access", "read", "read"},
		{"allow-hosts", []string{"b.example"}, []any{"b.example"}},
		{"allow-origins", []string{"https://b.example"}, []any{"https://b.example"}},
		{"allow-hosts", []string{}, nil},
	} {
		reply := p.command("config-set", with(ws, c.key, c.value))
		require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
		var section map[string]any
		require.NoError(t, json.Unmarshal([]byte(p.configSection(nil)), &section))
		require.Equal(t, c.want, section["listen"].([]any)[ws].(map[string]any)[c.key], c.key)
	}
	require.ErrorIs(t, p.command("config-set", with(ws, "max-access", "write")).Err(), errNotSettable, "it was lowered")
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	require.Equal(t, state, p.configState(), "a reload of the file restores the rights")
	p.stop()
}
