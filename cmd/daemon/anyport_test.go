package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// Listeners that ask for any port keep the one that they have got while the configuration changes, also
// two that are written alike, and one of them that changes.
func TestAnyPortStays(t *testing.T) {
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
		arguments, _ := p.give("status-get", "").Arguments.(wire.Value)
		require.NoError(t, json.Unmarshal(arguments, &status))
		require.Len(t, status.Sockets.Open, n)
		return status.Sockets.Open
	}
	before := urls(4)
	reload := func(config string) {
		t.Helper()
		writeConfig(t, dir, config)
		reply := p.give("config-reload", "")
		require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	}
	reload(two + "[limits]\nmax-queued = 17\n")
	require.Equal(t, before, urls(4))
	require.Equal(t, 4, strings.Count(p.Out.String(), "listening on "), "it has opened others")
	reload(strings.Replace(two, "pki = \"auto\"\n", "insecure = true\nanonymous = \"monitor\"\n", 1))
	before[1] = strings.Replace(before[1], "tls:", "tcp:", 1)
	require.Equal(t, before, urls(4))

	reply := p.set(setLevel("warn"))
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	require.Equal(t, before, urls(4))

	reload(strings.Replace(two, "[[listen]]\ntransport = \"tcp\"\naddress = \"127.0.0.1:0\"\npki = \"auto\"\n", "", 1))
	require.Equal(t, slices.Delete(before, 1, 2), urls(3), "the first of two is gone, the second stays")
}
