package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// config-write and the channel keep all values that hooks and roles can have.
func TestWrittenConfigReadsBackEqual(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":        "",
		"dates":          "parameters = { a = 1979-05-27T07:32:00Z, b = 1979-05-27T07:32:00.999-07:00, c = 1979-05-27T07:32:00, d = 1979-05-27, e = 07:32:00 }",
		"numbers":        "parameters = { a = 9223372036854775807, b = -9223372036854775808, c = 1e300, d = 0.1, e = -0.0, f = 0x7f, g = 1_000, h = 5.0 }",
		"texts":          `parameters = { a = "\u0000\u007f\n\"\\", b = 'x"y', c = "\U0001F600", "" = "", "a.b" = 1, 'q"q' = 2, "ü" = 3 }`,
		"lists":          "parameters = { a = [], b = [[], [1, [2]]], c = [1, \"x\", 2.5, true, {d = 1}], e = [{}, {f = []}] }",
		"tables":         "parameters = { a = {}, b = { c = { d = { } } } }",
		"list of tables": "[[hook.parameters.target]]\nhost = \"a\"\n[[hook.parameters.target]]\nhost = \"b\"\n[hook.parameters.target.more]\nx = 1",
		"secrets":        `secrets = { a = "\u0000\u007f\n\"\\", "x.y" = "***", "" = "" }`,
		"env":            "env = [\"A=b c\", \"EMPTY=\"]\ntimeout = \"1m30s\"\nmax-output = 12345",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := writeConfig(t, dir, oneSocket+"[[role]]\nname = \"x\"\nallow = [\"read\"]\narguments = [{commands = [\"log-level-set\"], pointer = \"/level\", values = [\"info\", 9007199254740993, true, 0.5]}]\n"+
				"[[hook]]\nname = \"a\"\nexec = [\"hook-a\", \"-x\"]\n"+text+"\n")
			c, err := load(path)
			require.NoError(t, err)
			in, err := c.encodeWithSecrets()
			require.NoError(t, err)
			for range 2 { // as read from the file, and as decoded from the channel
				written, err := c.encodeTOML()
				require.NoError(t, err)
				require.NoError(t, c.checkReadBack(written))
				require.NoError(t, os.WriteFile(path, written, 0o600))
				again, err := load(path)
				require.NoError(t, err)
				out, err := again.encodeWithSecrets()
				require.NoError(t, err)
				require.Equal(t, string(in), string(out))
				c, err = c.clone()
				require.NoError(t, err)
				require.NoError(t, c.complete())
			}
		})
	}
	example, err := os.ReadFile(filepath.Join("..", "..", "config.toml.example"))
	require.NoError(t, err)
	c, err := load(writeConfig(t, t.TempDir(), string(example)))
	require.NoError(t, err)
	written, err := c.encodeTOML()
	require.NoError(t, err)
	require.NoError(t, c.checkReadBack(written))
}
