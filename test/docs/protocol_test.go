//go:build unix

package docs

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// protocolConfig is the configuration of the daemon behind the transcripts of PROTOCOL.md.
const protocolConfig = `
state-dir = "run"
[[listen]]
transport = "unix"
path = "run/s"
[[listen]]
transport = "tcp"
address = "127.0.0.1:0"
insecure = true
anonymous = "dns"
max-access = "write"
[[listen]]
transport = "http"
address = "127.0.0.1:0"
insecure = true
[auth]
tokens-file = "run/tokens"
[[role]]
name = "dns"
allow = ["read", "log-level-set"]
[[role.arguments]]
commands = ["log-level-set"]
pointer = "/level"
values = ["info", "debug"]
[audit]
file = "run/audit.jsonl"
arguments = "clear"
`

// TestProtocolTranscriptsAreThoseOfTheDaemon gives each transcript of PROTOCOL.md to rudderpostd. A block is a transcript if a
// line of it begins with "> " or "< ". A comment before a block names the listener, or the test that has the transcript:
//
//	(none)                 the UNIX socket
//	daemon: anonymous      tcp without TLS; the role of its peers is protocolConfig's dns
//	daemon: http           HTTP, with the first token of the daemon
//	the record             lines that the audit file has when all transcripts have been played
//	tested in FILE: TEXT   the block is not run here; it and FILE have TEXT
//
// In a line of the daemon, … stands for anything. "  end of file" is the end of the conn.
func TestProtocolTranscriptsAreThoseOfTheDaemon(t *testing.T) {
	dir := testkit.ShortDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "c.toml"), []byte(protocolConfig), 0o600))
	cmd := exec.Command(testkit.Program(t, "rudderpostd"), "-c", "c.toml")
	cmd.Dir = dir
	daemon := testkit.Start(t, cmd)
	daemon.Listening(t)
	addresses := map[string][2]string{
		"":                  {"unix", filepath.Join(dir, "run", "s")},
		"daemon: anonymous": {"tcp", daemon.ListeningOn(t, "tcp")},
		"daemon: http":      {"tcp", daemon.ListeningOn(t, "http")},
	}
	token, err := os.ReadFile(filepath.Join(dir, "run", "first.token"))
	require.NoError(t, err)
	root, run := testkit.ModuleRoot(t), 0
	var recorded []string
	t.Run("blocks", func(t *testing.T) { // the daemon must outlive the parallel tests
		for _, b := range testkit.MarkdownBlocks(t, filepath.Join(root, "PROTOCOL.md")) {
			if file, isTested := strings.CutPrefix(b.Remark, "tested in "); isTested {
				file, phrase, _ := strings.Cut(file, ": ")
				text, err := os.ReadFile(filepath.Join(root, file))
				require.NoError(t, err)
				require.Contains(t, string(text), phrase, "PROTOCOL.md:%d", b.Line)
				require.Contains(t, b.Text, phrase, "PROTOCOL.md:%d", b.Line)
				continue
			}
			if b.Remark == "the record" {
				recorded = append(recorded, strings.Split(strings.TrimSpace(b.Text), "\n")...)
				continue
			}
			if !regexp.MustCompile(`(?m)^[<>] `).MatchString(b.Text) {
				require.Equal(t, "json", b.Language, "PROTOCOL.md:%d: a block that is no transcript", b.Line)
				continue
			}
			run++
			t.Run(fmt.Sprintf("line %d", b.Line), func(t *testing.T) {
				t.Parallel() // one waits 10 s
				address, known := addresses[b.Remark]
				require.True(t, known, b.Remark)
				conn, err := net.Dial(address[0], address[1])
				require.NoError(t, err)
				defer conn.Close()
				require.NoError(t, conn.SetDeadline(time.Now().Add(testkit.Timeout)))
				if b.Remark == "daemon: http" {
					playHTTP(t, conn, b.Text, strings.TrimSpace(string(token)))
				} else {
					playLines(t, conn, b.Text)
				}
			})
		}
	})
	require.GreaterOrEqual(t, run, 12)
	require.Len(t, recorded, 2)
	record, err := os.ReadFile(filepath.Join(dir, "run", "audit.jsonl"))
	require.NoError(t, err)
	for _, line := range recorded {
		require.Regexp(t, "(?m)"+withGaps(line), string(record))
	}
}

// playLines plays the client's part of a transcript on a byte stream.
func playLines(t *testing.T, conn net.Conn, transcript string) {
	t.Helper()
	in := bufio.NewReader(conn)
	for line := range strings.Lines(transcript) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "> "):
			if strings.Count(line, "{") == strings.Count(line, "}") { // otherwise it is a part of a frame
				line += "\n"
			}
			_, err := io.WriteString(conn, line[2:])
			require.NoError(t, err)
		case strings.HasPrefix(line, "< "):
			got, err := in.ReadString('\n')
			require.NoError(t, err, line)
			require.Regexp(t, withGaps(line[2:]), strings.TrimSuffix(got, "\n"))
		case line == "  end of file":
			_, err := in.ReadByte()
			require.ErrorIs(t, err, io.EOF)
		default:
			require.Regexp(t, `^  … `, line)
		}
	}
}

// playHTTP sends the request of a transcript. The response must have its status, its header lines and its body.
func playHTTP(t *testing.T, conn net.Conn, transcript, token string) {
	t.Helper()
	var request, response strings.Builder
	for line := range strings.Lines(transcript) {
		line = strings.TrimSuffix(line, "\n")
		if sent, ok := strings.CutPrefix(line, ">"); ok {
			request.WriteString(strings.TrimPrefix(sent, " ") + "\r\n")
		} else {
			response.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, "<"), " ") + "\n")
		}
	}
	text := regexp.MustCompile(`rpt_first_…`).ReplaceAllLiteralString(strings.TrimSuffix(request.String(), "\r\n"), token)
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	head, wantBody, _ := strings.Cut(response.String(), "\n\n")
	lines := strings.Split(head, "\n")
	require.Equal(t, lines[0], r.Proto+" "+r.Status)
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		require.Equal(t, value, r.Header.Get(name), line)
	}
	require.Equal(t, strings.TrimSpace(wantBody), string(body))
}

// withGaps returns the pattern of a line in which … stands for anything.
func withGaps(line string) string {
	parts := strings.Split(line, "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return "^" + strings.Join(parts, ".*") + "$"
}

// notAnswered are the words of results that are no failures: no reply has them as error.code.
var notAnswered = map[string]bool{"success": true, "empty": true}

// TestProtocolHasEachErrorCodeOfTheSource: the table of error codes in PROTOCOL.md has a row for each code that the Go source
// gives an error, with the result of that error, and no other row.
func TestProtocolHasEachErrorCodeOfTheSource(t *testing.T) {
	root := testkit.ModuleRoot(t)
	text, err := os.ReadFile(filepath.Join(root, "PROTOCOL.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "| `error.code` | result | when | HTTP status | again |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (\\d+) \\| .* \\| .* \\| .* \\|$").FindAllStringSubmatch(table, -1) {
		documented[row[1]] = row[2]
	}
	require.Greater(t, len(documented), 30)
	source := errorCodes(t, root)
	for word := range notAnswered {
		require.Contains(t, source, word)
		delete(source, word)
	}
	require.Equal(t, source, documented)
}

// errorCodes returns the words of errors in the Go source that is no test, each with its result.
func errorCodes(t *testing.T, root string) map[string]string {
	t.Helper()
	results := map[string]string{} // of the constants in package wire
	codes := map[string]string{}
	var files []*ast.File
	for _, name := range repositoryFiles(t, root) {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") ||
			slices.ContainsFunc([]string{"bench/", "examples/", "test/", "internal/"}, func(dir string) bool { return strings.HasPrefix(name, dir) }) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 && strings.HasPrefix(spec.Names[0].Name, "Code") {
				if number, ok := spec.Values[0].(*ast.BasicLit); ok {
					results[spec.Names[0].Name] = number.Value
				}
			}
			return true
		})
	}
	note := func(code, word ast.Expr, otherwise string) {
		literal, ok := word.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return
		}
		text, err := strconv.Unquote(literal.Value)
		require.NoError(t, err)
		if text == "" {
			return
		}
		result, ok := results[identifier(code)]
		if !ok {
			result = otherwise
		}
		require.NotEmpty(t, result, "the result of %s", text)
		require.True(t, codes[text] == "" || codes[text] == result, "%s has two results", text)
		codes[text] = result
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				switch name := identifier(n.Fun); {
				case name == "Errorf" && len(n.Args) >= 3 && strings.HasPrefix(identifier(n.Args[0]), "Code"):
					note(n.Args[0], n.Args[1], "")
				case name == "errorf" && file.Name.Name == "wire" && len(n.Args) >= 3: // of the JSON parser
					note(n.Args[0], n.Args[1], results["CodeError"])
				}
			case *ast.CompositeLit:
				if identifier(n.Type) == "Error" {
					note(member(n, "Code"), member(n, "Word"), "")
				}
			case *ast.KeyValueExpr: // the words of the results
				if key := identifier(n.Key); file.Name.Name == "wire" && results[key] != "" {
					note(n.Key, n.Value, "")
				}
			}
			return true
		})
	}
	return codes
}

// identifier returns the name of x, or of the member that x selects.
func identifier(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	}
	return ""
}

// member returns the value of a member of a composite literal, or nil.
func member(literal *ast.CompositeLit, name string) ast.Expr {
	for _, element := range literal.Elts {
		if kv, ok := element.(*ast.KeyValueExpr); ok && identifier(kv.Key) == name {
			return kv.Value
		}
	}
	return nil
}
