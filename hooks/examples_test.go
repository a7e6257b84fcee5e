package hooks_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// examples copies the examples to a folder that no other user can change.
func examples(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("../examples/hooks")))
	return dir
}

func TestExamples(t *testing.T) {
	for _, each := range []struct {
		file, command string
		needs         [][2]string
	}{
		{"hello.py", "hello", [][2]string{{"python3", "python3"}}},
		{"hello.sh", "hello-again", [][2]string{{"sh", "dash"}, {"jq", "jq"}}},
	} {
		t.Run(each.file, func(t *testing.T) {
			t.Parallel()
			path := "PATH="
			for _, program := range each.needs {
				path += filepath.Dir(hookProgram(t, program[0], program[1])) + ":"
			}
			interpreter := hookProgram(t, each.needs[0][0], each.needs[0][1])
			d := start(t, nil)
			require.NoError(t, d.load(hooks.Config{
				Name: "example", Exec: []string{interpreter, filepath.Join(examples(t), each.file)}, Env: []string{path + os.Getenv("PATH")},
			}))
			c := d.as("monitor")
			require.JSONEq(t, `{"greeting":"Hello, world!","version":{"extended":"0.1.0-dev"}}`, text(ask(t, c, each.command, "")))
			require.JSONEq(t, `{"greeting":"Hello, \"Ann\" $(id) é\n!","version":{"extended":"0.1.0-dev"}}`,
				text(ask(t, c, each.command, `{"name":"\"Ann\" $(id) é\n"}`)))
			r := ask(t, c, each.command, `{"nom":"Ann"}`)
			require.Equal(t, wire.CodeError, r.Code)
			require.Equal(t, "Unsupported 'nom' parameter.", r.Text)

			many := make(chan wire.Reply, 6)
			for range cap(many) { // more than one at a time
				go func() { many <- ask(t, c, each.command, "") }()
			}
			for range cap(many) {
				require.Zero(t, (<-many).Code)
			}
			require.Equal(t, "running", d.status("example").State)
			require.Zero(t, d.status("example").Restarts)
		})
	}
}

func TestSmallestExampleHasFifteenLines(t *testing.T) {
	text, err := os.ReadFile("../examples/hooks/hello.py")
	require.NoError(t, err)
	require.LessOrEqual(t, strings.Count(string(text), "\n"), 15)
}

// The examples report failures, log lines, failed callbacks and parameters.
func TestExamplesReportFailuresAndLines(t *testing.T) {
	const python = `
from rudderpost_hook import Failed, command, log, run

@command("try", "Do what is asked.", access="read")
def do(call, what, n=0):
    print("printed")
    log("logged", "warn")
    if what == "fail":
        raise Failed("no luck", 4, {"code": "lost", "data": [1]})
    if what == "raise":
        raise ValueError("a value")
    if what == "unwritable":
        return float("nan")
    if what == "secret":
        return call.daemon("secret_get")
    return what

def load(parameters):
    if parameters != {"a": 1}:
        raise ValueError("a must be 1")

run(load)
`
	const shell = `
. "${0%/*}/rudderpost_hook.sh"
rp_add try "Do what is asked." read
try() {
	echo printed
	rp_log logged warn
	what=$(printf '%s' "$1" | jq -r .what)
	case $what in
	fail) rp_fail "no luck" 4 ;;
	raise) rp_fail "a value" ;;
	unwritable) rp_reply "{" ;;
	secret) if rp_daemon secret-get; then rp_reply "$(printf '%s' "$answer" | jq .arguments)"; else rp_fail "$(printf '%s' "$answer" | jq -r .text)" "$(printf '%s' "$answer" | jq .result)"; fi ;;
	*) rp_reply "\"$what\"" ;;
	esac
}
rp_run
`
	for name, each := range map[string]struct {
		program, debian, text string
		unwritable            wire.Reply
	}{
		"try.py": {"python3", "python3", python, wire.Reply{Code: 1, Text: "Out of range float values are not JSON compliant"}},
		"try.sh": {"sh", "dash", shell, wire.Reply{Code: 500, Text: "the hook wrote no JSON as its reply"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := hookProgram(t, each.program, each.debian)
			if name == "try.sh" {
				hookProgram(t, "jq", "jq")
			}
			dir := examples(t)
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(each.text), 0o600))
			cfg := hooks.Config{Name: "example", Exec: []string{program, filepath.Join(dir, name)}, Env: []string{"PATH=" + os.Getenv("PATH")}}
			d := start(t, nil)
			if name == "try.py" {
				require.EqualError(t, d.load(cfg), "hook 'example': it refuses: a must be 1")
			}
			cfg.Parameters = wire.Value(`{"a":1}`)
			require.NoError(t, d.load(cfg))
			c := d.as("admin")
			for what, want := range map[string]wire.Reply{
				"fail": {Code: 4, Text: "no luck"}, "raise": {Code: 1, Text: "a value"}, "unwritable": each.unwritable, "this": {},
			} {
				r := ask(t, c, "try", `{"what":"`+what+`"}`)
				require.Equal(t, want.Code, r.Code, r.Text)
				require.Contains(t, r.Text, want.Text)
			}
			require.Equal(t, `"the secret"`, text(ask(t, c, "try", `{"what":"secret"}`)))
			if name == "try.py" { // the shell's library chooses result and text only
				require.Equal(t, &wire.Error{Code: 4, Word: "lost", Text: "no luck", Data: wire.Value(`[1]`)}, ask(t, c, "try", `{"what":"fail"}`).Err())
			}
			r := ask(t, d.as("monitor"), "try", `{"what":"secret"}`)
			require.Equal(t, wire.CodeForbidden, r.Code)
			require.Equal(t, "not for a monitor", r.Text)
			d.eventually(func() bool {
				return contains(d.log.String(), "line=printed", `level=WARN msg="a hook says" hook=example line=logged`)
			}, "it is not in the log")
			require.Zero(t, d.status("example").Restarts)
		})
	}
}
