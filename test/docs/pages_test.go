//go:build unix

package docs

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// startLimit is how long a program of a page may take until it listens. `go run` compiles and links it first, and other
// tests may load the machine. endLimit is how long it may take to end.
const startLimit, endLimit = 10 * time.Minute, 2 * time.Minute

// pages are the documents whose commands TestPagesRun runs. installs says that the page installs our programs itself;
// otherwise both are on its PATH. ctrlC says that the reader of the page stops its programs with Ctrl-C; on other pages a
// command stops them. docs/reference/hooks.md (package hooks) and docs/how-to/keas-tools.md have tests of their own.
var pages = []struct {
	path     string
	installs bool
	ctrlC    bool
	needs    []string // programs; the Debian packages have the same names
}{
	{path: "README.md", installs: true, ctrlC: true},
	{path: "docs/tutorial/first-steps.md", installs: true, needs: []string{"socat", "curl"}},
	{path: "docs/how-to/install.md", installs: true},
	{path: "docs/how-to/secured-daemon.md", ctrlC: true},
	{path: "docs/how-to/grant-access.md"},
	{path: "docs/how-to/audit.md"},
	{path: "docs/how-to/change-configuration.md"},
	{path: "docs/how-to/hook-library.md", needs: []string{"python3"}},
	{path: "docs/how-to/proxies.md"},
}

// TestPagesRun runs the commands of each page, from top to bottom, in a fresh copy of the repository whose ports are the
// test's own. A comment before a block says what the test does with it:
//
//	save as FILE           writes the block to FILE
//	output                 compares the block with the output of the commands before it; … stands for anything
//	background             starts the program, and goes on when it listens on a UNIX socket
//	background: SOCKET     the same for a program that does not print its socket
//	stop first             stops the background programs as at the end of the page, and runs the block
//	not run: REASON        does nothing
//
// A block of the language sh without a comment is run. At the end of a page the background programs have ended, or are stopped
// with Ctrl-C.
func TestPagesRun(t *testing.T) {
	root := testkit.ModuleRoot(t)
	bash := testkit.NeedProgram(t, "bash", "bash")
	modules, err := exec.Command("go", "env", "GOMODCACHE").Output()
	require.NoError(t, err)
	for _, page := range pages {
		t.Run(strings.TrimSuffix(filepath.Base(page.path), ".md"), func(t *testing.T) {
			for _, name := range page.needs {
				testkit.NeedProgram(t, name, name)
			}
			gopath := filepath.Join(testkit.ShortDir(t), "go")
			p := &pageRun{
				path: page.path, ctrlC: page.ctrlC, bash: bash, dir: copyRepository(t), own: testkit.OwnPorts(t),
				state: filepath.Join(testkit.ShortDir(t), "state"),
				env: append(os.Environ(), "GOPATH="+gopath, "GOBIN=", "GOMODCACHE="+strings.TrimSpace(string(modules)),
					"GORACE=atexit_sleep_ms=1"),
			}
			if !page.installs {
				programs := filepath.Dir(testkit.Program(t, "steer")) + ":" + filepath.Dir(testkit.Program(t, "rudderpostd"))
				p.env = append(p.env, "PATH="+programs+":"+os.Getenv("PATH"))
			}
			require.NoError(t, os.WriteFile(p.state, nil, 0o600))
			for _, name := range []string{"config.toml.example", "examples/secured/main.go"} {
				p.rewritePorts(t, filepath.Join(p.dir, name))
			}
			blocks := testkit.MarkdownBlocks(t, filepath.Join(root, page.path))
			require.NotEmpty(t, blocks)
			for _, b := range blocks {
				p.run(t, b)
			}
			p.stop(t)
		})
	}
}

// A pageRun is the state of one page while its commands run.
type pageRun struct {
	path, bash, dir string
	ctrlC           bool
	state           string // a file with the shell's variables, from one block to the next
	env             []string
	own             func(text string) string
	last            string // the output of the last block
	background      []*testkit.Child
}

func (p *pageRun) rewritePorts(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, []byte(p.own(string(text))), 0o644))
}

func (p *pageRun) run(t *testing.T, b testkit.MarkdownBlock) {
	t.Helper()
	b.Text = p.own(b.Text)
	socket, named := strings.CutPrefix(b.Remark, "background: ")
	file, saved := strings.CutPrefix(b.Remark, "save as ")
	switch {
	case saved:
		require.NoError(t, os.WriteFile(filepath.Join(p.dir, file), []byte(b.Text), 0o600))
	case b.Remark == "output":
		p.requireOutput(t, b)
	case b.Language != "sh" || strings.HasPrefix(b.Remark, "not run: "):
	case b.Remark == "background":
		p.start(t, b, "")
	case named:
		p.start(t, b, socket)
	case b.Remark == "" || b.Remark == "stop first":
		if b.Remark != "" {
			p.stop(t)
		}
		cmd := exec.Command(p.bash, "-c", `set -eo pipefail; . "$0"; eval "$1"; export -p >"$0"`, p.state, b.Text)
		cmd.Dir, cmd.Env = p.dir, p.env
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s:%d:\n%s\n%s", p.path, b.Line, b.Text, out)
		p.last = string(out)
	default:
		require.Fail(t, "an unknown comment", "%s:%d: %s", p.path, b.Line, b.Remark)
	}
}

// start starts a program in the background, and waits until it listens.
func (p *pageRun) start(t *testing.T, b testkit.MarkdownBlock, socket string) {
	t.Helper()
	cmd := exec.Command(p.bash, "-ec", b.Text)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = p.dir, p.env, &syscall.SysProcAttr{Setpgid: true}
	process := testkit.Start(t, cmd)
	p.background = append(p.background, process)
	listening := regexp.MustCompile(`listening on unix://([^,\s]+)`)
	waitUntil(t, startLimit, func() bool {
		select {
		case <-process.Ended:
			require.Fail(t, "it has ended", "%s:%d: %s%s", p.path, b.Line, process.Out.String(), process.Err.String())
		default:
		}
		path := filepath.Join(p.dir, socket)
		if socket == "" {
			found := listening.FindStringSubmatch(process.Out.String())
			if found == nil {
				return false
			}
			path = found[1]
		}
		conn, err := net.Dial("unix", path)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, "%s:%d: it does not listen", p.path, b.Line)
}

// stop waits until the background programs have ended, with status 0. On a page with ctrlC it sends them SIGINT first, and
// the status may be 1, which is that of `go run`.
func (p *pageRun) stop(t *testing.T) {
	t.Helper()
	for _, process := range p.background {
		highest := 0
		if p.ctrlC {
			highest = 1
			_ = syscall.Kill(-process.Process.Pid, syscall.SIGINT)
		}
		select {
		case <-process.Ended:
		case <-time.After(endLimit):
			require.Fail(t, "it does not end", "%s: %s%s", p.path, process.Out.String(), process.Err.String())
		}
		status := process.ProcessState.ExitCode()
		require.True(t, 0 <= status && status <= highest, "%s: status %d: %s%s", p.path, status, process.Out.String(), process.Err.String())
	}
	p.background = nil
}

// requireOutput compares the last output with a block. In the block, … stands for anything within a line.
func (p *pageRun) requireOutput(t *testing.T, b testkit.MarkdownBlock) {
	t.Helper()
	var pattern strings.Builder
	for i, part := range strings.Split(strings.TrimSpace(b.Text), "…") {
		if i > 0 {
			pattern.WriteString(`[^\n]*`)
		}
		pattern.WriteString(regexp.QuoteMeta(part))
	}
	require.Regexp(t, "^"+pattern.String()+"$", strings.TrimSpace(p.last), "%s:%d", p.path, b.Line)
}

func waitUntil(t *testing.T, limit time.Duration, condition func() bool, text string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			require.Failf(t, "it takes too long", text, args...)
		}
	}
}

// copyRepository copies the files of the repository, whether or not they are committed, and nothing else.
func copyRepository(t *testing.T) string {
	t.Helper()
	root, dir := testkit.ModuleRoot(t), testkit.ShortDir(t)
	for _, name := range repositoryFiles(t, root) {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		info, err := os.Stat(filepath.Join(root, name))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, info.Mode().Perm()))
	}
	return dir
}

// TestEveryPageWithCommandsRuns: a page with a block of the language sh is one of pages, or has a test of its own.
func TestEveryPageWithCommandsRuns(t *testing.T) {
	root := testkit.ModuleRoot(t)
	known := map[string]bool{"docs/reference/hooks.md": true, "docs/how-to/keas-tools.md": true}
	for _, page := range pages {
		known[page.path] = true
	}
	for _, path := range documents(t, root) {
		if known[path] || !strings.HasPrefix(path, "docs/") {
			continue
		}
		for _, b := range testkit.MarkdownBlocks(t, filepath.Join(root, path)) {
			require.NotEqual(t, "sh", b.Language, "%s:%d: no test runs it; add the page to pages", path, b.Line)
		}
	}
}

// TestDocumentsShowTheExamples: a program that a document shows is the one in examples, which has tests.
func TestDocumentsShowTheExamples(t *testing.T) {
	root := testkit.ModuleRoot(t)
	for document, example := range map[string]string{
		"README.md":                     "examples/greeter/main.go",
		"docs/how-to/secured-daemon.md": "examples/secured/main.go",
		"docs/how-to/hook-library.md":   "examples/hooks/hello.py",
	} {
		text, err := os.ReadFile(filepath.Join(root, example))
		require.NoError(t, err)
		program := string(text)
		if i := strings.Index(program, "\npackage main\n"); i >= 0 {
			program = program[i+1:]
		}
		var shown []string
		for _, b := range testkit.MarkdownBlocks(t, filepath.Join(root, document)) {
			if b.Language == "go" || b.Language == "python" {
				shown = append(shown, b.Text)
			}
		}
		require.Equal(t, []string{program}, shown, "%s and %s", document, example)
	}
}
