package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	httpd "github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// A statusCase tests a row of the table of HTTP statuses in PROTOCOL.md: it makes a daemon give that reply.
type statusCase struct {
	row      string // result, error.code and status of the row, as "403 forbidden 403"
	name     string
	options  mgr.Options
	max      mgr.Level // max-access of the listener
	revoked  bool
	loopEnds bool                               // the loop is closed
	prepare  func(*testing.T, *statusServer)    // before the request
	during   func(*testing.T, *statusServer)    // while the request's command runs
	request  string                             // the body; empty: {"command":"look"}
	more     string                             // header lines
	check    func(*testing.T, *http.Response)   // what else the response must have
	hook     func(next mgr.Handler) mgr.Handler // middleware
}

// A statusServer is a daemon with an HTTP listener, and one connection to it.
type statusServer struct {
	t       *testing.T
	m       *mgr.CommandMgr
	addr    string
	running chan string   // names of commands that run
	finish  chan struct{} // ends the running commands
	conn    net.Conn
	from    *bufio.Reader
	revoked atomic.Bool // the credential of all clients
}

type authorizerFunc func(*mgr.Call) error

func (f authorizerFunc) Authorize(call *mgr.Call) error { return f(call) }

// statusUsers accepts every claim, with a credential that the test may revoke.
type statusUsers struct{ revoked *atomic.Bool }

type statusUser struct {
	name    string
	revoked *atomic.Bool
}

func (u statusUser) Subject() string { return "user:" + u.name }
func (u statusUser) Revoked() bool   { return u.revoked.Load() }

func (u statusUsers) Authenticate(_ context.Context, c transport.Claim) ([]transport.Credential, error) {
	return []transport.Credential{statusUser{c.User, u.revoked}}, nil
}

type failingRecorder struct{}

func (failingRecorder) Begin([]*mgr.Call) error { return errors.New("the disk is full") }
func (failingRecorder) End([]mgr.CallResult)    {}

func startStatus(t *testing.T, c *statusCase) *statusServer {
	t.Helper()
	o := c.options
	o.Logger = slog.New(slog.DiscardHandler)
	if o.Authorizer == nil {
		o.Authorizer = allowAll{}
	}
	if c.loopEnds {
		l := loop.New()
		l.Close()
		o.Loop = l
	}
	s := &statusServer{t: t, m: mgr.New(&o), running: make(chan string), finish: make(chan struct{})}
	s.revoked.Store(c.revoked)
	wait := func(name string) func(context.Context, mgr.None) (mgr.None, error) {
		return func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			s.running <- name
			select {
			case <-s.finish:
			case <-ctx.Done():
			}
			return mgr.None{}, nil
		}
	}
	require.NoError(t, s.m.Register(
		mgr.Func("look", "Look.", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) { return mgr.None{}, nil }),
		mgr.Func("change", "Change.", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) { return mgr.None{}, nil }),
		mgr.Func("enter", "Enter the critical section.", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) {
			return mgr.None{}, nil
		}, mgr.Critical()),
		mgr.Func("panic", "Panic.", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) { panic("a defect") }),
		mgr.Func("fail", "Fail.", mgr.Read, func(_ context.Context, in struct {
			Result int    `json:"result"`
			Code   string `json:"code"`
		}) (mgr.None, error) {
			return mgr.None{}, wire.Errorf(wire.Code(in.Result), in.Code, "the handler's word")
		}),
		mgr.Func("nothing", "Find nothing.", mgr.Read, func(context.Context, mgr.None) (mgr.Result[mgr.None], error) {
			return mgr.Result[mgr.None]{Code: wire.CodeEmpty, Text: "nothing was found"}, nil
		}),
		mgr.Async("wait", "Wait beside the loop.", mgr.Read, wait("wait"), mgr.AnyArguments()),
		mgr.Func("hold", "Hold the loop.", mgr.Read, wait("hold")),
	))
	if c.hook != nil {
		s.m.Use(c.hook)
	}
	socket, err := s.m.Open(t.Context(), &mgr.ListenerConfig{
		Transport: &httpd.Transport{Address: "127.0.0.1:0", Insecure: true, Authenticator: statusUsers{&s.revoked}},
		MaxAccess: c.max,
	})
	require.NoError(t, err)
	s.addr = socket.Addr().String()
	testdaemon.Serve(t, s.m)
	t.Cleanup(func() { close(s.finish) })
	s.conn, s.from = s.dial()
	return s
}

func (s *statusServer) dial() (net.Conn, *bufio.Reader) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(s.t, conn.SetDeadline(time.Now().Add(testkit.Timeout)))
	return conn, bufio.NewReader(conn)
}

// post returns a POST request of the user ann.
func post(body, more string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n%sContent-Length: %d\r\n\r\n%s",
		more, len(body), body)
}

// say posts on a connection of its own, and does not wait for the response.
func (s *statusServer) say(body string) (net.Conn, *bufio.Reader) {
	s.t.Helper()
	conn, from := s.dial()
	_, err := io.WriteString(conn, post(body, ""))
	require.NoError(s.t, err)
	return conn, from
}

func hearResponse(t *testing.T, from *bufio.Reader) (*http.Response, []byte) {
	t.Helper()
	response, err := http.ReadResponse(from, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response, body
}

// handlersWord returns a request whose handler or middleware returns an error that elsewhere comes from the manager.
func handlersWord(result int, code string) string {
	return fmt.Sprintf(`{"command":"fail","arguments":{"result":%d,"code":%q}}`, result, code)
}

func hookSays(code wire.Code) func(mgr.Handler) mgr.Handler {
	return func(mgr.Handler) mgr.Handler {
		return func(context.Context, *mgr.Call) (wire.Reply, error) {
			return wire.Reply{}, wire.Errorf(code, "", "the hook's word")
		}
	}
}

func hasRetryAfter(t *testing.T, r *http.Response) {
	require.Equal(t, "1", r.Header.Get("Retry-After"))
}

func hasChallenge(t *testing.T, r *http.Response) {
	require.Equal(t, `Basic realm="rudderpost", charset="UTF-8"`, r.Header.Get("WWW-Authenticate"))
}

var statusCases = []statusCase{
	{row: "0 – 200", name: "success"},
	{row: "0 – 200", name: "success with an id", request: `{"command":"look","id":7}`},
	{row: "1 … 200", name: "bad JSON", request: `{"command":}`},
	{row: "1 … 200", name: "bad arguments", request: `{"command":"fail"}`},
	{row: "1 … 200", name: "a handler's failure", request: handlersWord(1, "")},
	{row: "1 … 200", name: "a setting that cannot be set", request: handlersWord(1, "not-settable")},
	{row: "2 unsupported 200", name: "no such command", request: `{"command":"no-such"}`},
	{row: "3 – 200", name: "nothing found", request: `{"command":"nothing"}`},
	{row: "4 … 200", name: "a conflict", request: handlersWord(4, "changed")},
	{row: "5 … 200", name: "partly changed", request: handlersWord(5, "")},
	{row: "1000 … 200", name: "the daemon's own", request: handlersWord(1000, "")},

	{row: "401 unauthenticated 401", name: "the policy knows nothing of the caller", check: hasChallenge,
		options: mgr.Options{Authorizer: authorizerFunc(func(*mgr.Call) error { return wire.Errorf(wire.CodeUnauthenticated, "", "who is that") })}},
	{row: "401 revoked 401", name: "a revoked credential", revoked: true, check: hasChallenge},
	{row: "403 forbidden 403", name: "the policy",
		options: mgr.Options{Authorizer: authorizerFunc(func(*mgr.Call) error { return errors.New("no") })}},
	{row: "403 forbidden 403", name: "the policy, of a command that does not exist", request: `{"command":"no-such"}`,
		options: mgr.Options{Authorizer: authorizerFunc(func(*mgr.Call) error { return errors.New("no") })}},
	{row: "403 forbidden 403", name: "the ceiling of the listener", max: mgr.Read, request: `{"command":"change","id":"x"}`},
	{row: "403 forbidden 403", name: "the policy, in lines", more: "Accept: application/x-ndjson\r\n",
		options: mgr.Options{Authorizer: authorizerFunc(func(*mgr.Call) error { return errors.New("no") })}},
	{row: "403 session-killed 403", name: "the session was closed", prepare: killSession},
	{row: "403 session-killed 200", name: "the session was closed while the command ran", request: `{"command":"wait"}`, during: func(t *testing.T, s *statusServer) {
		require.Equal(t, 1, s.m.CloseSession(s.m.Sessions()[0].ID))
	}},
	{row: "401 revoked 200", name: "the credential was revoked while the command ran", request: `{"command":"wait"}`, during: func(_ *testing.T, s *statusServer) {
		s.revoked.Store(true)
	}},
	{row: "429 too-many 429", name: "commands per second", check: hasRetryAfter, options: mgr.Options{Limits: mgr.Limits{MaxRate: 1}},
		prepare: func(t *testing.T, s *statusServer) {
			_, from := s.say(`{"command":"look"}`)
			response, _ := hearResponse(t, from)
			require.Equal(t, 200, response.StatusCode)
		}},
	{row: "429 too-many 429", name: "commands in flight of one peer", check: hasRetryAfter, options: mgr.Options{Limits: mgr.Limits{MaxInFlightPerPeer: 1}},
		prepare: func(_ *testing.T, s *statusServer) {
			s.say(`{"command":"wait"}`)
			<-s.running
		}},
	{row: "429 too-many 429", name: "commands that wait for the loop", check: hasRetryAfter, options: mgr.Options{Limits: mgr.Limits{MaxQueued: 1}},
		prepare: func(t *testing.T, s *statusServer) {
			s.say(`{"command":"hold"}`)
			<-s.running
			s.say(`{"command":"look"}`)
			testkit.Eventually(t, func() bool { return s.m.Stats().Queued == 1 }, "the second command does not wait")
		}},
	{row: "429 too-many-bytes 429", name: "bytes that wait", check: hasRetryAfter,
		prepare: func(_ *testing.T, s *statusServer) {
			s.say(`{"command":"wait","arguments":"` + strings.Repeat("x", 40<<10) + `"}`)
			<-s.running
			s.m.SetLimits(mgr.Limits{MaxBufferedPerPeer: 8 << 10})
		}},
	{row: "503 shutting-down 503", name: "the loop has ended", loopEnds: true, check: hasRetryAfter},
	{row: "503 too-many-conns 503", name: "conns of the listener", check: hasRetryAfter, options: mgr.Options{Limits: mgr.Limits{MaxConns: 2}}, // one place is reserved for the owner
		prepare: func(_ *testing.T, s *statusServer) {
			s.say(`{"command":"wait"}`)
			<-s.running
		}},
	{row: "503 too-many-conns 503", name: "conns of one peer", check: hasRetryAfter, options: mgr.Options{Limits: mgr.Limits{MaxConnsPerPeer: 1}},
		prepare: func(_ *testing.T, s *statusServer) {
			s.say(`{"command":"wait"}`)
			<-s.running
		}},
	{row: "503 not-recorded 503", name: "the record cannot be written", check: hasRetryAfter, options: mgr.Options{Recorder: failingRecorder{}}, request: `{"command":"change"}`},
	{row: "503 not-paused 503", name: "a participant of the critical section does not pause", check: hasRetryAfter, request: `{"command":"enter"}`,
		options: mgr.Options{Limits: mgr.Limits{CriticalTimeout: 10 * time.Millisecond}}, prepare: func(*testing.T, *statusServer) {}},

	{row: "401, 403, 429, 503 … 200", name: "a handler's 401", request: handlersWord(401, "")},
	{row: "401, 403, 429, 503 … 200", name: "a handler's 403", request: handlersWord(403, "")},
	{row: "401, 403, 429, 503 … 200", name: "a handler's 429", request: handlersWord(429, "")},
	{row: "401, 403, 429, 503 … 200", name: "a handler's 503", request: handlersWord(503, "hook-down")},
	{row: "401, 403, 429, 503 … 200", name: "a hook's 401", hook: hookSays(401)},
	{row: "401, 403, 429, 503 … 200", name: "a hook's 403", hook: hookSays(403)},
	{row: "401, 403, 429, 503 … 200", name: "a hook's 429", hook: hookSays(429)},
	{row: "401, 403, 429, 503 … 200", name: "a hook's 503", hook: hookSays(503)},
	{row: "408 timeout 200", name: "timeout in the queue", request: `{"command":"look","timeout":0.01}`,
		prepare: func(_ *testing.T, s *statusServer) {
			s.say(`{"command":"hold"}`)
			<-s.running
		}},
	{row: "408 timeout 200", name: "timeout while it runs", request: `{"command":"fail","arguments":{"result":408,"code":""}}`},
	{row: "499 … 200", name: "cancelled", request: handlersWord(499, "")},
	{row: "500 internal 200", name: "a handler panics", request: `{"command":"panic"}`},
	{row: "500 internal 200", name: "the policy panics", options: mgr.Options{Authorizer: authorizerFunc(func(*mgr.Call) error { panic("a defect") })}},
}

// killSession closes the session of the server's connection, which gets no conns after that.
func killSession(t *testing.T, s *statusServer) {
	_, err := io.WriteString(s.conn, post(`{"command":"wait"}`, ""))
	require.NoError(t, err)
	<-s.running
	require.Equal(t, 1, s.m.CloseSession(s.m.Sessions()[0].ID))
	response, _ := hearResponse(t, s.from)
	require.Equal(t, 200, response.StatusCode, "a handler has seen the call")
}

func TestEachReplyHasItsHTTPStatus(t *testing.T) {
	for _, c := range statusCases {
		t.Run(c.name, func(t *testing.T) {
			if strings.Contains(c.row, "not-paused") {
				c.options.Critical = new(loop.CriticalSection)
				require.NoError(t, c.options.Critical.Add("worker", neverPauses{}))
			}
			s := startStatus(t, &c)
			if c.prepare != nil {
				c.prepare(t, s)
			}
			body := c.request
			if body == "" {
				body = `{"command":"look"}`
			}
			_, err := io.WriteString(s.conn, post(body, c.more))
			require.NoError(t, err)
			if c.during != nil {
				<-s.running
				c.during(t, s)
			}
			response, text := hearResponse(t, s.from)
			result, code, status := splitRow(c.row)

			require.Equal(t, status, response.StatusCode, "%s", text)
			require.Equal(t, "application/json", response.Header.Get("Content-Type"))
			require.EqualValues(t, len(text), response.ContentLength)
			require.False(t, response.Close)
			frame := text
			if status == 200 {
				require.Empty(t, response.Header.Get("Retry-After")+response.Header.Get("WWW-Authenticate"))
				var list []wire.Value
				require.NoError(t, json.Unmarshal(text, &list), "%s", text)
				require.Len(t, list, 1)
				frame = list[0]
			}
			reply, err := wire.DecodeReply(frame)
			require.NoError(t, err, "%s", text)
			require.Contains(t, strings.Split(result, ", "), fmt.Sprint(int(reply.Code)), "%s", text)
			if code != "–" && code != "…" {
				var failed *wire.Error
				require.ErrorAs(t, reply.Err(), &failed)
				require.Equal(t, code, failed.Word, "%s", text)
			}
			if c.check != nil {
				c.check(t, response)
			}
		})
	}
}

type neverPauses struct{}

func (neverPauses) Check() error { return nil }
func (neverPauses) Enter(func()) {}
func (neverPauses) Exit()        {}

// splitRow splits the row of a statusCase.
func splitRow(row string) (result, code string, status int) {
	words := strings.Fields(row)
	_, _ = fmt.Sscan(words[len(words)-1], &status)
	return strings.Join(words[:len(words)-2], " "), words[len(words)-2], status
}

// Each row of the table in PROTOCOL.md has a statusCase, and each statusCase has a row.
func TestProtocolTableOfStatusesIsTested(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), "PROTOCOL.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "| result | `error.code` | when | status | body |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	row := regexp.MustCompile(`^\| ([^|]+) \| ([^|]+) \| [^|]+ \| (\d+) \| [^|]+ \|$`)
	var documented, tested []string
	for _, line := range strings.Split(table, "\n")[1:] {
		m := row.FindStringSubmatch(line)
		require.NotNil(t, m, line)
		documented = append(documented, m[1]+" "+strings.Trim(m[2], "`")+" "+m[3])
	}
	for _, c := range statusCases {
		if !slices.Contains(tested, c.row) {
			tested = append(tested, c.row)
		}
	}
	require.ElementsMatch(t, documented, tested)
}

// Each of several requests on one connection gets its own status, in order.
func TestPipelinedRequestsHaveTheirOwnStatuses(t *testing.T) {
	var calls atomic.Int32
	s := startStatus(t, &statusCase{options: mgr.Options{Authorizer: authorizerFunc(func(*mgr.Call) error {
		if calls.Add(1)%2 == 0 {
			return errors.New("no")
		}
		return nil
	})}})
	var all strings.Builder
	for i := range 20 {
		all.WriteString(post(fmt.Sprintf(`{"command":"look","id":%d}`, i), ""))
	}
	_, err := io.WriteString(s.conn, all.String())
	require.NoError(t, err)
	for i := range 20 {
		response, text := hearResponse(t, s.from)
		if i%2 == 0 {
			require.Equal(t, 200, response.StatusCode)
			require.Equal(t, fmt.Sprintf(`[ {"id":%d,"result":0} ]`, i), string(text))
			continue
		}
		require.Equal(t, 403, response.StatusCode)
		require.Equal(t, fmt.Sprintf(`{"id":%d,"result":403,"text":"no","error":{"code":"forbidden"}}`, i), string(text))
	}
}

// The Go client returns the *wire.Error of the reply, whatever the status is.
func TestClientGetsTheReplyOfARefusalOverHTTP(t *testing.T) {
	for _, c := range statusCases {
		if _, _, status := splitRow(c.row); status == 200 || c.prepare != nil {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			s := startStatus(t, &c)
			place := &httpd.Transport{Address: s.addr, Credentials: transport.Claim{User: "ann", Password: "secret"}}
			t.Cleanup(place.CloseIdle)
			conn, err := client.Dial(t.Context(), place)
			require.NoError(t, err)
			defer conn.Close()
			command := "look"
			if c.request != "" {
				command = "change"
			}
			reply, err := conn.Do(t.Context(), wire.Request{Command: command})
			require.NoError(t, err)
			result, code, _ := splitRow(c.row)
			var failed *wire.Error
			require.ErrorAs(t, reply.Err(), &failed)
			require.Equal(t, result, fmt.Sprint(int(failed.Code)))
			require.Equal(t, code, failed.Word)
		})
	}
}

// kea-shell prints the reply of a refusal for some statuses, and for others only the status.
func TestKeaShellShowsTheStatusOfARefusal(t *testing.T) {
	shell := testkit.NeedProgram(t, "kea-shell", "kea-ctrl-agent")
	for _, c := range statusCases {
		_, _, status := splitRow(c.row)
		if c.request != "" || c.prepare != nil || c.during != nil || c.more != "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			s := startStatus(t, &c)
			_, port, err := net.SplitHostPort(s.addr)
			require.NoError(t, err)
			cmd := exec.Command(shell, "--host", "127.0.0.1", "--port", port, "--auth-user", "ann", "--auth-password", "secret", "look")
			cmd.Stdin = strings.NewReader("")
			out, err := cmd.CombinedOutput()
			if status == 200 {
				require.NoError(t, err, "%s", out)
				require.Len(t, oneReplyText(t, out), 1)
				return
			}
			require.Error(t, err)
			require.Equal(t, 1, cmd.ProcessState.ExitCode())
			require.Equal(t, fmt.Sprintf("Failed to run: HTTP Error %d: %s\n", status, http.StatusText(status)), string(out))
		})
	}
}

func oneReplyText(t *testing.T, out []byte) (list []wire.Value) {
	t.Helper()
	require.NoError(t, json.Unmarshal(out, &list), "%s", out)
	return list
}
