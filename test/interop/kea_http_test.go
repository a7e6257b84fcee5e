package interop_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/std"
	"github.com/rudderpost/rudderpost/transport"
	httpd "github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// Replays transcripts of Kea's HTTP interface. testdata/kea/b1.txt describes their format.
func TestResponsesMatchTranscriptsOfKeasHTTP(t *testing.T) {
	for _, file := range []struct {
		name                         string
		rows, same, shape, differing int
		place                        *httpd.Transport
	}{
		{"b1.txt", 34, 8, 4, 22, &httpd.Transport{}},
		{"b2.txt", 42, 1, 12, 29, &httpd.Transport{}},
		{"b3.txt", 11, 5, 3, 3, &httpd.Transport{Idle: shorter(10 * time.Second), KeepAlive: shorter(30 * time.Second)}},
		{"b4.txt", 9, 0, 2, 7, &httpd.Transport{}},
		{"b5.txt", 24, 13, 8, 3, &httpd.Transport{Insecure: true, Authenticator: keaUsers{}}},
	} {
		t.Run(file.name, func(t *testing.T) {
			dial := serveHTTP(t, file.place)
			count := map[string]int{"same": 0}
			for _, row := range keaHTTPRows(t, filepath.Join("testdata", "kea", file.name)) {
				count["rows"]++
				count[row.verdict]++
				t.Run(row.name, func(t *testing.T) { row.replay(t, dial()) })
			}
			require.Equal(t, map[string]int{
				"rows": file.rows, "same": file.same, "shape": file.shape, "differs": file.differing,
			}, count)
		})
	}
}

// shorter converts a time of Kea's transcripts into one of the test.
func shorter(d time.Duration) time.Duration { return d / 20 }

// serveHTTP runs a daemon with the listener place, and returns a function that connects a client. There are no anonymous
// clients: where a client of Kea has no password, this one has a certificate and TLS.
func serveHTTP(t *testing.T, place *httpd.Transport) (dial func() keaConn) {
	t.Helper()
	var client *tls.Config
	if place.Authenticator == nil {
		client = keaPKI(t, place)
	}
	place.Address = "127.0.0.1:0"
	socket := openHTTP(t, place)
	return func() keaConn {
		conn, err := net.Dial("tcp", socket.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(testkit.Timeout)))
		if client == nil {
			return conn.(*net.TCPConn)
		}
		return tls.Client(conn, client)
	}
}

// openHTTP runs the daemon of the rows.
func openHTTP(t *testing.T, place *httpd.Transport) *mgr.Listener {
	t.Helper()
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: everybody{}})
	require.NoError(t, m.Register(append(std.NewStatistics().Commands(),
		std.Version("0.1.0", ""),
		mgr.Func("server-tag-get", "Return the server's tag.", mgr.Read, func(context.Context, mgr.None) (map[string]string, error) {
			return map[string]string{"server-tag": ""}, nil
		}, mgr.AnyArguments()),
		mgr.Func("echo", "Return the arguments.", mgr.Read, func(_ context.Context, v wire.Value) (wire.Value, error) {
			return v, nil
		}),
	)...))
	socket, err := m.Open(t.Context(), place)
	require.NoError(t, err)
	testdaemon.Serve(t, m)
	return socket
}

type everybody struct{}

func (everybody) Authorize(*mgr.Call) error { return nil }

// keaPKI gives the listener TLS, and returns the configuration of a client.
func keaPKI(t *testing.T, place *httpd.Transport) *tls.Config {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	ca, err := tlsconf.CreateCA(dir, "test")
	require.NoError(t, err)
	server, err := ca.IssueServer("server", []string{"localhost", "127.0.0.1"}, time.Hour)
	require.NoError(t, err)
	client, err := ca.IssueClient("client", "ops.example", time.Hour)
	require.NoError(t, err)
	place.TLS = &tlsconf.Server{Cert: server.Cert, Key: server.Key, ClientCA: filepath.Join(dir, tlsconf.CACert)}
	config, err := (&tlsconf.Client{CA: filepath.Join(dir, tlsconf.CACert), Cert: client.Cert, Key: client.Key}).Config("127.0.0.1")
	require.NoError(t, err)
	return config
}

// keaUsers is an Authenticator with the users of the transcripts.
type keaUsers struct{}

func (keaUsers) Authenticate(_ context.Context, c transport.Claim) ([]transport.Credential, error) {
	password, known := map[string]string{
		"admin": "1234", "nopass": "", "x": "filepass\n", "fuser\n": "p", "cuser": "cpass\n", "uté": "pé",
	}[c.User]
	if !known || password != c.Password || c.Token != "" {
		return nil, transport.ErrWrongCredentials
	}
	return []transport.Credential{keaUser(c.User)}, nil
}

type keaUser string

func (u keaUser) Subject() string { return "user:" + string(u) }

// kea-shell commands our HTTP listener directly.
func TestKeaShellCommandsUsOverHTTP(t *testing.T) {
	shell := testkit.NeedProgram(t, "kea-shell", "kea-ctrl-agent")
	place := &httpd.Transport{Address: "127.0.0.1:0", Insecure: true, Authenticator: keaUsers{}}
	_, port, err := net.SplitHostPort(openHTTP(t, place).Addr().String())
	require.NoError(t, err)
	run := func(stdin string, args ...string) ([]byte, error) {
		cmd := exec.Command(shell, append([]string{"--host", "127.0.0.1", "--port", port}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		return cmd.CombinedOutput()
	}
	known := []string{"--auth-user", "admin", "--auth-password", "1234"}

	out, err := run("", append(known, "list-commands")...)
	require.NoError(t, err, "%s", out)
	var names []string
	require.NoError(t, oneReply(t, out).Decode(&names))
	require.Contains(t, names, "whoami")

	out, err = run("", append(known, "--service", "dhcp4", "whoami")...)
	require.NoError(t, err, "%s", out)
	require.Contains(t, testdaemon.Arguments(t, oneReply(t, out)), `"user:admin"`)

	large := strings.Repeat("x", 1<<20)
	out, err = run(`"text": "`+large+`"`, append(known, "echo")...)
	require.NoError(t, err, "%.300s", out)
	require.JSONEq(t, `{"text":"`+large+`"}`, testdaemon.Arguments(t, oneReply(t, out)))

	out, err = run("", append(known, "no-such-command")...)
	require.NoError(t, err, "%s", out) // kea-shell does not check the result of a reply
	require.Equal(t, wire.CodeUnsupported, oneReply(t, out).Code)

	for _, args := range [][]string{nil, {"--auth-user", "admin", "--auth-password", "1235"}} {
		out, err = run("", append(args, "list-commands")...)
		require.Error(t, err)
		require.Contains(t, string(out), "HTTP Error 401: Unauthorized")
	}
}

// Our HTTP dialer commands Kea's agent.
func TestOurDialerCommandsKeasAgent(t *testing.T) {
	at := &httpd.Transport{Address: "127.0.0.1:" + startAgent(t, "/nowhere.sock")}
	t.Cleanup(at.CloseIdle)
	for request, want := range map[string]int{
		`{"command":"list-commands"}`: 1, `{"command":"list-commands","service":["dhcp4","dhcp4"]}`: 2,
	} {
		conn, err := at.Dial(t.Context())
		require.NoError(t, err)
		require.NoError(t, conn.Send(t.Context(), []byte(request)))
		for range want {
			frame, err := conn.Receive(t.Context(), nil)
			require.NoError(t, err)
			_, err = wire.DecodeReply(frame)
			require.NoError(t, err, "%s", frame)
		}
		_, err = conn.Receive(t.Context(), nil)
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, conn.Close())
	}

	conn, err := at.Dial(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Send(t.Context(), []byte("hello")))
	_, err = conn.Receive(t.Context(), nil)
	var status *httpd.StatusError
	require.ErrorAs(t, err, &status)
	require.Equal(t, httpd.StatusError{Status: http.StatusBadRequest, Text: "Bad Request"}, *status)
	require.NoError(t, conn.Close())
}

// A keaHTTPRow is one connection to Kea.
type keaHTTPRow struct {
	name, title string
	steps       []func(*keaHTTPClient)
	kea, ours   []string // the responses
	verdict     string   // same, shape, differs
}

func keaHTTPRows(t *testing.T, path string) []*keaHTTPRow {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var rows []*keaHTTPRow
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		if strings.HasPrefix(block, "#") {
			continue
		}
		lines := strings.Split(block, "\n")
		row := &keaHTTPRow{}
		row.name, row.title, _ = strings.Cut(lines[0], " ")
		row.read(t, lines[1:])
		require.NotEmpty(t, row.verdict, row.name)
		require.Equal(t, row.verdict == "differs", row.ours != nil, row.name)
		rows = append(rows, row)
	}
	return rows
}

// read reads the lines of a row below its name.
func (row *keaHTTPRow) read(t *testing.T, lines []string) {
	head := "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
	var each time.Duration
	for _, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "header":
			head += literals(t, rest)[0] + "\r\n"
		case "body":
			body := keaBytes(t, rest)
			row.do((*keaHTTPClient).write, fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n%s", head, len(body), body), 0)
		case ">":
			row.do((*keaHTTPClient).write, keaBytes(t, rest), each)
		case "each-byte":
			each = shorter(duration(t, rest))
		case "half-close":
			row.steps = append(row.steps, func(c *keaHTTPClient) { require.NoError(c, c.CloseWrite()) })
		case "<", "<~":
			n := len(row.kea)
			row.kea = append(row.kea, rest)
			row.steps = append(row.steps, func(c *keaHTTPClient) { c.response(row, n) })
		case "closes":
			after := shorter(duration(t, cmp.Or(strings.TrimPrefix(rest, "after "), "0s")))
			row.steps = append(row.steps, func(c *keaHTTPClient) { c.closes(after) })
		case "stays-open":
			row.steps = append(row.steps, (*keaHTTPClient).staysOpen)
		case "same", "shape":
			row.verdict = word
		case "differs":
			row.verdict = word
			require.Regexp(t, `^(contract §\d|decision \d)`, rest, row.name)
		case "=":
			row.ours = append(row.ours, rest)
		default:
			require.Fail(t, "what is this line?", "%s: %s", row.name, line)
		}
	}
}

func (row *keaHTTPRow) do(write func(*keaHTTPClient, []byte, time.Duration), b []byte, each time.Duration) {
	row.steps = append(row.steps, func(c *keaHTTPClient) { write(c, b, each) })
}

// replay sends the bytes of Kea's client, and compares our responses.
func (row *keaHTTPRow) replay(t *testing.T, conn keaConn) {
	c := &keaHTTPClient{T: t, keaConn: conn, in: bufio.NewReader(conn)}
	for _, step := range row.steps {
		step(c)
	}
	for n := len(row.kea); n < len(row.ours); n++ {
		c.response(row, n)
	}
	_ = conn.Close()
	c.writing()
}

// A keaHTTPClient is one connection to our daemon.
type keaHTTPClient struct {
	*testing.T
	keaConn
	in      *bufio.Reader
	head    bool // the last request was a HEAD
	last    time.Time
	written chan struct{} // closed when a write is over
}

// write writes on a goroutine of its own, since we may answer before it has written everything.
func (c *keaHTTPClient) write(b []byte, each time.Duration) {
	c.writing()
	c.head = bytes.HasPrefix(b, []byte("HEAD "))
	c.last = time.Now()
	written, conn := make(chan struct{}), c.keaConn
	c.written = written
	go func() {
		defer close(written)
		for piece := range pieces(b, each) {
			if _, err := conn.Write(piece); err != nil {
				return // the daemon has closed the connection
			}
		}
	}()
	if len(b) < 1<<10 && each == 0 {
		c.writing()
	}
}

func (c *keaHTTPClient) writing() {
	if c.written != nil {
		<-c.written
	}
}

// pieces returns the parts of b that are written at once. Between two parts there is a pause.
func pieces(b []byte, each time.Duration) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		if each == 0 {
			yield(b)
			return
		}
		for i := range b {
			if !yield(b[i : i+1]) {
				return
			}
			time.Sleep(each)
		}
	}
}

// response reads a response and compares it with that of the row.
var causeOf400 = regexp.MustCompile(`"text": "Bad Request: .+" }$`)

func (c *keaHTTPClient) response(row *keaHTTPRow, n int) {
	c.Helper()
	var want string
	if row.verdict == "differs" {
		want = row.ours[n]
	} else {
		want = row.kea[n]
	}
	if want == "(no bytes)" {
		c.closes(0)
		return
	}
	status, want, _ := strings.Cut(strings.TrimSuffix(want, "…"), " | ")
	if strings.HasPrefix(want, "WWW-Authenticate") {
		_, want, _ = strings.Cut(want, " | ")
	}
	r, got := c.read(row.title)
	if r.StatusCode == http.StatusBadRequest { // our text has the reason after Kea's words
		got = causeOf400.ReplaceAll(got, []byte(`"text": "Bad Request" }`))
	}
	version, words, _ := strings.Cut(status, " ")
	require.Equal(c, words, r.Status, "%s: %s", row.title, got)
	switch r.StatusCode {
	case http.StatusOK:
		require.Equal(c, version, r.Proto)
		require.Equal(c, "application/json", r.Header.Get("Content-Type"))
		row.compare(c.T, want, got)
		return
	case http.StatusUnauthorized:
		require.Regexp(c, `^Basic realm=".+"`, r.Header.Get("WWW-Authenticate"))
	case http.StatusRequestTimeout:
		require.GreaterOrEqual(c, time.Since(c.last), shorter(10*time.Second))
	case http.StatusMethodNotAllowed:
		require.Equal(c, "POST", r.Header.Get("Allow"))
	}
	require.Equal(c, want, string(got), row.title)
}

// read reads a response that is not an interim one.
func (c *keaHTTPClient) read(title string) (*http.Response, []byte) {
	c.Helper()
	method := http.MethodPost
	if c.head {
		method = http.MethodHead
	}
	for {
		r, err := http.ReadResponse(c.in, &http.Request{Method: method})
		require.NoError(c, err, title)
		text, err := io.ReadAll(r.Body)
		require.NoError(c, err, title)
		require.NoError(c, r.Body.Close())
		if r.StatusCode != http.StatusContinue {
			return r, text
		}
	}
}

// compare compares the replies in a 200.
func (row *keaHTTPRow) compare(t *testing.T, want string, got []byte) {
	t.Helper()
	if strings.HasPrefix(want, "(") || row.verdict == "shape" { // all of these are lists of commands
		var names []string
		require.NoError(t, oneReply(t, got).Decode(&names))
		require.Contains(t, names, "list-commands")
		return
	}
	var wanted, list []wire.Value
	require.NoError(t, json.Unmarshal([]byte(want), &wanted), want)
	require.NoError(t, json.Unmarshal(got, &list), "%s", got)
	require.Len(t, list, len(wanted), "%s", got)
	for i := range list {
		(&keaRow{title: row.title, verdict: "same", reply: string(wanted[i])}).compare(t, list[i])
	}
}

// closes requires that the daemon closes the connection.
func (c *keaHTTPClient) closes(after time.Duration) {
	c.Helper()
	rest, err := io.ReadAll(c.in)
	require.NoError(c, err)
	require.Empty(c, rest)
	require.GreaterOrEqual(c, time.Since(c.last), after)
}

// staysOpen requires that the daemon answers another request.
func (c *keaHTTPClient) staysOpen() {
	c.write([]byte("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"), 0)
	r, text := c.read("the next request")
	require.Equal(c, http.StatusOK, r.StatusCode, "%s", text)
}
