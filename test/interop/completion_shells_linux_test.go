package interop_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A lineEditor is an interactive shell on a pseudo-terminal, with steer's completion script loaded.
type lineEditor struct {
	t      *testing.T
	keys   *os.File       // the test's end of the pseudo-terminal
	shown  testkit.Output // what the shell has written
	canary string         // a file that exists if a payload has run
	turn   int
	seen   int // bytes of shown that earlier calls have read
}

// shells has for each shell its packages and its start file, which loads the completion script.
var shells = map[string]struct {
	packages [][2]string
	file     string
	args     []string
	start    string
}{
	"bash": {
		packages: [][2]string{{"bash", "bash"}, {"/usr/share/bash-completion/bash_completion", "bash-completion"}},
		file:     ".bashrc",
		start: "PS1='READY$ '; bind 'set bell-style none'; bind 'set page-completions off'; bind 'set completion-query-items 9999'\n" +
			". /usr/share/bash-completion/bash_completion; . %s\n",
	},
	"bash alone": {
		packages: [][2]string{{"bash", "bash"}},
		file:     ".bashrc",
		start:    "PS1='READY$ '; bind 'set bell-style none'; bind 'set page-completions off'; bind 'set completion-query-items 9999'\n. %s\n",
	},
	"zsh": {
		packages: [][2]string{{"zsh", "zsh"}},
		file:     ".zshrc",
		args:     []string{"-o", "no_global_rcs"},
		start:    "PS1='READY$ '; LISTMAX=9999; unsetopt beep; autoload -Uz compinit; compinit -u -D; . %s\n",
	},
	"fish": {
		packages: [][2]string{{"fish", "fish"}},
		file:     ".config/fish/config.fish",
		start:    "function fish_prompt; echo 'READY$ '; end; function fish_greeting; end; source %s\n",
	},
}

// startShell starts a shell whose PATH finds the steer program under test.
func startShell(t *testing.T, name string) *lineEditor {
	t.Helper()
	shell := shells[name]
	for _, p := range shell.packages {
		if !strings.HasPrefix(p[0], "/") || !testkit.Exists(p[0]) {
			testkit.NeedProgram(t, p[0], p[1])
		}
	}
	home := testkit.ShortDir(t)
	bin := filepath.Dir(testkit.ProgramWithoutRace(t, "steer"))
	script := filepath.Join(home, "steer-completion")
	name, _, _ = strings.Cut(name, " ")
	text, err := exec.Command(filepath.Join(bin, "steer"), "--completion", name).Output()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(script, text, 0o600))
	require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(home, shell.file)), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, shell.file), fmt.Appendf(nil, shell.start, script), 0o600))

	e := &lineEditor{t: t, canary: filepath.Join(home, "canary")}
	require.NoError(t, os.Mkdir(filepath.Join(home, "bin"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, "bin", "planted"), []byte("#!/bin/sh\n>"+e.canary+"\n"), 0o700))

	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 60, Col: 230}))
	cmd := exec.Command(name, append(slices.Clone(shell.args), "-i")...)
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "ZDOTDIR=" + home, "PATH=" + bin + ":" + home + "/bin:/usr/bin:/bin", "TERM=xterm", "LANG=C.UTF-8"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Start())
	require.NoError(t, tty.Close())
	e.keys = keys
	var read sync.WaitGroup
	read.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := keys.Read(buf)
			_, _ = e.shown.Write(buf[:n])
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = keys.Close()
		read.Wait()
	})
	e.waitIdle()
	return e
}

// run has the shell run a line, and returns when the shell reads keys again. Keys that a shell receives while a
// command runs are handled by the terminal and not by its line editor, which would lose a Ctrl-U or a TAB.
func (e *lineEditor) run(line string) {
	e.t.Helper()
	e.press(line + "\r")
	e.waitIdle()
}

// press writes keys as a person at the keyboard does.
func (e *lineEditor) press(keys string) {
	e.t.Helper()
	_, err := e.keys.WriteString(keys)
	require.NoError(e.t, err)
}

// waitIdle clears the line, makes the shell print a word of its own, and waits for it. The shell has handled all earlier
// keys then.
func (e *lineEditor) waitIdle() {
	e.t.Helper()
	e.turn++
	// The typed text does not contain the word, since the shell joins it from two parts.
	e.press(fmt.Sprintf("\x15echo idle''-%d\r", e.turn))
	want := fmt.Sprintf("idle-%d", e.turn)
	deadline := time.Now().Add(testkit.Timeout)
	for {
		// The shell has the terminal in its own mode again when it has written the next prompt.
		if _, behind, found := strings.Cut(e.shown.String()[e.seen:], want); found && strings.Contains(behind, "READY$ ") {
			e.seen = len(e.shown.String())
			return
		}
		if time.Now().After(deadline) {
			require.Fail(e.t, "the shell does not come back", "%q", e.shown.String())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// hostileDaemon answers list-commands and describe-command over a UNIX socket, with the given names and properties.
func hostileDaemon(t *testing.T, commands []string, properties map[string]any) (socket string, requests func() []string) {
	t.Helper()
	socket = filepath.Join(testkit.ShortDir(t), "s")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	var conns sync.WaitGroup
	var mu sync.Mutex
	var seen []string
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				line, _ := bufio.NewReader(conn).ReadString('\n')
				var request struct{ Command string }
				_ = json.Unmarshal([]byte(line), &request)
				mu.Lock()
				seen = append(seen, line)
				mu.Unlock()
				reply := map[string]any{"result": 0}
				switch request.Command {
				case "list-commands":
					reply["arguments"] = commands
				case "describe-command":
					reply["arguments"] = map[string]any{"arguments": map[string]any{"type": "object", "properties": properties}}
				}
				_ = json.NewEncoder(conn).Encode(reply)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
	return socket, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

// payloads are texts that run the program "planted" if a shell evaluates them. A file can have each as its
// name.
var payloads = []string{
	"`planted`", "$(planted)", "(planted)", "x;planted;", "x\nplanted\n", "${x:=`planted`}", "\\$(planted)",
}

// A place is where a hostile daemon puts texts, and the words whose completion asks for them.
type place struct {
	name  string
	words string
	reply func(texts []string) (commands []string, properties map[string]any)
}

var places = []place{
	{"command name", "", func(texts []string) ([]string, map[string]any) { return texts, nil }},
	{"property name and description", "honest ", func(texts []string) ([]string, map[string]any) {
		properties := map[string]any{}
		for _, text := range texts {
			properties[text] = map[string]any{"type": "string", "description": text}
		}
		return []string{"honest"}, properties
	}},
	{"enum value and description", "honest ", func(texts []string) ([]string, map[string]any) {
		return []string{"honest"}, map[string]any{"level": map[string]any{"description": texts[0], "enum": texts}}
	}},
	{"description of two equal values", "honest l", func(texts []string) ([]string, map[string]any) {
		return []string{"honest"}, map[string]any{"level": map[string]any{"description": texts[0], "enum": []string{"debug", "debug"}}}
	}},
}

// complete presses TAB twice after a line, and reports whether a payload has run. The first TAB inserts a text; at the second
// one the completion script reads it.
func (e *lineEditor) complete(line string) (ran bool) {
	e.t.Helper()
	e.press(line + "\t\t")
	e.waitIdle()
	ran = testkit.Exists(e.canary)
	_ = os.Remove(e.canary)
	return ran
}

// TestTabRunsNothingOfAHostileDaemon: a shell that completes names, values and descriptions of a daemon evaluates none of
// them. If there is one candidate, the shell inserts it; of two it inserts their common prefix.
func TestTabRunsNothingOfAHostileDaemon(t *testing.T) {
	for name := range shells {
		t.Run(name, func(t *testing.T) {
			e := startShell(t, name)
			for _, place := range places {
				for _, text := range payloads {
					for _, texts := range [][]string{{text}, {text + "a", text + "b"}} {
						commands, properties := place.reply(texts)
						socket, requests := hostileDaemon(t, commands, properties)
						require.False(t, e.complete("steer -s "+socket+" "+place.words), "%s: %q", place.name, texts)
						require.NotEmpty(t, requests(), "%s: %q: the shell has not asked", place.name, texts)
					}
				}
			}
		})
	}
}

// TestTabRunsNothingOfAHostileHook: an honest daemon forwards the description of a command from its hook.
func TestTabRunsNothingOfAHostileHook(t *testing.T) {
	testkit.NeedProgram(t, "/usr/bin/python3", "python3")
	properties := map[string]any{}
	var enum []string
	for _, text := range payloads {
		if strings.Contains(text, "\n") {
			continue // the daemon refuses the introduction
		}
		enum = append(enum, text)
		for _, name := range []string{text + "a", text + "b"} {
			properties[name] = map[string]any{"type": "string", "description": name}
		}
	}
	properties["level"] = map[string]any{"type": "string", "description": "$(planted)", "enum": enum}
	schema, err := json.Marshal(map[string]any{"type": "object", "properties": properties})
	require.NoError(t, err)
	dir := testkit.ShortDir(t)
	frame := `{"introduce":{"commands":[{"name":"honest","summary":"$(planted)","access":"read","arguments":` + string(schema) + `}]}}`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "frame"), []byte(frame+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hook.sh"), []byte("#!/bin/sh\nread hello\ncat "+dir+"/frame\nexec cat >/dev/null\n"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"),
		[]byte("[[listen]]\ntransport = \"unix\"\npath = \"s\"\n[[hook]]\nname = \"hostile\"\nexec = [\"hook.sh\"]\n"), 0o600))
	d := testkit.StartProgram(t, dir, nil, testkit.Program(t, "rudderpostd"), "-c", "config.toml")
	socket := d.Listening(t)
	for name := range shells {
		t.Run(name, func(t *testing.T) {
			e := startShell(t, name)
			for _, words := range []string{"", "hon", "honest ", "honest l", "honest level=", "honest `", "honest '`", "honest $", "honest (", "honest x;", "honest -x", "honest \\\\"} {
				require.False(t, e.complete("steer -s "+socket+" "+words), words)
			}
		})
	}
}

// TestTabRunsNothingOfFileNames: a shell that has inserted the name of a file does not evaluate it at the next
// TAB.
func TestTabRunsNothingOfFileNames(t *testing.T) {
	for name := range shells {
		t.Run(name, func(t *testing.T) {
			e := startShell(t, name)
			for _, line := range []string{"steer audit verify ", "steer --ca ", "steer --ca="} {
				for _, text := range payloads {
					dir := testkit.ShortDir(t)
					require.NoError(t, os.WriteFile(filepath.Join(dir, text), nil, 0o600))
					e.run("cd " + dir)
					require.False(t, e.complete(line), "%s %q", line, text)
				}
			}
		})
	}
}

// TestTabRunsNothingThatWasTyped: TAB does not run a substitution in the command line.
func TestTabRunsNothingThatWasTyped(t *testing.T) {
	for name := range shells {
		t.Run(name, func(t *testing.T) {
			e := startShell(t, name)
			socket, _ := hostileDaemon(t, []string{"honest"}, nil)
			for _, typed := range []string{"$(planted)", "`planted`", "(planted)", "a$(planted)=1", "\"$(planted)\""} {
				if name != "fish" && typed[0] == '(' {
					continue // a subshell is not a word
				}
				require.False(t, e.complete("steer -s "+socket+" "+typed+" "), typed)
			}
		})
	}
}

// TestTabCompletesCommandsAndArguments: with an honest daemon TAB completes a command line, and the line runs.
func TestTabCompletesCommandsAndArguments(t *testing.T) {
	for name := range shells {
		t.Run(name, func(t *testing.T) {
			e := startShell(t, name)
			socket, requests := hostileDaemon(t, []string{"honest", "other"}, map[string]any{
				"level": map[string]any{"description": "A level: how much is logged.", "enum": []string{"debug", "info:x"}},
				"count": map[string]any{"type": "integer", "description": "A number."},
			})
			dir := testkit.ShortDir(t)
			ran := func() string {
				for _, request := range requests() {
					if strings.Contains(request, `"honest"`) && !strings.Contains(request, "describe-command") {
						return request
					}
				}
				return ""
			}
			e.run("export PLACE=" + socket)
			e.press("steer -s $PLACE ho\tle\tin\t c\t7\r")
			testkit.Eventually(t, func() bool { return ran() != "" }, "%q", &e.shown)
			require.JSONEq(t, `{"command":"honest","arguments":{"level":"info:x","count":7}}`, ran())
			e.waitIdle()

			// The second TAB lists the candidates with their descriptions.
			e.press("steer -s $PLACE honest \t\t")
			e.waitIdle()
			shown := e.shown.String()
			require.Contains(t, shown, "A level: how much is logged.")
			require.Contains(t, shown, "count=")

			// TAB completes the names of files after flags that take one, and the verbs and flags of steer everywhere.
			require.NoError(t, os.WriteFile(filepath.Join(dir, "two words.jsonl"), nil, 0o600))
			e.run("cd " + dir)
			e.press("steer aud\tver\ttw\t\r")
			testkit.Eventually(t, func() bool { return strings.Contains(e.shown.String(), "no records") }, "%q", &e.shown)
			e.waitIdle()
			e.press("steer --passw\t\r")
			testkit.Eventually(t, func() bool { return strings.Contains(e.shown.String(), "flag needs an argument: --password-file") }, "%q", &e.shown)
		})
	}
}
