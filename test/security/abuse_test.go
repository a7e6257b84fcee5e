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
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
	sys "golang.org/x/sys/unix"
)

// A conns counts conns.
type conns struct{ opened, closed atomic.Int64 }

func (c *conns) ConnOpened(transport.Peer) { c.opened.Add(1) }
func (c *conns) ConnClosed(transport.Peer) { c.closed.Add(1) }
func (c *conns) CallDone(mgr.CallResult)   {}

// A victim is a manager that everything is done to, one after the other.
type victim struct {
	path      string // of a socket on which one may be silent for long
	impatient string // of one on which one may not
	seen      conns
}

// Whatever clients do to one manager over a real socket, the others are served, everybody who can be
// told is told what was wrong, and in the end nothing is left of it.
func TestAbuse(t *testing.T) {
	dir := testkit.ShortDir(t)
	conn, err := net.Listen("unix", filepath.Join(dir, "warm")) // the runtime's own descriptors
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)

	v := &victim{path: filepath.Join(dir, "a"), impatient: filepath.Join(dir, "b")}
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Observer: &v.seen, Limits: mgr.Limits{WriteTimeout: 400 * time.Millisecond}})
	large, err := wire.Encode(strings.Repeat("x", 512<<10))
	require.NoError(t, err)
	require.NoError(t, m.Register(
		mgr.Func("size", "How long the arguments are.", mgr.Read, func(ctx context.Context, _ mgr.None) (int, error) {
			call, _ := mgr.CallOf(ctx)
			return len(call.Arguments), nil
		}, mgr.AnyArguments()),
		mgr.Func("large", "Return 512 KiB.", mgr.Read, func(context.Context, mgr.None) (wire.Raw, error) { return large, nil }),
		mgr.Func("page", "Return 4 KiB.", mgr.Read, func(context.Context, mgr.None) (string, error) { return strings.Repeat("x", 4<<10), nil }),
	))
	stop := testdaemon.Serve(t, m,
		&unix.Transport{Path: v.path, Idle: time.Hour},
		&unix.Transport{Path: v.impatient, Idle: 100 * time.Millisecond, FrameTimeout: 300 * time.Millisecond})

	t.Run("long requests", v.longRequests)
	t.Run("nesting", v.nesting)
	t.Run("no requests", v.noRequests)
	t.Run("silence", v.silence)
	t.Run("byte by byte", v.byteByByte)
	t.Run("half-close", v.halfClose)
	t.Run("memory", v.memory)
	t.Run("2000 idle", v.idle)
	t.Run("never reads", v.neverReads)
	t.Run("floods", v.floods)
	t.Run("dropped", v.dropped)

	v.ended(t)
	require.NoError(t, stop())
	testkit.Eventually(t, func() bool { // which is asked on a goroutine of its own
		return runtime.NumGoroutine() <= goroutines+1 && openDescriptors(t) <= descriptors
	}, "there were %d goroutines and %d descriptors", goroutines, descriptors)
}

func openDescriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

// good is a client that wants to be served, and soon.
func (v *victim) good(t *testing.T) {
	t.Helper()
	began := time.Now()
	reply := testdaemon.Ask(t, v.path, `{"command":"size","arguments":[1]}`)
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	soon := time.Second
	if testkit.RaceEnabled {
		soon *= 10
	}
	require.Less(t, time.Since(began), soon)
}

// ended waits until all conns have ended.
func (v *victim) ended(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, func() bool { return v.seen.opened.Load() == v.seen.closed.Load() }, "conns stay open")
}

func (v *victim) longRequests(t *testing.T) {
	request := func(n int) string { return `{"command":"size","arguments":"` + strings.Repeat("a", n) + `"}` }
	for _, n := range []int{10_000_000, 16<<20 - len(request(0))} {
		reply := testdaemon.Ask(t, v.path, request(n))
		require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
		require.Equal(t, fmt.Sprint(n+2), testdaemon.Arguments(t, reply))
	}
	for _, n := range []int{16<<20 - len(request(0)) + 1, 17 << 20, 40 << 20} {
		conn := testdaemon.DialRaw(t, v.path)
		_, _ = io.WriteString(conn, request(n)) // it is not read to its end
		reply, err := wire.DecodeReply(untilEnd(t, conn))
		require.NoError(t, err)
		require.Equal(t, wire.CodeError, reply.Code)
		require.Equal(t, "the command is longer than the 16777216 bytes that are allowed (max-frame)", reply.Text)
		require.ErrorIs(t, reply.Err(), &wire.Error{Code: wire.CodeError, Word: "too-large"})
	}
	v.good(t)
}

// untilEnd reads to the end, which is an error for those who were still writing.
func untilEnd(t *testing.T, conn net.Conn) []byte {
	t.Helper()
	text, err := io.ReadAll(conn)
	require.True(t, err == nil || errors.Is(err, syscall.ECONNRESET), "%v", err)
	return text
}

func (v *victim) nesting(t *testing.T) {
	nest := func(n int) string {
		return `{"command":"size","arguments":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}` // the message is a level, too
	}
	for _, n := range []int{99, 100} {
		require.Equal(t, wire.CodeSuccess, testdaemon.Ask(t, v.path, nest(n)).Code)
	}
	for _, n := range []int{101, 102, 1_000_000} {
		reply := testdaemon.Ask(t, v.path, nest(n))
		require.Equal(t, wire.CodeError, reply.Code)
		require.Equal(t, "fromJSON elements nested too deeply in <wire>:0:130", reply.Text)
		require.ErrorIs(t, reply.Err(), &wire.Error{Code: wire.CodeError, Word: "too-deep"})
	}
	// A hundredth level may be there, but not have members.
	reply := testdaemon.Ask(t, v.path, `{"command":"size","arguments":`+strings.Repeat("[", 99)+"1"+strings.Repeat("]", 99)+`}`)
	require.Equal(t, "fromJSON elements nested too deeply in <wire>:0:130", reply.Text)

	conn := testdaemon.DialRaw(t, v.path)
	_, err := io.WriteString(conn, strings.Repeat("[", 1_000_000)) // nothing is closed
	require.NoError(t, err)
	require.NoError(t, conn.CloseWrite())
	require.Empty(t, untilEnd(t, conn))
	v.good(t)
}

func (v *victim) noRequests(t *testing.T) {
	for _, c := range []struct{ sent, want string }{
		{"garbage", "invalid first character g"},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 28\r\n\r\n" + `{"command":"list-commands"}`, "invalid first character P"},
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
		conn := testdaemon.DialRaw(t, v.path)
		_, _ = io.WriteString(conn, c.sent+strings.Repeat("x", 100_000))
		reply, err := wire.DecodeReply(untilEnd(t, conn))
		require.NoError(t, err)
		require.Equal(t, c.want, reply.Text)
		require.Equal(t, wire.CodeError, reply.Code)
	}
	v.good(t)
}

func (v *victim) silence(t *testing.T) {
	for sent, want := range map[string]string{
		"":                   "Connection over control channel timed out",
		" \n# hm":            "Connection over control channel timed out",
		`{ "command": "serv`: "Connection over control channel timed out, discarded partial command of 18 bytes",
	} {
		conn := testdaemon.DialRaw(t, v.impatient)
		_, err := io.WriteString(conn, sent)
		require.NoError(t, err)
		reply := testdaemon.ReadReply(t, conn)
		require.Equal(t, want, reply.Text)
		require.Equal(t, wire.CodeError, reply.Code)
	}
	// One that always says a little is not silent, and yet its command must end one day.
	conn := testdaemon.DialRaw(t, v.impatient)
	_, err := io.WriteString(conn, `{"command": `)
	for err == nil {
		time.Sleep(20 * time.Millisecond) // what is tested is how slow it may be
		_, err = io.WriteString(conn, " ")
	}
	require.ErrorIs(t, err, syscall.EPIPE)
	require.Contains(t, string(untilEnd(t, conn)), "Connection over control channel timed out, discarded partial command of ")
	v.good(t)
}

func (v *victim) byteByByte(t *testing.T) {
	conn := testdaemon.DialRaw(t, v.path)
	for _, b := range []byte(" # slowly\n" + `{"command": "size", /* really */ "arguments": "é€😀"}`) {
		_, err := conn.Write([]byte{b})
		require.NoError(t, err)
	}
	require.Equal(t, wire.CodeSuccess, testdaemon.ReadReply(t, conn).Code)
}

func (v *victim) halfClose(t *testing.T) {
	conn := testdaemon.DialRaw(t, v.path)
	_, err := io.WriteString(conn, `{"command":"large","id":1}{"command":"large","id":2}{"command":"size"}`)
	require.NoError(t, err)
	require.NoError(t, conn.CloseWrite())
	require.Equal(t, 3, strings.Count(strings.ReplaceAll(string(untilEnd(t, conn)), `"result": `, `"result":`), `"result":0`), "the last reply has Kea's spelling")

	for _, part := range []string{"", " ", `{"command":"si`, `{"command":"size"`, "/* {} "} {
		conn := testdaemon.DialRaw(t, v.path)
		_, err := io.WriteString(conn, part)
		require.NoError(t, err)
		require.NoError(t, conn.CloseWrite())
		require.Empty(t, string(untilEnd(t, conn)))
	}
}

// heap is how much memory is in use.
func heap() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// drained waits until the daemon has read everything that a conn was told.
func drained(t *testing.T, conn *net.UnixConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	testkit.Eventually(t, func() bool {
		var n int
		require.NoError(t, raw.Control(func(fd uintptr) { n, err = sys.IoctlGetInt(int(fd), sys.SIOCOUTQ) }))
		require.NoError(t, err)
		return n == 0
	}, "the daemon does not read")
}

// Memory grows with what has arrived, not with how many they are or what they may be up to.
func (v *victim) memory(t *testing.T) {
	for _, c := range []struct{ conns, bytes, most int }{
		{500, 1, 24 << 20}, // most of it are goroutines' stacks and the conns on both sides
		{50, 100_000, 50*100_000*4 + 8<<20},
		{2, 8_000_000, 2*8_000_000*4 + 8<<20},
	} {
		before := heap()
		part := `{"command":"` + strings.Repeat("x", c.bytes)
		some := make([]*net.UnixConn, c.conns)
		for i := range some {
			some[i] = testdaemon.DialRaw(t, v.path)
			_, err := io.WriteString(some[i], part[:c.bytes])
			require.NoError(t, err)
		}
		for _, conn := range some {
			drained(t, conn)
		}
		grown := heap() - before
		t.Logf("%d conns with %d bytes each: %d bytes more", c.conns, c.bytes, grown)
		require.Less(t, grown, c.most)
		v.good(t)
		for _, conn := range some {
			require.NoError(t, conn.Close())
		}
		v.ended(t)
		testkit.Eventually(t, func() bool { return heap()-before < 4<<20 }, "the memory stays")
	}
}

// Conns that say nothing cost nobody any time.
func (v *victim) idle(t *testing.T) {
	const many = 2000
	some := make([]*net.UnixConn, many)
	for i := range some {
		some[i] = testdaemon.DialRaw(t, v.path)
		if i%2 == 1 {
			_, err := io.WriteString(some[i], `{"command":"size","id":1}`)
			require.NoError(t, err)
		}
	}
	answer := make([]byte, 1000)
	for i := 1; i < many; i += 2 {
		n, err := some[i].Read(answer)
		require.NoError(t, err)
		require.Contains(t, string(answer[:n]), `"id":1,"result":0`)
	}
	for range 20 {
		v.good(t)
	}
	// They can still be heard.
	for _, i := range []int{0, 1, many - 2, many - 1} {
		_, err := io.WriteString(some[i], `{"command":"size"}`)
		require.NoError(t, err)
		require.Equal(t, wire.CodeSuccess, testdaemon.ReadReply(t, some[i]).Code)
	}
	for _, conn := range some {
		require.NoError(t, conn.Close())
	}
	v.ended(t)
}

// Who does not read a long reply loses its conn, and delays nobody.
func (v *victim) neverReads(t *testing.T) {
	for range 20 {
		conn := testdaemon.DialRaw(t, v.path)
		_, err := io.WriteString(conn, `{"command":"large"}`)
		require.NoError(t, err)
	}
	v.good(t)
	v.ended(t)
}

// Who asks more and more and reads nothing is not read from, and delays nobody.
func (v *victim) floods(t *testing.T) {
	before := heap()
	for range 4 {
		conn := testdaemon.DialRaw(t, v.path)
		n := 0
		var err error
		for err == nil && n < 100<<20 {
			require.NoError(t, conn.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
			var wrote int
			wrote, err = fmt.Fprintf(conn, `{"command":"page","id":%d}`, n)
			n += wrote
		}
		require.Error(t, err, "it reads and reads")
	}
	require.Less(t, heap()-before, 4*64<<20+32<<20)
	v.good(t)
	v.ended(t)
}

// Conns that end in the middle of something leave nothing behind.
func (v *victim) dropped(t *testing.T) {
	for i := range 500 {
		conn := testdaemon.DialRaw(t, v.path)
		_, err := io.WriteString(conn, []string{"", `{"command":"si`, `{"command":"page","id":1}{`, `{"command":"page"}`, "/*"}[i%5])
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	v.good(t)
}
