package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"

	"github.com/stretchr/testify/require"
)

// A command of a hook has the level of the hook's introduction, and the hook calls the daemon back with the rights of the
// caller. The command hello is that of the example; the command rights calls back a command for admins.
func TestHookCallsBackWithTheRightsOfItsCaller(t *testing.T) {
	testkit.NeedProgram(t, "/usr/bin/python3", "python3")
	dir := testkit.ShortDir(t)
	sdk, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), "examples/hooks/rudderpost_hook.py"))
	require.NoError(t, err)
	hello, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), "examples/hooks/hello.py"))
	require.NoError(t, err)
	_, body, _ := strings.Cut(string(hello), "\n") // the python3 in PATH may belong to another user, which the daemon refuses
	for name, text := range map[string]string{
		"rudderpost_hook.py": string(sdk),
		"hello.py":           "#!/usr/bin/python3\n" + body,
		"rights.py": `#!/usr/bin/python3
from rudderpost_hook import command, run

@command("rights", "What the caller may.", access="write")
def rights(call):
    return {"hash": call.daemon("config-get")["hash"], "who": call.peer["subjects"]}

run()
`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
	}
	for _, role := range []string{"monitor", "operator", "admin"} {
		said, status := testdaemon.Steer(t, "", "token", "mint", filepath.Join(dir, "tokens"), role, "--role", role, "--to", filepath.Join(dir, role+".token"))
		require.Zero(t, status, said)
	}
	const config = `
[auth]
tokens-file = "tokens"
[audit]
file = "audit.jsonl"
[[listen]]
transport = "unix"
path = "s"
[[listen]]
transport = "http"
address = "127.0.0.1:0"
insecure = true
`
	file := filepath.Join(dir, "config.toml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	d := testkit.StartProgram(t, dir, nil, testkit.Program(t, "rudderpostd"), "-c", "config.toml")
	socket := "unix:" + d.Listening(t)
	var web string
	testkit.Eventually(t, func() bool {
		_, rest, found := strings.Cut(d.Out.String(), "listening on http://")
		web, _, _ = strings.Cut(rest, ";")
		return found && strings.Contains(rest, ";")
	}, "it does not listen")

	require.NoError(t, os.WriteFile(file, []byte(config+`
[[hook]]
name = "hello"
exec = ["hello.py"]
[[hook]]
name = "of-rights"
exec = ["rights.py"]
`), 0o600))
	said, status := testdaemon.Steer(t, "", "-s", socket, "config-reload")
	require.Zero(t, status, said)

	as := func(role string, args ...string) (string, int) {
		t.Helper()
		return testdaemon.Steer(t, "", append([]string{"-r", "-s", "http://" + web, "--token-file", filepath.Join(dir, role+".token")}, args...)...)
	}
	for _, test := range []struct {
		role   string
		args   []string
		status int
		want   string
	}{
		{"monitor", []string{"hello", "name=Ann"}, 0, `"greeting":"Hello, Ann!"`},
		{"monitor", []string{"hello", "nmae=Ann"}, 1, `Unsupported 'nmae' parameter.`},
		{"monitor", []string{"rights"}, 77, `"text":"'rights' is not allowed for token:monitor`},
		{"operator", []string{"rights"}, 77, `'config-get' is not allowed for token:operator`},
		{"admin", []string{"rights"}, 0, `"who":["token:admin"]`},
		{"monitor", []string{"describe-command", "command=hello"}, 0, `"owner":"hello"`},
		{"monitor", []string{"hook-list"}, 0, `{"commands":["rights"],"kind":"process","name":"of-rights",`},
	} {
		said, status := as(test.role, test.args...)
		require.Equal(t, test.status, status, "%s %s: %s", test.role, test.args, said)
		require.Contains(t, said, test.want, "%s %s", test.role, test.args)
	}

	// The record has the principal of the caller.
	asked := map[string]string{}
	for _, e := range testdaemon.Entries(t, filepath.Join(dir, "audit.jsonl")) {
		if e.Command == "config-get" && e.Event != record.Intent {
			asked[e.Principal] = string(e.Event)
		}
	}
	require.Equal(t, map[string]string{"token:operator": "denied", "token:admin": "outcome"}, asked)

	// A hook that writes garbage is killed and logged. The other hook still runs.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rights.py"), []byte(`#!/usr/bin/python3
import os
from rudderpost_hook import command, run

@command("rights", "Nonsense.", access="write")
def rights(call):
    os.write(1, b"Traceback: this is no frame\n")

run()
`), 0o755))
	said, status = testdaemon.Steer(t, "", "-s", socket, "config-reload")
	require.Zero(t, status, said)
	said, status = as("admin", "rights")
	require.Equal(t, 75, status, said)
	require.Contains(t, said, "the hook 'of-rights' ended while it ran 'rights': it wrote what is no frame to stdout, which is for nothing else")
	said, status = as("monitor", "hello")
	require.Zero(t, status, said)
	testkit.Eventually(t, func() bool {
		said, status := as("monitor", "hook-list")
		return status == 0 && regexp.MustCompile(`"name":"of-rights",[^}]*"restarts":1,[^}]*"state":"running"`).MatchString(said) &&
			strings.Contains(said, "it wrote what is no frame to stdout")
	}, "it is not started again, or nobody says why")
	require.Contains(t, d.Err.String(), "hook=of-rights")
}
