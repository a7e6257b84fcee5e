package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// withSecret returns a configuration whose hook has a secret.
func withSecret(secret string) string {
	return "state-dir = \"run\"\n" + oneSocket + "[[hook]]\nname = \"a\"\nexec = [\"hook-a\"]\nsecrets = { key = " + quoteTOML(secret) + " }\n"
}

// config-get hides a secret, config-set accepts the hidden value as unchanged, and config-write writes the secret to
// the file, whose mode gives no more users access.
func TestHookSecretsStayHidden(t *testing.T) {
	for _, secret := range []string{"canary-88", "***", `"\` + "\u00e4\u007f", ""} {
		t.Run(secret, func(t *testing.T) {
			dir := testkit.ShortDir(t)
			writeHook(t, dir, "hook-a")
			require.NoError(t, os.Chmod(writeConfig(t, dir, withSecret(secret)), 0o640))
			p := start(t, dir, nil, "-c", "config.toml")
			p.listening()
			hash, section := p.configHash(), p.configSection(nil)
			require.Contains(t, section, `"secrets":{"key":"***"}`)
			require.Equal(t, wire.CodeSuccess, p.command("config-set", `{"Rudderpost":`+section+`}`).Code)
			require.Equal(t, hash, p.configHash())
			other := p.command("config-set", `{"Rudderpost":`+strings.Replace(section, `"key":"***"`, `"key":"other"`, 1)+`}`)
			require.ErrorIs(t, other.Err(), errNotSettable)

			require.Equal(t, wire.CodeSuccess, p.command("config-write", "").Code)
			info, err := os.Stat(filepath.Join(dir, "config.toml"))
			require.NoError(t, err)
			require.EqualValues(t, 0o640, info.Mode().Perm())
			require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
			require.Equal(t, hash, p.configHash(), "the file has the secret")
			if secret == "canary-88" {
				require.NotContains(t, p.Out.String()+p.Err.String()+section, secret)
				text, err := os.ReadFile(filepath.Join(dir, "config.toml"))
				require.NoError(t, err)
				require.Contains(t, string(text), secret)
			}
			p.stop()
		})
	}
}

// The hash covers the secrets, and its key belongs to the installation.
func TestConfigHashIsKeyed(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeHook(t, dir, "hook-a")
	p := startIn(t, dir, withSecret("one"))
	one := p.configHash()
	shown := p.configSection(nil)
	writeConfig(t, dir, withSecret("two"))
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	two := p.configHash()
	require.NotEqual(t, one, two, "a secret that only the file has")
	require.Equal(t, shown, p.configSection(nil))
	require.Equal(t, wire.CodeConflict, p.command("config-reload", `{"if-hash":"`+one+`"}`).Code)
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", `{"if-hash":"`+two+`"}`).Code)
	writeConfig(t, dir, withSecret("one"))
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	require.Equal(t, one, p.configHash())
	p.stop()

	p = startIn(t, dir, withSecret("one"))
	require.Equal(t, one, p.configHash(), "after a restart")
	p.stop()
	key := filepath.Join(dir, "run", "config.key")
	info, err := os.Stat(key)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	require.NoError(t, os.Remove(key))
	p = startIn(t, dir, withSecret("one"))
	require.NotEqual(t, one, p.configHash(), "another installation")
	p.stop()
}
