package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// An operator changes our configuration with kea-shell over HTTPS and with a password, in the steps of Kea: get, edit, test,
// set, write, reload.
func TestKeaShellChangesConfiguration(t *testing.T) {
	shell := testkit.NeedProgram(t, "kea-shell", "kea-ctrl-agent")
	dir := testkit.ShortDir(t)
	add := testkit.StartProgram(t, dir, func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader("correct horse\n") },
		testkit.Program(t, "steer"), "user", "add", "users", "ann", "--role", "admin")
	require.Zero(t, add.Wait(t), add.Err.String())
	const config = `
state-dir = "run"
[auth]
users-file = "users"
[[listen]]
transport = "unix"
path = "s"
[[listen]]
transport = "http"
address = "127.0.0.1:0"
pki = "auto"
[[listen]]
transport = "http"
address = "127.0.0.1:0"
insecure = true
`
	file := filepath.Join(dir, "config.toml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	d := testkit.StartProgram(t, dir, nil, testkit.Program(t, "rudderpostd"), "-c", "config.toml")
	d.Listening(t)
	port := func(scheme string) (port string) {
		testkit.Eventually(t, func() bool {
			if found := regexp.MustCompile(`listening on ` + scheme + `://127\.0\.0\.1:(\d+)`).FindStringSubmatch(d.Out.String()); found != nil {
				port = found[1]
			}
			return port != ""
		}, "it does not listen on %s", scheme)
		return port
	}
	pki := filepath.Join(dir, "run", "pki")
	for name, way := range map[string][]string{
		"certificate": {"--port", port("https"), "--ca", filepath.Join(pki, "ca.pem"), "--cert", filepath.Join(pki, "admin.pem"), "--key", filepath.Join(pki, "admin.key")},
		"password":    {"--port", port("http"), "--auth-user", "ann", "--auth-password", "correct horse"},
	} {
		t.Run(name, func(t *testing.T) {
			give := func(command, arguments string) wire.Reply {
				t.Helper()
				cmd := exec.Command(shell, append(append([]string{"--host", "127.0.0.1"}, way...), command)...)
				cmd.Stdin = strings.NewReader(arguments)
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", out)
				return oneReply(t, out)
			}
			require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
			require.Equal(t, wire.CodeSuccess, give("config-reload", "").Code)

			// kea-shell reads the arguments without their outer braces.
			got := testdaemon.Arguments(t, give("config-get", ""))
			inner := strings.TrimSuffix(strings.TrimPrefix(got, "{"), "}")
			edited := regexp.MustCompile(`"max-queued": ?4096`).ReplaceAllString(inner, `"max-queued": 5000`)
			require.NotEqual(t, inner, edited)

			reply := give("config-test", edited)
			require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
			require.Equal(t, got, testdaemon.Arguments(t, give("config-get", "")), "a test changes nothing")
			reply = give("config-set", edited)
			require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
			require.Equal(t, "Configuration successful.", reply.Text)
			require.Equal(t, testdaemon.Arguments(t, reply), testdaemon.Arguments(t, give("config-hash-get", "")))
			require.Contains(t, testdaemon.Arguments(t, give("config-get", "")), `5000`)

			reply = give("config-set", edited) // with the hash of the configuration before
			require.Equal(t, wire.CodeConflict, reply.Code, reply.Text)
			reply = give("config-set", `"Rudderpost": {"limits": {"max-queued": 0}}`)
			require.Equal(t, wire.CodeError, reply.Code)
			require.Contains(t, reply.Text, "limits.max-queued: must be at least 4")
			reply = give("config-set", `"Dhcp4": {}`)
			require.Equal(t, wire.CodeError, reply.Code)
			require.Equal(t, "Missing mandatory 'Rudderpost' parameter.", reply.Text)

			reply = give("config-write", "")
			require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
			require.Equal(t, "Configuration written to "+file+" successful", reply.Text)
			require.Equal(t, wire.CodeError, give("config-write", `"filename": "/tmp/other"`).Code)
			hash := testdaemon.Arguments(t, give("config-hash-get", ""))
			require.Equal(t, hash, testdaemon.Arguments(t, give("config-reload", "")), "what was written is what was in force")

			require.NoError(t, os.WriteFile(file, []byte("limits = 7\n"), 0o600))
			reply = give("config-reload", "")
			require.Equal(t, wire.CodeError, reply.Code)
			require.Contains(t, reply.Text, "Config reload failed: configuration error using file '"+file+"': "+file+":1: limits: ")
			require.Equal(t, hash, testdaemon.Arguments(t, give("config-hash-get", "")))
		})
	}
}
