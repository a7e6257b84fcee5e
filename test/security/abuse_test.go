//go:build linux

package security_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
	sys "golang.org/x/sys/unix"
)

// pooledGoroutines is how many idle goroutines a manager keeps: those that read from conns, and those that write replies.
const pooledGoroutines = 64 + 8

// connCounter is an Observer that counts conns.
type connCounter struct{ opened, closed atomic.Int64 }

func (c *connCounter) ConnOpened(transport.Peer) { c.opened.Add(1) }
func (c *connCounter) ConnClosed(transport.Peer) { c.closed.Add(1) }
func (c *connCounter) CallDone(mgr.CallResult)   {}

// A server is a manager with listeners on one transport, which the tests abuse one after the other.
type server struct {
	alltransports.Case
	id       alltransports.Identity
	addr     net.Addr // max-frame is 1 MiB, and a conn may be idle for an hour
	defaults net.Addr // the same, but max-frame has its default
	short    net.Addr // idle-timeout and frame-timeout are short
	conns    connCounter
}

// An abuse is a test of a server. It runs on all transports for which on is true.
type abuse struct {
	name string
	on   func(alltransports.Case) bool
	run  func(*server, *testing.T)
}

func everywhere(alltransports.Case) bool       { return true }
func onByteStreams(tc alltransports.Case) bool { return tc.Raw != nil }
func onWebSocket(tc alltransports.Case) bool   { return tc.Raw == nil && !tc.OneShot }

// onUnix is for what depends on the code behind the transports alone, and takes long or needs the socket itself.
func onUnix(tc alltransports.Case) bool { return tc.Name == "unix" }

var abuses = []abuse{
	{"too large", everywhere, (*server).tooLarge},
	{"too large for the default limit", onUnix, (*server).tooLargeForDefault},
	{"too deep", everywhere, (*server).tooDeep},
	{"too deep, exact limit and text", onUnix, (*server).tooDeepExactly},
	{"no frames", everywhere, (*server).noFrames},
	{"no frames, exact texts", onUnix, (*server).noFramesExactly},
	{"silence", onByteStreams, (*server).silence},
	{"silence between messages", onWebSocket, (*server).noMessage},
	{"too slow", onByteStreams, (*server).tooSlow},
	{"byte by byte", onUnix, (*server).byteByByte},
	{"half-close", onUnix, (*server).halfClose},
	{"memory of unfinished frames", onUnix, (*server).memory},
	{"2000 idle conns", onUnix, (*server).idle},
	{"cut off", onByteStreams, (*server).cutOff},
	{"left unread", everywhere, (*server).leftUnread},
	{"2000 connections without a conn", everywhere, (*server).strangers},
	{"never reads", everywhere, (*server).neverReads},
	{"floods", onUnix, (*server).floods},
}

// Abuse by some clients delays no other client by more than a second. The abusing client gets an error reply where it can
// read one. At the end no conn, goroutine or descriptor is left.
func TestAbuseOnEveryTransport(t *testing.T) {
	env := alltransports.New(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // the Go runtime opens descriptors of its own with the first one
	require.NoError(t, err)
	require.NoError(t, l.Close())
	for _, tc := range env.Cases() {
		t.Run(tc.Name, func(t *testing.T) {
			goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)
			s := &server{Case: tc, id: env.Client}
			stop := s.start(t)
			s.requirePrompt(t)
			warm := runtime.NumGoroutine() + pooledGoroutines // with those of the listeners, and of a client's connection

			for _, a := range abuses {
				if a.on(tc) {
					t.Run(a.name, func(t *testing.T) { a.run(s, t) })
				}
			}

			testkit.Eventually(t, func() bool { return runtime.NumGoroutine() <= warm }, "goroutines are left; there were %d", warm)
			s.requireNoConns(t)
			require.NoError(t, stop())
			spare := 1 // of the client's network
			if onUnix(tc) {
				spare = 0
			}
			testkit.Eventually(t, func() bool {
				return runtime.NumGoroutine() <= goroutines+1 && openDescriptors(t) <= descriptors+spare
			}, "goroutines or descriptors are left; there were %d and %d", goroutines, descriptors)
		})
	}
}

// start runs the manager. stop ends it, and returns the error of its Run.
func (s *server) start(t *testing.T) (stop func() error) {
	t.Helper()
	m := mgr.New(&mgr.Options{
		Logger: slog.New(slog.DiscardHandler), Authorizer: testdaemon.AnyCredential{}, Observer: &s.conns,
		Limits: mgr.Limits{WriteTimeout: 400 * time.Millisecond},
	})
	large, err := wire.Encode(strings.Repeat("x", 512<<10))
	require.NoError(t, err)
	require.NoError(t, m.Register(
		mgr.Func("size", "Return the length of the arguments.", mgr.Read, func(ctx context.Context, _ mgr.None) (int, error) {
			call, _ := mgr.CallOf(ctx)
			return len(call.Arguments), nil
		}, mgr.AnyArguments()),
		mgr.Func("large", "Return 512 KiB.", mgr.Read, func(context.Context, mgr.None) (wire.Raw, error) { return large, nil }),
		mgr.Func("page", "Return 4 KiB.", mgr.Read, func(context.Context, mgr.None) (string, error) { return strings.Repeat("x", 4<<10), nil }),
	))
	stop = testdaemon.Serve(t, m)
	s.addr = testdaemon.Open(t, m, s.Listen(t, alltransports.Limits{MaxFrame: 1 << 20, Idle: time.Hour}))
	s.defaults = testdaemon.Open(t, m, s.Listen(t, alltransports.Limits{Idle: time.Hour}))
	s.short = testdaemon.Open(t, m, s.Listen(t, alltransports.Limits{MaxFrame: 1 << 20, Idle: 150 * time.Millisecond, FrameTimeout: 400 * time.Millisecond}))
	return stop
}

func openDescriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

// heap returns how much memory the heap uses.
func heap() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// within returns a context that ends after testkit.Timeout, or when the test ends.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Timeout)
	t.Cleanup(cancel)
	return ctx
}

// give sends a frame on a conn of its own, and returns the reply.
func (s *server) give(t *testing.T, addr net.Addr, request string) (wire.Reply, error) {
	t.Helper()
	conn, err := s.Dial(addr, s.id).Dial(within(t))
	require.NoError(t, err)
	defer conn.Close()
	_ = conn.Send(within(t), []byte(request)) // the server may refuse it before it has read the end
	frame, err := conn.Receive(within(t), nil)
	if err != nil {
		return wire.Reply{}, err
	}
	return wire.DecodeReply(frame)
}

// dialBytes opens an authenticated conn on which the test writes bytes.
func (s *server) dialBytes(t *testing.T, addr net.Addr) alltransports.Bytes {
	t.Helper()
	c, err := s.Raw(within(t), addr, s.id)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(testkit.Timeout)))
	return c
}

// askLarge opens a conn and asks for a reply of 512 KiB.
func (s *server) askLarge(t *testing.T) transport.Conn {
	t.Helper()
	conn, err := s.Dial(s.addr, s.id).Dial(within(t))
	require.NoError(t, err)
	require.NoError(t, conn.Send(within(t), []byte(`{"command":"large"}`)))
	return conn
}

// requirePrompt requires that the server answers a new client within a second.
func (s *server) requirePrompt(t *testing.T) {
	t.Helper()
	began := time.Now()
	reply, err := client.Do(within(t), s.Dial(s.addr, s.id), wire.Request{Command: "size"})
	require.NoError(t, err)
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	limit := time.Second
	if testkit.RaceEnabled {
		limit *= 10
	}
	require.Less(t, time.Since(began), limit)
}

// requireNoConns waits until all conns have ended.
func (s *server) requireNoConns(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, func() bool { return s.conns.opened.Load() == s.conns.closed.Load() }, "conns stay open")
}

// requireRefused requires that the server has refused a frame: with a reply that has word, or on HTTP with a status.
func (s *server) requireRefused(t *testing.T, reply wire.Reply, err error, word string, status int) {
	t.Helper()
	if !s.OneShot {
		require.NoError(t, err)
		require.ErrorIs(t, reply.Err(), &wire.Error{Code: wire.CodeError, Word: word})
		return
	}
	var refused *http.StatusError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, status, refused.Status)
}

// readToEnd reads to the end. The server may reset a conn whose client is still writing.
func readToEnd(t *testing.T, conn net.Conn) []byte {
	t.Helper()
	text, err := io.ReadAll(conn)
	require.True(t, err == nil || errors.Is(err, syscall.ECONNRESET), "%v", err)
	return text
}

// sizeOf returns a request of the command size whose arguments are a string of n bytes.
func sizeOf(n int) string {
	return `{"command":"size","arguments":"` + strings.Repeat("a", n) + `"}`
}

func (s *server) tooLarge(t *testing.T) {
	reply, err := s.give(t, s.addr, sizeOf(1<<20-len(sizeOf(0))))
	require.NoError(t, err)
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	for _, n := range []int{1<<20 - len(sizeOf(0)) + 1, 2 << 20, 17 << 20} {
		reply, err := s.give(t, s.addr, sizeOf(n))
		s.requireRefused(t, reply, err, "too-large", 413)
	}
	s.requirePrompt(t)
}

func (s *server) tooLargeForDefault(t *testing.T) {
	for _, n := range []int{10_000_000, 16<<20 - len(sizeOf(0))} {
		reply := testdaemon.Ask(t, s.defaults.String(), sizeOf(n))
		require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
		require.Equal(t, fmt.Sprint(n+2), testdaemon.Arguments(t, reply))
	}
	for _, n := range []int{16<<20 - len(sizeOf(0)) + 1, 17 << 20, 40 << 20} {
		conn := testdaemon.DialRaw(t, s.defaults.String())
		_, _ = io.WriteString(conn, sizeOf(n)) // the server does not read it to the end
		reply, err := wire.DecodeReply(readToEnd(t, conn))
		require.NoError(t, err)
		require.Equal(t, wire.CodeError, reply.Code)
		require.Equal(t, "the command is longer than the 16777216 bytes that are allowed (max-frame)", reply.Text)
		require.ErrorIs(t, reply.Err(), &wire.Error{Code: wire.CodeError, Word: "too-large"})
	}
	s.requirePrompt(t)
}

// nested returns a request whose JSON has n levels. The message itself is one of them.
func nested(n int) string {
	return `{"command":"size","arguments":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
}

func (s *server) tooDeep(t *testing.T) {
	for _, n := range []int{101, 10_000, 500_000} {
		reply, err := s.give(t, s.addr, nested(n))
		require.NoError(t, err)
		require.ErrorIs(t, reply.Err(), &wire.Error{Code: wire.CodeError, Word: "too-deep"})
	}
	s.requirePrompt(t)
}

func (s *server) tooDeepExactly(t *testing.T) {
	path := s.defaults.String()
	for _, n := range []int{99, 100} {
		require.Equal(t, wire.CodeSuccess, testdaemon.Ask(t, path, nested(n)).Code)
	}
	const text = "fromJSON elements nested too deeply in <wire>:0:130"
	for _, n := range []int{101, 102, 1_000_000} {
		reply := testdaemon.Ask(t, path, nested(n))
		require.Equal(t, wire.CodeError, reply.Code)
		require.Equal(t, text, reply.Text)
		require.ErrorIs(t, reply.Err(), &wire.Error{Code: wire.CodeError, Word: "too-deep"})
	}
	// A hundredth level is accepted if it is empty.
	reply := testdaemon.Ask(t, path, `{"command":"size","arguments":`+strings.Repeat("[", 99)+"1"+strings.Repeat("]", 99)+`}`)
	require.Equal(t, text, reply.Text)

	conn := testdaemon.DialRaw(t, path)
	_, err := io.WriteString(conn, strings.Repeat("[", 1_000_000)) // without a closing bracket
	require.NoError(t, err)
	require.NoError(t, conn.CloseWrite())
	require.Empty(t, readToEnd(t, conn))
	s.requirePrompt(t)
}

const postOfHTTP = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 28\r\n\r\n" + `{"command":"list-commands"}`

func (s *server) noFrames(t *testing.T) {
	for _, sent := range []string{"garbage", postOfHTTP, "\x16\x03\x01\x02", "\x00{}", "/etc/passwd", `"a"`} {
		reply, err := s.give(t, s.addr, sent)
		s.requireRefused(t, reply, err, "bad-frame", 400)
	}
	for _, sent := range []string{"{\x00}", "{\"\xff\":1}", `{"command":"size"]`, `{"command":"size","id":1e400}`, `{"command":"size","command":"large"}`} {
		reply, err := s.give(t, s.addr, sent)
		require.NoError(t, err, sent)
		require.Equal(t, wire.CodeError, reply.Code, sent)
	}
	s.requirePrompt(t)
}

func (s *server) noFramesExactly(t *testing.T) {
	for _, test := range []struct{ sent, want string }{
		{"garbage", "invalid first character g"},
		{postOfHTTP, "invalid first character P"},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "invalid first character \x16"}, // TLS
		{"\x00{}", "invalid first character \x00"},
		{"\xef\xbb\xbf{}", "invalid first character ï"},
		{"\xff\xfe{\x00}\x00", "invalid first character ÿ"},
		{" \n\x1b[2J", "invalid character \x1b"},
		{"*1\r\n$4\r\nPING\r\n", "invalid first character *"},
		{"\"a\"", "invalid first character \""},
		{"/etc/passwd", "invalid characters /e"},
		{"{\x00}", "String expected in <wire>:0:2"},
		{"{\"\xff\":1}", "invalid UTF-8 in <wire>:0:3"},
		{`{"command":"size","id":1e400}`, "Error during command processing: invalid command: expected 'id' to be a string of at most 128 bytes or an integer within ±2^53, got 1e400"},
	} {
		conn := testdaemon.DialRaw(t, s.defaults.String())
		_, _ = io.WriteString(conn, test.sent+strings.Repeat("x", 100_000))
		reply, err := wire.DecodeReply(readToEnd(t, conn))
		require.NoError(t, err)
		require.Equal(t, test.want, reply.Text)
		require.Equal(t, wire.CodeError, reply.Code)
	}
	s.requirePrompt(t)
}

const timedOut = "Connection over control channel timed out"

// silence: a client that sends no frame, or a part of a frame, gets an error reply after idle-timeout or frame-timeout.
func (s *server) silence(t *testing.T) {
	for sent, want := range map[string]string{
		"":                   timedOut,
		" ":                  timedOut,
		" \n# hm":            timedOut,
		`{ "command": "serv`: timedOut + ", discarded partial command of 18 bytes",
	} {
		if sent == "" && !onUnix(s.Case) {
			continue // QUIC opens a stream with its first byte
		}
		conn := s.dialBytes(t, s.short)
		_, err := io.WriteString(conn, sent)
		require.NoError(t, err)
		reply := testdaemon.ReadReply(t, conn)
		require.Equal(t, want, reply.Text)
		require.Equal(t, wire.CodeError, reply.Code)
	}
	s.requirePrompt(t)
}

// noMessage: a WebSocket client that sends no message gets an error reply after idle-timeout.
func (s *server) noMessage(t *testing.T) {
	conn, err := s.Dial(s.short, s.id).Dial(within(t))
	require.NoError(t, err)
	defer conn.Close()
	frame, err := conn.Receive(within(t), nil)
	require.NoError(t, err)
	require.Contains(t, string(frame), "timed out")
	_, err = conn.Receive(within(t), nil)
	require.ErrorIs(t, err, io.EOF)
}

// tooSlow: a client that sends a byte now and then is not idle, but frame-timeout ends its frame.
func (s *server) tooSlow(t *testing.T) {
	conn := s.dialBytes(t, s.short)
	_, err := io.WriteString(conn, `{"command": `)
	for err == nil {
		time.Sleep(20 * time.Millisecond) // this test is about a slow client
		_, err = io.WriteString(conn, " ")
		if err == nil && s.conns.opened.Load() == s.conns.closed.Load() {
			break // on some transports a write succeeds after the server has closed
		}
	}
	if onUnix(s.Case) {
		require.ErrorIs(t, err, syscall.EPIPE)
	}
	text, _ := io.ReadAll(conn)
	require.Contains(t, string(text), timedOut+", discarded partial command of ")
	s.requirePrompt(t)
}

func (s *server) byteByByte(t *testing.T) {
	conn := testdaemon.DialRaw(t, s.defaults.String())
	for _, b := range []byte(" # slowly\n" + `{"command": "size", /* really */ "arguments": "é€😀"}`) {
		_, err := conn.Write([]byte{b})
		require.NoError(t, err)
	}
	require.Equal(t, wire.CodeSuccess, testdaemon.ReadReply(t, conn).Code)
}

func (s *server) halfClose(t *testing.T) {
	conn := testdaemon.DialRaw(t, s.defaults.String())
	_, err := io.WriteString(conn, `{"command":"large","id":1}{"command":"large","id":2}{"command":"size"}`)
	require.NoError(t, err)
	require.NoError(t, conn.CloseWrite())
	text := strings.ReplaceAll(string(readToEnd(t, conn)), `"result": `, `"result":`) // the last reply has Kea's spaces
	require.Equal(t, 3, strings.Count(text, `"result":0`))

	for _, part := range []string{"", " ", `{"command":"si`, `{"command":"size"`, "/* {} "} {
		conn := testdaemon.DialRaw(t, s.defaults.String())
		_, err := io.WriteString(conn, part)
		require.NoError(t, err)
		require.NoError(t, conn.CloseWrite())
		require.Empty(t, string(readToEnd(t, conn)))
	}
}

// waitUntilRead waits until the server has read everything that conn has sent.
func waitUntilRead(t *testing.T, conn *net.UnixConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	testkit.Eventually(t, func() bool {
		var n int
		require.NoError(t, raw.Control(func(fd uintptr) { n, err = sys.IoctlGetInt(int(fd), sys.SIOCOUTQ) }))
		require.NoError(t, err)
		return n == 0
	}, "the server does not read")
}

// memory: memory grows with the bytes that have arrived.
func (s *server) memory(t *testing.T) {
	for _, test := range []struct{ conns, bytes, most int }{
		{500, 1, 24 << 20}, // mostly stacks of goroutines, and the conns on both sides
		{50, 100_000, 50*100_000*4 + 8<<20},
		{2, 8_000_000, 2*8_000_000*4 + 8<<20},
	} {
		before := heap()
		part := `{"command":"` + strings.Repeat("x", test.bytes)
		conns := make([]*net.UnixConn, test.conns)
		for i := range conns {
			conns[i] = testdaemon.DialRaw(t, s.defaults.String())
			_, err := io.WriteString(conns[i], part[:test.bytes])
			require.NoError(t, err)
		}
		for _, conn := range conns {
			waitUntilRead(t, conn)
		}
		grown := heap() - before
		t.Logf("%d conns with %d bytes each: %d bytes more", test.conns, test.bytes, grown)
		require.Less(t, grown, test.most)
		s.requirePrompt(t)
		for _, conn := range conns {
			require.NoError(t, conn.Close())
		}
		s.requireNoConns(t)
		testkit.Eventually(t, func() bool { return heap()-before < 4<<20 }, "the memory is not freed")
	}
}

// idle: 2000 idle conns delay no other client, and the server still reads from them.
func (s *server) idle(t *testing.T) {
	const n = 2000
	conns := make([]*net.UnixConn, n)
	for i := range conns {
		conns[i] = testdaemon.DialRaw(t, s.defaults.String())
		if i%2 == 1 {
			_, err := io.WriteString(conns[i], `{"command":"size","id":1}`)
			require.NoError(t, err)
		}
	}
	buf := make([]byte, 1000)
	for i := 1; i < n; i += 2 {
		n, err := conns[i].Read(buf)
		require.NoError(t, err)
		require.Contains(t, string(buf[:n]), `"id":1,"result":0`)
	}
	for range 20 {
		s.requirePrompt(t)
	}
	for _, i := range []int{0, 1, n - 2, n - 1} {
		_, err := io.WriteString(conns[i], `{"command":"size"}`)
		require.NoError(t, err)
		require.Equal(t, wire.CodeSuccess, testdaemon.ReadReply(t, conns[i]).Code)
	}
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	s.requireNoConns(t)
}

// cutOff: conns that end within a frame or a reply leave nothing open.
func (s *server) cutOff(t *testing.T) {
	parts := []string{
		"", `{"command":"si`, `{"command":"large","id":1}{`, `{"command":"large"}`,
		`{"command":"page","id":1}{`, `{"command":"page"}`, "/*",
	}
	n := 100
	if onUnix(s.Case) {
		n = 500
	}
	for i := range n {
		conn := s.dialBytes(t, s.addr)
		_, err := io.WriteString(conn, parts[i%len(parts)])
		require.NoError(t, err)
		if tcp, ok := conn.(*net.TCPConn); ok && i%2 == 0 {
			require.NoError(t, tcp.SetLinger(0)) // Close sends a reset
		}
		require.NoError(t, conn.Close())
	}
	s.requirePrompt(t)
	s.requireNoConns(t)
}

// leftUnread: conns that end before the client has read the reply leave nothing open.
func (s *server) leftUnread(t *testing.T) {
	for range 100 {
		_ = s.askLarge(t).Close()
	}
	s.requirePrompt(t)
	s.requireNoConns(t)
}

// strangers: 2000 connections that never become conns keep no client out. Some are silent, others stop within a handshake.
func (s *server) strangers(t *testing.T) {
	const n = 2000
	begun := []string{"", "\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgr", "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"}
	before := heap()
	conns := make([]net.Conn, 0, n)
	for i := range n {
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
		c, err := s.Connect(ctx, s.addr)
		cancel()
		require.NoError(t, err)
		conns = append(conns, c)
		_, _ = io.WriteString(c, begun[i%len(begun)])
		if i%500 == 499 {
			s.requirePrompt(t)
		}
	}
	s.requirePrompt(t)
	grown := heap() - before
	t.Logf("%d connections: %d bytes more", n, grown)
	require.Less(t, grown, 100<<20)
	for _, c := range conns {
		_ = c.Close()
	}
	s.requirePrompt(t)
}

// neverReads: a client that does not read a long reply loses its conn after write-timeout, and delays no other client.
func (s *server) neverReads(t *testing.T) {
	before := s.conns.closed.Load()
	conns := make([]transport.Conn, 20)
	for i := range conns {
		conns[i] = s.askLarge(t)
	}
	s.requirePrompt(t)
	if s.Raw != nil { // elsewhere the client's library reads
		testkit.Eventually(t, func() bool { return s.conns.closed.Load() >= before+int64(len(conns)) }, "the server does not close the conns")
	}
	for _, c := range conns {
		_ = c.Close()
	}
	s.requireNoConns(t)
}

// floods: the server stops reading from a client that sends requests and does not read the replies.
func (s *server) floods(t *testing.T) {
	before := heap()
	for range 4 {
		conn := testdaemon.DialRaw(t, s.defaults.String())
		n := 0
		var err error
		for err == nil && n < 100<<20 {
			require.NoError(t, conn.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
			var wrote int
			wrote, err = fmt.Fprintf(conn, `{"command":"page","id":%d}`, n)
			n += wrote
		}
		require.Error(t, err, "the server does not stop reading")
	}
	require.Less(t, heap()-before, 4*64<<20+32<<20)
	s.requirePrompt(t)
	s.requireNoConns(t)
}
