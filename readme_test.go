package rudderpost_test

import (
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// A block is one fenced block of the README.
type block struct {
	language, text string
	line           int
	remark         string // the HTML comment right before it
}

// blocks reads the fenced blocks of a Markdown file.
func blocks(t *testing.T, path string) (all []block) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var open *block
	remark := ""
	comment := regexp.MustCompile(`^<!-- (.*) -->$`)
	for i, line := range strings.Split(string(text), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case open != nil && isFence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case isFence:
			open = &block{language: fence, line: i + 1, remark: remark}
			remark = ""
		case line != "":
			remark = ""
			if m := comment.FindStringSubmatch(line); m != nil {
				remark = m[1]
			}
		}
	}
	require.Nil(t, open, "%s: a block has no end", path)
	return all
}

// copyRepository copies what is in the repository, whether or not it is committed, and nothing else.
func copyRepository(t *testing.T) string {
	t.Helper()
	dir := shortDir(t)
	out, err := exec.Command(needs(t, "git", "git"), "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	require.NoError(t, err)
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(name)
		if os.IsNotExist(err) { // removed, and not yet committed
			continue
		}
		require.NoError(t, err)
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, info.Mode().Perm()))
	}
	return dir
}

// The README's commands do what it says, one after the other, in a fresh copy of the repository, whose ports are the
// test's own. They install into a GOPATH of their own.
func TestReadme(t *testing.T) {
	bash := needs(t, "bash", "bash")
	needs(t, "socat", "socat")
	needs(t, "curl", "curl")
	needs(t, "python3", "python3")
	dir := copyRepository(t)
	own := testkit.OwnPorts(t)
	example := filepath.Join(dir, "config.toml.example")
	text, err := os.ReadFile(example)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(example, []byte(own(string(text))), 0o644))
	modules, err := exec.Command("go", "env", "GOMODCACHE").Output()
	require.NoError(t, err)
	state := filepath.Join(shortDir(t), "state")
	require.NoError(t, os.WriteFile(state, nil, 0o600))
	env := append(os.Environ(), "GOPATH="+filepath.Join(shortDir(t), "go"), "GOBIN=", "GOMODCACHE="+strings.TrimSpace(string(modules)))

	var last string // the output of the last command block
	var background []*process
	ran := 0
	for _, b := range blocks(t, "README.md") {
		b.text = own(b.text)
		switch {
		case strings.HasPrefix(b.remark, "save as "):
			require.NoError(t, os.WriteFile(filepath.Join(dir, strings.TrimPrefix(b.remark, "save as ")), []byte(b.text), 0o600))
		case b.remark == "output":
			requireOutput(t, b, last)
		case b.language != "sh":
		case strings.HasPrefix(b.remark, "not run: "):
			require.Equal(t, "go test ./...", strings.TrimSpace(b.text), "README.md:%d: only the test command itself is not run", b.line)
		case b.remark == "background":
			p := start(t, dir, func(cmd *exec.Cmd) { cmd.Env = env }, bash, "-ec", b.text)
			where := p.listening(t)
			eventually(t, func() bool {
				conn, err := net.Dial("unix", where)
				if err == nil {
					_ = conn.Close()
				}
				return err == nil
			}, "nobody listens at %s", where)
			background = append(background, p)
			ran++
		default:
			cmd := exec.Command(bash, "-c", `set -eo pipefail; . "$0"; eval "$1"; export -p >"$0"`, state, b.text)
			cmd.Dir, cmd.Env = dir, env
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "README.md:%d:\n%s\n%s", b.line, b.text, out)
			last = string(out)
			ran++
		}
	}
	require.GreaterOrEqual(t, ran, 4)
	for _, p := range background { // the README has stopped it
		p.wait(t)
	}
}

// requireOutput compares loosely: in what is expected, … stands for anything.
func requireOutput(t *testing.T, b block, got string) {
	t.Helper()
	var pattern strings.Builder
	for i, part := range strings.Split(strings.TrimSpace(b.text), "…") {
		if i > 0 {
			pattern.WriteString(`[^\n]*`)
		}
		pattern.WriteString(regexp.QuoteMeta(part))
	}
	require.Regexp(t, "^"+pattern.String()+"$", strings.TrimSpace(got), "README.md:%d", b.line)
}

// The program that the README shows is the one that is tested.
func TestReadmeShowsTheGreeter(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("examples", "greeter", "main.go"))
	require.NoError(t, err)
	_, program, ok := strings.Cut(string(text), "\npackage main\n")
	require.True(t, ok)
	for _, b := range blocks(t, "README.md") {
		if b.language == "go" && strings.HasPrefix(b.text, "package main\n") {
			require.Equal(t, "package main\n"+program, b.text, "README.md:%d differs from examples/greeter/main.go", b.line)
			return
		}
	}
	require.Fail(t, "README.md does not show the greeter")
}

// The links of our documents lead somewhere.
func TestDocumentLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	documents, err := filepath.Glob("*.md")
	require.NoError(t, err)
	err = filepath.WalkDir("docs", func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			documents = append(documents, path)
		}
		return err
	})
	require.NoError(t, err)
	require.NotEmpty(t, documents)
	for _, document := range documents {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(m[1], ":") {
				require.True(t, exists(filepath.Join(filepath.Dir(document), m[1])), "%s: there is no %s", document, m[1])
			}
		}
	}
}
