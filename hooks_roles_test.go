package rudderpost_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/audit/record"

	"github.com/stretchr/testify/require"
)

// A hook's command is for whom its introduction says, and what it asks of the daemon it may ask for that
// caller only. hello is the example's; rights asks for what an admin alone may see.
func TestHooksAndRoles(t *testing.T) {
	needs(t, "/usr/bin/python3", "python3")
	dir := shortDir(t)
	sdk, err := os.ReadFile("examples/hooks/rudderpost_hook.py")
	require.NoError(t, err)
	hello, err := os.ReadFile("examples/hooks/hello.py")
	require.NoError(t, err)
	_, body, _ := strings.Cut(string(hello), "\n") // python3 in PATH may be somebody's own
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
		said, status := steer(t, "", "token", "mint", filepath.Join(dir, "tokens"), role, "--role", role, "--to", filepath.Join(dir, role+".token"))
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
	d := start(t, dir, nil, program(t, "rudderpostd"), "-c", "config.toml")
	socket := "unix:" + d.listening(t)
	var web string
	eventually(t, func() bool {
		_, rest, found := strings.Cut(d.out.String(), "listening on http://")
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
	said, status := steer(t, "", "-s", socket, "config-reload")
	require.Zero(t, status, said)

	as := func(role string, args ...string) (string, int) {
		t.Helper()
		return steer(t, "", append([]string{"-r", "-s", "http://" + web, "--token-file", filepath.Join(dir, role+".token")}, args...)...)
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

	// The record has whose rights those were.
	asked := map[string]string{}
	for _, e := range entries(t, filepath.Join(dir, "audit.jsonl")) {
		if e.Command == "config-get" && e.Event != record.Intent {
			asked[e.Principal] = string(e.Event)
		}
	}
	require.Equal(t, map[string]string{"token:operator": "denied", "token:admin": "outcome"}, asked)

	// One that speaks nonsense in the middle of its life is killed, and said to be; its neighbour lives.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rights.py"), []byte(`#!/usr/bin/python3
import os
from rudderpost_hook import command, run

@command("rights", "Nonsense.", access="write")
def rights(call):
    os.write(1, b"Traceback: this is no frame\n")

run()
`), 0o755))
	said, status = steer(t, "", "-s", socket, "config-reload")
	require.Zero(t, status, said)
	said, status = as("admin", "rights")
	require.Equal(t, 75, status, said)
	require.Contains(t, said, "the hook 'of-rights' ended while it ran 'rights': it wrote what is no frame to stdout, which is for nothing else")
	said, status = as("monitor", "hello")
	require.Zero(t, status, said)
	eventually(t, func() bool {
		said, status := as("monitor", "hook-list")
		return status == 0 && regexp.MustCompile(`"name":"of-rights",[^}]*"restarts":1,[^}]*"state":"running"`).MatchString(said) &&
			strings.Contains(said, "it wrote what is no frame to stdout")
	}, "it is not started again, or nobody says why")
	require.Contains(t, d.err.String(), "hook=of-rights")
}
