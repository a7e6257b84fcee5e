package docs

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// forbidden matches the pronouns that hide the subject of a sentence. CONTRIBUTING.md ("Words") has the rule: name the
// subject, such as the reader goroutine, the peer, the caller or the manager. "whose" and "whoami" do not match.
var forbidden = regexp.MustCompile(`(?i)\b(who|whoever|nobody|somebody|whom)\b`)

// proseExceptions are the lines that may contain a forbidden word. path is a file, or a folder with a slash at its end.
// text is a part of the line.
var proseExceptions = []struct{ path, text, reason string }{
	{"CONTRIBUTING.md", "`who`", "the rule itself"},
	{"docs/decisions/0071-one-term-has-one-meaning.md", "`who`", "the rule itself"},
	{"internal/testkit/users_unix.go", "nobody, on Debian", "the name of a user of the system"},
}

// A proseLine is a line of a comment, of a text in the code or of a document, or the name of a test.
type proseLine struct {
	number int
	text   string
}

// TestProseNamesItsSubjects checks all modules of the repository: in Go each comment, each string outside tests, and the
// words in the name of each test; elsewhere each line of the documents, examples, scripts and configuration files. Only
// files that git tracks, or would track, are read.
func TestProseNamesItsSubjects(t *testing.T) {
	root := testkit.ModuleRoot(t)
	used := make([]bool, len(proseExceptions))
	allowed := func(path, text string) bool {
		for i, e := range proseExceptions {
			inside := strings.HasSuffix(e.path, "/") && strings.HasPrefix(path, e.path)
			if (path == e.path || inside) && strings.Contains(text, e.text) {
				used[i] = true
				return true
			}
		}
		return false
	}
	read := 0
	var wrong []string
	for _, path := range repositoryFiles(t, root) {
		lines, err := proseOf(root, path)
		require.NoError(t, err)
		if lines == nil {
			continue
		}
		read++
		for _, line := range lines {
			if !forbidden.MatchString(line.text) || allowed(path, line.text) {
				continue
			}
			wrong = append(wrong, fmt.Sprintf("%s:%d: %s", path, line.number, strings.TrimSpace(line.text)))
		}
	}
	require.Greater(t, read, 300, "too few files were read")
	if len(wrong) > 0 {
		t.Errorf("%d lines do not name their subject (CONTRIBUTING.md, \"Words\"):\n%s", len(wrong), strings.Join(wrong, "\n"))
	}
	for i, e := range proseExceptions {
		if !used[i] {
			t.Errorf("proseExceptions: no line of %s needs the exception %q any more; delete it", e.path, e.text)
		}
	}
}

// TestForbiddenWords checks the pattern.
func TestForbiddenWords(t *testing.T) {
	for _, text := range []string{"// Who calls", "for whoever reads", "nobody's", "x (whom)", "Somebody"} {
		require.True(t, forbidden.MatchString(text), text)
	}
	for _, text := range []string{"whose", "whoami", "whole", "asNobody", "the peer"} {
		require.False(t, forbidden.MatchString(text), text)
	}
}

// repositoryFiles returns the files that git tracks or would track, with slashes, relative to root.
func repositoryFiles(t testing.TB, root string) (paths []string) {
	t.Helper()
	cmd := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	for path := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if _, err := os.Stat(filepath.Join(root, path)); err == nil { // a removed file stays listed until the commit
			paths = append(paths, path)
		}
	}
	return paths
}

// proseOf returns the lines that the rule is about. It returns nil for a file of another kind, and for test data.
func proseOf(root, path string) ([]proseLine, error) {
	if slices.Contains(strings.Split(path, "/"), "testdata") {
		return nil, nil
	}
	name := filepath.Join(root, path)
	switch filepath.Ext(path) {
	case ".go":
		return goProse(name)
	case ".md", ".toml", ".example", ".sh", ".yml", ".yaml", ".service", ".socket", ".bash", ".zsh", ".fish", ".py", ".mjs", ".html":
	default:
		if path != ".ci/run" {
			return nil, nil
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	lines := []proseLine{}
	scanner := bufio.NewScanner(bytes.NewReader(text))
	for scanner.Scan() {
		lines = append(lines, proseLine{len(lines) + 1, scanner.Text()})
	}
	return lines, scanner.Err()
}

// goProse returns the lines of the comments of a Go file; its strings, if it is no test; and the names of its tests, in
// words.
func goProse(name string) ([]proseLine, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	lines := []proseLine{}
	add := func(pos token.Pos, text string) {
		first := files.Position(pos).Line
		for i, line := range strings.Split(text, "\n") {
			lines = append(lines, proseLine{first + i, line})
		}
	}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			add(comment.Pos(), comment.Text)
		}
	}
	isTest := strings.HasSuffix(name, "_test.go")
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BasicLit:
			if node.Kind == token.STRING && !isTest {
				add(node.Pos(), node.Value)
			}
		case *ast.FuncDecl:
			if isTest && strings.HasPrefix(node.Name.Name, "Test") {
				add(node.Pos(), node.Name.Name+": "+wordsOf(node.Name.Name))
			}
		}
		return true
	})
	return lines, nil
}

// wordsOf returns the words of a name in camel case.
func wordsOf(name string) string {
	return strings.TrimSpace(regexp.MustCompile(`[A-Z][a-z0-9]*`).ReplaceAllString(name, " $0"))
}
