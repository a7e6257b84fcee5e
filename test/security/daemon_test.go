//go:build linux

package security_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// daemonWith starts the daemon with a configuration, in a directory that every user may enter.
func daemonWith(t *testing.T, config string, change func(*exec.Cmd)) (dir string, d *testkit.Child) {
	t.Helper()
	d, dir, _ = testdaemon.Start(t, config, change)
	return dir, d
}

// steerAs runs steer in dir with process attributes, such as a user; nil: those of the test.
func steerAs(t *testing.T, dir string, attributes *syscall.SysProcAttr, args ...string) (status int, said string) {
	t.Helper()
	p := testkit.StartProgram(t, dir, func(cmd *exec.Cmd) {
		if attributes != nil {
			cmd.SysProcAttr = attributes
		}
	}, testkit.Program(t, "steer"), args...)
	status = p.Wait(t)
	return status, p.Out.String() + p.Err.String()
}

func user(uid uint32, groups ...uint32) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: groups}}
}

// ownNamespace returns the attributes of a process that is root in a user namespace of its own. Outside of it the process
// has the user uid.
func ownNamespace(uid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Setpgid: true, Cloneflags: syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
		Credential:  &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: true},
	}
}

const openSocket = `
[[listen]]
transport = "unix"
path = "s"
mode = "0666"
`

// Without any rule in the configuration, the owner is admin, the group of the socket may read, and other users have no access.
// A process that is root in a user namespace has the rights of its user outside.
func TestDefaultRulesGiveAccessToOwnerAndGroupOnly(t *testing.T) {
	testkit.NeedRoot(t)
	dir, _ := daemonWith(t, openSocket+"group = \"4711\"\n", nil)
	for _, test := range []struct {
		name               string
		who                *syscall.SysProcAttr
		look, change, none int
	}{
		{"the owner", nil, 0, 0, 2},
		{"a member of the socket's group", user(12345, 4711), 0, 77, 2},
		{"another user", user(12345, 4712), 77, 77, 77},
		{"root of another namespace", ownNamespace(12345), 77, 77, 77},
	} {
		t.Run(test.name, func(t *testing.T) {
			for command, want := range map[string]int{"status-get": test.look, "log-level-set level=info": test.change, "no-such": test.none} {
				status, said := steerAs(t, dir, test.who, append([]string{"-s", "unix:s"}, strings.Fields(command)...)...)
				require.Equal(t, want, status, "%s: %s", command, said)
			}
		})
	}
}

// A daemon in a user namespace gives no access to users that the namespace does not map: all of these have one number there.
func TestDaemonInANamespaceRefusesUnmappedUsers(t *testing.T) {
	testkit.NeedRoot(t)
	dir := testkit.ShortDir(t)
	require.NoError(t, os.Chown(dir, 12345, 12345))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte(openSocket+"[[principal]]\nsubject = \"uid:65534\"\nrole = \"admin\"\n"), 0o644))
	d := testkit.StartProgram(t, dir, func(cmd *exec.Cmd) { cmd.SysProcAttr = ownNamespace(12345) },
		testkit.Program(t, "rudderpostd"), "-c", "config.toml", "--trust-owner", "65534") // the owner of / is not mapped in the namespace
	d.Listening(t)
	for _, test := range []struct {
		name   string
		who    *syscall.SysProcAttr
		status int
	}{
		{"root inside the namespace", user(12345), 0},
		{"root outside", nil, 77},
		{"a user outside", user(4711), 77},
		{"the user 65534 outside", user(65534), 77},
	} {
		status, said := steerAs(t, dir, test.who, "-s", "unix:s", "status-get")
		require.Equal(t, test.status, status, "%s: %s", test.name, said)
		if test.status != 0 {
			require.Contains(t, said, "unmapped")
		}
	}
}

// The name of the client's own socket proves nothing. (snapd, CVE-2019-7304)
func TestNameOfTheClientsSocketGivesNoRights(t *testing.T) {
	testkit.NeedRoot(t)
	dir, _ := daemonWith(t, openSocket, nil)
	python := testkit.NeedProgram(t, "/usr/bin/python3", "python3")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "x"), 0o777))
	require.NoError(t, os.Chmod(filepath.Join(dir, "x"), 0o777))
	p := testkit.StartProgram(t, dir, func(cmd *exec.Cmd) { cmd.SysProcAttr = user(12345) }, python, "-c", `
import socket
s = socket.socket(socket.AF_UNIX)
s.bind("x/a;uid=0;gid=0;pid=1;uid:0")
s.connect("s")
s.send(b'{"command":"shutdown"}')
print(s.recv(10000).decode())`)
	require.Zero(t, p.Wait(t), p.Err.String())
	require.Contains(t, p.Out.String(), `"result": 403, "text": "'shutdown' is not allowed for uid:12345"`)
}

// testdata/roles.txt has the commands of each role, so that a review shows a new command or a changed level.
func TestCommandsOfEachRoleAreThoseOfTheFile(t *testing.T) {
	dir := testkit.ShortDir(t)
	roles := []string{"monitor", "operator", "admin"}
	for _, role := range roles {
		status, said := steerAs(t, dir, nil, "token", "mint", "tokens", role, "--role", role, "--to", role+".token")
		require.Zero(t, status, said)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte(openSocket+`
[auth]
tokens-file = "tokens"
[audit]
file = "audit.jsonl"
[[listen]]
transport = "http"
address = "127.0.0.1:0"
insecure = true
`), 0o600))
	d := testkit.StartProgram(t, dir, nil, testkit.Program(t, "rudderpostd"), "-c", "config.toml")
	web := "http://" + d.ListeningOn(t, "http")
	text := ""
	for _, role := range roles {
		status, said := steerAs(t, dir, nil, "-r", "-s", web, "--token-file", role+".token", "list-commands")
		require.Zero(t, status, said)
		var reply struct{ Arguments []string }
		require.NoError(t, json.Unmarshal([]byte(said), &reply))
		text += role + ": " + strings.Join(reply.Arguments, " ") + "\n"
	}
	want, err := os.ReadFile("testdata/roles.txt")
	require.NoError(t, err)
	require.Equal(t, string(want), text)
}

// On a full disk the daemon refuses commands that change something, and answers the others. When the disk has room again, it
// runs all commands. The record has the refusals of the meantime.
func TestFullDiskStopsChangesOnly(t *testing.T) {
	testkit.NeedRoot(t)
	dir := testkit.ShortDir(t)
	disk := filepath.Join(dir, "disk")
	require.NoError(t, os.Mkdir(disk, 0o700))
	require.NoError(t, syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte(openSocket+"[audit]\nfile = \"disk/audit.jsonl\"\n"), 0o600))
	d := testkit.StartProgram(t, dir, nil, testkit.Program(t, "rudderpostd"), "-c", "config.toml")
	path := d.Listening(t)
	conn, err := client.Dial(t.Context(), &unix.Transport{Path: path})
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	give := func(command, arguments string) wire.Reply {
		reply, err := conn.Do(t.Context(), wire.Request{Command: command, Arguments: wire.Value(arguments)})
		require.NoError(t, err)
		return reply
	}
	filler := filepath.Join(disk, "filler")
	require.NoError(t, os.WriteFile(filler, make([]byte, 44<<10), 0o600))
	var last wire.Reply
	changed := 0
	for range 1000 {
		if last = give("log-level-set", `{"level":"warn"}`); last.Code != 0 {
			break
		}
		changed++
	}
	require.Equal(t, wire.CodeShuttingDown, last.Code)
	require.Contains(t, last.Text, "no space left on device")
	require.Equal(t, wire.CodeSuccess, give("status-get", `{}`).Code)
	require.Equal(t, wire.CodeShuttingDown, give("log-level-set", `{"level":"info"}`).Code)
	require.Equal(t, `"warn"`, level(t, give("log-level-get", `{}`)))
	require.Contains(t, d.Err.String(), "no space left on device")

	require.NoError(t, os.Remove(filler))
	testkit.Eventually(t, func() bool { return give("log-level-set", `{"level":"error"}`).Code == 0 }, "it does not go on")
	require.NoError(t, d.Process.Signal(syscall.SIGTERM))
	require.Zero(t, d.Wait(t))
	file := filepath.Join(disk, "audit.jsonl")
	summary, err := record.VerifyFiles(file)
	require.NoError(t, err, "%+v", summary)
	outcomes := 0
	for _, e := range testdaemon.Entries(t, file) {
		if e.Command == "log-level-set" && e.Event == record.Outcome && e.Result == 0 {
			outcomes++
		}
	}
	require.Equal(t, changed+1, outcomes)
}

func level(t *testing.T, reply wire.Reply) string {
	var arguments struct{ Level json.RawMessage }
	raw, _ := reply.Arguments.(wire.Value)
	require.NoError(t, json.Unmarshal(raw, &arguments))
	return string(arguments.Level)
}

// The text of a client cannot add a line to the log or to the record, and cannot control a terminal.
func TestTextOfAClientForgesNoLineOfLogOrRecord(t *testing.T) {
	const name = "x\n{\"level\":\"INFO\",\"msg\":\"forged\"}\r\x1b]0;owned\x07\u202e\u2066\x00\x7f\u0085\u2028"
	for _, format := range []string{"text", "json"} {
		dir, d := daemonWith(t, "log-format = \""+format+"\"\n"+openSocket+"[audit]\nfile = \"audit.jsonl\"\narguments = \"clear\"\n", nil)
		quoted, err := json.Marshal(name)
		require.NoError(t, err)
		reply := testdaemon.Ask(t, filepath.Join(dir, "s"), `{"command":`+string(quoted)+`,"arguments":{"x":`+string(quoted)+`}}`)
		require.Equal(t, wire.CodeUnsupported, reply.Code)
		require.NoError(t, d.Process.Signal(syscall.SIGTERM))
		require.Zero(t, d.Wait(t))
		record, err := os.ReadFile(filepath.Join(dir, "audit.jsonl"))
		require.NoError(t, err)
		status, shown := steerAs(t, dir, nil, "audit", "show", "audit.jsonl")
		require.Zero(t, status)
		for _, text := range []string{d.Err.String(), string(record), shown} {
			for line := range strings.Lines(text) {
				require.False(t, strings.HasPrefix(line, `{"level":"INFO","msg":"forged"`), line)
				require.False(t, strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\n\r\x1b\x07\x00\x7f\u0085\u202e\u2066\u2028"), "%q", line)
			}
			require.Contains(t, text, "forged")
		}
	}
}

// The test puts secrets into all places that take some. No output of the daemon or of steer has them.
func TestSecretsAppearInNoOutput(t *testing.T) {
	const bird = "canary-2f9c41d7"
	dir := testkit.ShortDir(t)
	config := openSocket + `
[[listen]]
transport = "http"
address = "127.0.0.1:0"
insecure = true
[[listen]]
transport = "websocket"
address = "127.0.0.1:0"
pki = "auto"
[auth]
users-file = "run/users"
tokens-file = "run/tokens"
[audit]
file = "run/audit.jsonl"
arguments = "clear"
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte("state-dir = \"run\"\nlog-level = \"debug\"\n"+config), 0o600))
	d := testkit.StartProgram(t, dir, nil, testkit.Program(t, "rudderpostd"), "-c", "config.toml")
	d.Listening(t)
	testkit.Eventually(t, func() bool { return strings.Contains(d.Out.String(), "first.token\n") }, "it does not start")

	var outputs []string
	steer := func(stdin string, args ...string) {
		p := testkit.StartProgram(t, dir, func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader(stdin) }, testkit.Program(t, "steer"), args...)
		p.Wait(t)
		outputs = append(outputs, p.Out.String(), p.Err.String())
	}
	secret := func(name, text string) string {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600))
		return name
	}
	steer(bird+"\n", "user", "add", "run/users", "ann", "--role", "operator")
	steer(bird+"-2\n", "user", "passwd", "run/users", "ann")
	steer("", "user", "list", "run/users")
	steer("", "token", "mint", "run/tokens", "ci", "--role", "monitor", "--to", "ci.token")
	token, err := os.ReadFile(filepath.Join(dir, "ci.token"))
	require.NoError(t, err)
	key, err := os.ReadFile(filepath.Join(dir, "run", "pki", "admin.key"))
	require.NoError(t, err)
	hashes, err := os.ReadFile(filepath.Join(dir, "run", "users"))
	require.NoError(t, err)
	sums, err := os.ReadFile(filepath.Join(dir, "run", "tokens"))
	require.NoError(t, err)
	secrets := []string{
		bird, strings.TrimSpace(string(token)), strings.Split(string(key), "\n")[1],
		hash(string(hashes)), hash(strings.TrimSpace(string(sums))),
	}

	web := []string{"-s", "wss://" + d.ListeningOn(t, "wss"), "--ca", "run/pki/ca.pem"}
	for _, args := range [][]string{
		append(web, "--user", "ann", "--password-file", secret("right", bird+"-2")),
		append(web, "--user", "ann", "--password-file", secret("wrong", bird+"-3")),
		append(web, "--user", bird+"-4 @", "--password-file", "wrong"),
		append(web, "--token-file", secret("t", "rpt_ci_"+bird)),
		append(web, "--token-file", secret("t2", bird)),
		append(web, "--token-file", "ci.token"),
		append(web, "--pki", "run/pki"),
		{"-s", "http://" + d.ListeningOn(t, "http"), "--user", "ann", "--password-file", "right"},
		{"-s", "unix:s"},
	} {
		status, said := steerAs(t, dir, nil, append(slices.Clone(args), "-r", "list-commands")...)
		outputs = append(outputs, said)
		if status != 0 {
			continue
		}
		_, rest, _ := strings.Cut(said, "[")
		list, _, _ := strings.Cut(rest, "]")
		for _, name := range strings.Split(list, ",") {
			if name = strings.Trim(name, `"`); name != "shutdown" {
				steer("", append(slices.Clone(args), name)...)
				steer("", append(slices.Clone(args), name, `command=config-get`)...)
			}
		}
	}
	argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", d.Process.Pid))
	require.NoError(t, err)
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", d.Process.Pid))
	require.NoError(t, err)
	require.NoError(t, d.Process.Signal(syscall.SIGQUIT)) // the daemon prints the stacks of all goroutines
	<-d.Ended
	record, err := os.ReadFile(filepath.Join(dir, "run", "audit.jsonl"))
	require.NoError(t, err)
	require.Contains(t, string(record), `"login-refused"`)
	require.Contains(t, d.Err.String(), "goroutine ")
	steer("", "audit", "show", "run/audit.jsonl")
	outputs = append(outputs, string(argv), string(environment), d.Out.String(), d.Err.String(), string(record))
	for _, output := range outputs {
		for _, secret := range secrets {
			output := strings.ReplaceAll(output, bird+"-4", "") // a claimed name is no secret; the log must have it
			require.False(t, strings.Contains(output, secret), "%q in %.2000q", secret, output)
		}
	}
}

// hash returns the last field of the text of a users or tokens file.
func hash(text string) string {
	fields := strings.Fields(text)
	return fields[len(fields)-1]
}
