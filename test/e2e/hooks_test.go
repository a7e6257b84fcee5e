package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// An author writes a hook, loads it, breaks it and repairs it.
func TestHookIsLoadedBrokenAndRepaired(t *testing.T) {
	testkit.NeedProgram(t, "/usr/bin/python3", "python3")
	dir := testkit.ShortDir(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "hooks"), 0o755))
	sdk, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), "examples/hooks/rudderpost_hook.py"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hooks", "rudderpost_hook.py"), sdk, 0o644))
	mine := filepath.Join(dir, "hooks", "mine.py")
	write := func(body string) {
		t.Helper()
		require.NoError(t, os.WriteFile(mine, []byte("#!/usr/bin/python3\nfrom rudderpost_hook import command, run\n"+
			"@command(\"mine\", \"Mine.\", access=\"write\")\ndef mine(call):\n    "+body+"\n\nrun()\n"), 0o755))
	}
	config := func(more string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte("[[listen]]\ntransport = \"unix\"\npath = \"s\"\n"+more), 0o600))
	}
	const hook = "[[hook]]\nname = \"mine\"\nexec = [\"hooks/mine.py\"]\ntimeout = \"1s\"\n"
	config("")
	d := testkit.StartProgram(t, dir, nil, testkit.Program(t, "rudderpostd"), "-c", "config.toml")
	at := &unix.Transport{Path: d.Listening(t)}
	reload := func() wire.Reply { return testdaemon.Give(t, at, "config-reload", "{}") }
	hooks := func() string {
		list, _ := testdaemon.Give(t, at, "hook-list", "{}").Arguments.(wire.Value)
		return string(list)
	}
	require.Equal(t, wire.CodeUnsupported, testdaemon.Give(t, at, "mine", "{}").Code)

	write(`return {"version": call.daemon("version-get")["extended"][:5]}`)
	config(hook)
	require.Equal(t, wire.CodeSuccess, reload().Code)
	reply := testdaemon.Give(t, at, "mine", "{}")
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	require.Contains(t, string(reply.Arguments.(wire.Value)), `"version": "0.1.0"`)
	about, _ := testdaemon.Give(t, at, "describe-command", `{"command":"mine"}`).Arguments.(wire.Value)
	require.Contains(t, string(about), `"owner": "mine"`)
	require.Contains(t, string(about), `"access": "write"`)
	require.Contains(t, hooks(), `"state": "running"`)

	// A reload starts an edited program again, though the configuration is the same.
	write(`raise SystemExit(3)`)
	require.Equal(t, wire.CodeSuccess, reload().Code)
	reply = testdaemon.Give(t, at, "mine", "{}")
	require.Equal(t, wire.CodeShuttingDown, reply.Code)
	require.Contains(t, reply.Text, "the hook 'mine' ended while it ran 'mine': it ended with exit status 3")
	testkit.Eventually(t, func() bool { return strings.Contains(hooks(), "it ended with exit status 3") }, "hook-list does not say why")
	testkit.Eventually(t, func() bool { return strings.Contains(d.Err.String(), "a hook has ended") }, "the log does not say so")

	write("import time\n    time.sleep(60)")
	require.Equal(t, wire.CodeSuccess, reload().Code)
	reply = testdaemon.Give(t, at, "mine", "{}")
	require.Equal(t, wire.CodeTimeout, reply.Code)
	require.Equal(t, "the hook 'mine' took longer than 1s for 'mine'", reply.Text)

	// If the new program does not start, the old one still runs.
	require.NoError(t, os.WriteFile(mine, []byte("#!/usr/bin/python3\nprint(\"hello\")\n"), 0o755))
	reply = reload()
	require.Equal(t, wire.CodeError, reply.Code)
	require.Contains(t, reply.Text, "hook 'mine'")
	require.Equal(t, wire.CodeTimeout, testdaemon.Give(t, at, "mine", "{}").Code)

	write(`return "mended"`)
	require.NoError(t, d.Process.Signal(syscall.SIGHUP))
	testkit.Eventually(t, func() bool {
		reply := testdaemon.Give(t, at, "mine", "{}")
		text, err := json.Marshal(reply.Arguments)
		return err == nil && string(text) == `"mended"`
	}, "SIGHUP reads nothing")
	config("")
	require.Equal(t, wire.CodeSuccess, reload().Code)
	require.Equal(t, wire.CodeUnsupported, testdaemon.Give(t, at, "mine", "{}").Code)
	require.Equal(t, "[  ]", hooks())
	require.NoError(t, d.Process.Signal(syscall.SIGTERM))
	require.Zero(t, d.Wait(t))
}
