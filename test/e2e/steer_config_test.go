package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"

	"github.com/stretchr/testify/require"
)

// An admin edits the result of config-get and sets it with config-set. It is in force then, with the secrets and the keys
// that cannot be set over the channel. A second edit of the same text is refused, since its hash is out of date.
func TestSteerEditsConfiguration(t *testing.T) {
	dir := testkit.ShortDir(t)
	hook := filepath.Join(dir, "hook")
	require.NoError(t, os.WriteFile(hook, []byte(`#!/bin/sh
read -r hello
printf '%s\n' "$hello" >>`+hook+`.hello
echo '{"introduce":{"commands":[]}}'
while read -r line; do :; done
`), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte(`
state-dir = "run"
[[listen]]
transport = "unix"
path = "s"
[[listen]]
transport = "tcp"
address = "127.0.0.1:0"
pki = "auto"
[audit]
file = "run/audit.jsonl"
[[principal]]
subject = "cert:ops"
role = "monitor"
[[hook]]
name = "quiet"
exec = ["hook"]
[hook.parameters]
zone = "a.example"
[hook.secrets]
password = "canary-71"
`), 0o600))
	p := testkit.StartProgram(t, dir, nil, testkit.Program(t, "rudderpostd"), "-c", "config.toml")
	at := "unix:" + p.Listening(t)
	give := func(stdin string, args ...string) (string, int) {
		t.Helper()
		return testdaemon.Steer(t, stdin, append([]string{"-s", at}, args...)...)
	}
	got, status := give("", "-a", "config-get")
	require.Zero(t, status, got)
	require.NotContains(t, got, "canary-71")
	require.Contains(t, got, `"***"`)
	edited := strings.Replace(got, `"max-rate": 0`, `"max-rate": 5000`, 1)
	require.NotEqual(t, got, edited)

	said, status := give(edited, "config-test", "-")
	require.Zero(t, status, said)
	said, status = give(edited, "config-set", "-")
	require.Zero(t, status, said)
	now, status := give("", "-a", "config-get")
	require.Zero(t, status, now)
	section := func(text string) string { return text[:strings.LastIndex(text, `"hash"`)] }
	require.Equal(t, section(edited), section(now))
	require.NotEqual(t, got, now)

	// The old hash is refused from a file too.
	file := filepath.Join(dir, "c.json")
	require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	for _, command := range []string{"config-test", "config-set"} {
		said, status = give("", command, "@"+file)
		require.Equal(t, 4, status, said)
		require.Contains(t, said, "the configuration is not the one with the hash that was given; get it again")
	}
	said, status = give("", "-a", "config-set", "@"+file)
	require.Equal(t, 4, status)
	require.Contains(t, said, `"result": 4`)

	// A whole reply is refused as arguments, and the text says what to do.
	whole, status := give("", "config-get")
	require.Zero(t, status)
	said, status = give(whole, "config-set", "-")
	require.Equal(t, 1, status)
	require.Contains(t, said, "Missing mandatory 'Rudderpost' parameter.")
	require.Contains(t, said, "steer -a")

	said, status = give("", "config-write")
	require.Zero(t, status, said)
	hash, status := give("", "-a", "config-hash-get")
	require.Zero(t, status)
	said, status = give("", "-a", "config-reload")
	require.Zero(t, status, said)
	require.Equal(t, hash, said)
	told, err := os.ReadFile(hook + ".hello")
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(told), `"password":"canary-71"`), "it was started again, though nothing of it has changed:\n%s", told)
}
