//go:build linux

package security_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
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
)

// kept is how many goroutines a manager keeps of those that served conns and sent replies.
const kept = 64 + 8

// A target is one way in, and what is done to it.
type target struct {
	alltransports.Case
	id        alltransports.Identity
	addr      net.Addr // of a place where one may be silent for long
	impatient net.Addr // of one where one may not
	seen      conns
}

// Whatever clients do to a daemon, on whichever transport: the others are served within a second, who
// can be told is told what was wrong, and in the end nothing is left of it.
func TestAbuseOnEveryTransport(t *testing.T) {
	env := alltransports.New(t)
	for _, tc := range env.Cases() {
		t.Run(tc.Name, func(t *testing.T) {
			goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)
			v := &target{Case: tc, id: env.Client}
			m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: testdaemon.AnyCredential{}, Observer: &v.seen, Limits: mgr.Limits{WriteTimeout: 400 * time.Millisecond}})
			large, err := wire.Encode(strings.Repeat("x", 512<<10))
			require.NoError(t, err)
			require.NoError(t, m.Register(
				mgr.Func("size", "How long the arguments are.", mgr.Read, func(ctx context.Context, _ mgr.None) (int, error) {
					call, _ := mgr.CallOf(ctx)
					return len(call.Arguments), nil
				}, mgr.AnyArguments()),
				mgr.Func("large", "Return 512 KiB.", mgr.Read, func(context.Context, mgr.None) (wire.Raw, error) { return large, nil }),
			))
			stop := testdaemon.Serve(t, m)
			v.addr = testdaemon.Open(t, m, tc.Listen(t, alltransports.Limits{MaxFrame: 1 << 20, Idle: time.Hour}))
			v.impatient = testdaemon.Open(t, m, tc.Listen(t, alltransports.Limits{MaxFrame: 1 << 20, Idle: 150 * time.Millisecond, FrameTimeout: 400 * time.Millisecond}))
			v.good(t)
			warm := runtime.NumGoroutine() + kept // what serves, and a client's connection

			for _, abuse := range []struct {
				name string
				here bool // it can be done here
				do   func(*testing.T)
			}{
				{"too large", true, v.tooLarge},
				{"too deep", true, v.tooDeep},
				{"no frames", true, v.noFrames},
				{"silence", tc.Raw != nil, v.silence},
				{"silence between messages", tc.Raw == nil && !tc.OneShot, v.noMessage},
				{"too slow", tc.Raw != nil, v.tooSlow},
				{"cut off", tc.Raw != nil, v.cutOff},
				{"left unread", true, v.leftUnread},
				{"strangers", true, v.strangers},
				{"never reads", true, v.neverReads},
			} {
				if abuse.here {
					t.Run(abuse.name, abuse.do)
				}
			}

			testkit.Eventually(t, func() bool { return runtime.NumGoroutine() <= warm }, "%d goroutines are left, there were %d", runtime.NumGoroutine(), warm)
			v.ended(t)
			require.NoError(t, stop())
			testkit.Eventually(t, func() bool {
				return runtime.NumGoroutine() <= goroutines+1 && openDescriptors(t) <= descriptors+1
			}, "there were %d goroutines and %d descriptors", goroutines, descriptors)
		})
	}
}

// give gives one command on a conn of its own.
func (v *target) give(t *testing.T, addr net.Addr, request string) (wire.Reply, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Timeout)
	defer cancel()
	conn, err := v.Dial(addr, v.id).Dial(ctx)
	require.NoError(t, err)
	defer conn.Close()
	_ = conn.Send(ctx, []byte(request)) // it may be refused before it is read to its end
	frame, err := conn.Receive(ctx, nil)
	if err != nil {
		return wire.Reply{}, err
	}
	return wire.DecodeReply(frame)
}

// good is a client that wants to be served, and soon.
func (v *target) good(t *testing.T) {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Timeout)
	defer cancel()
	reply, err := client.Do(ctx, v.Dial(v.addr, v.id), wire.Request{Command: "size"})
	require.NoError(t, err)
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	soon := time.Second
	if testkit.RaceEnabled {
		soon *= 10
	}
	require.Less(t, time.Since(began), soon)
}

// ended waits until all conns have ended.
func (v *target) ended(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, func() bool { return v.seen.opened.Load() == v.seen.closed.Load() }, "conns stay open")
}

// refused checks that a frame was refused in words: ours or, where it has its own, the wire's.
func (v *target) refused(t *testing.T, reply wire.Reply, err error, word string, status int) {
	t.Helper()
	if !v.OneShot {
		require.NoError(t, err)
		require.ErrorIs(t, reply.Err(), &wire.Error{Code: wire.CodeError, Word: word})
		return
	}
	var refused *http.StatusError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, status, refused.Status)
}

func (v *target) tooLarge(t *testing.T) {
	request := func(n int) string { return `{"command":"size","arguments":"` + strings.Repeat("a", n) + `"}` }
	reply, err := v.give(t, v.addr, request(1<<20-len(request(0))))
	require.NoError(t, err)
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	for _, n := range []int{1<<20 - len(request(0)) + 1, 2 << 20, 17 << 20} {
		reply, err := v.give(t, v.addr, request(n))
		v.refused(t, reply, err, "too-large", 413)
	}
	v.good(t)
}

func (v *target) tooDeep(t *testing.T) {
	for _, n := range []int{101, 10_000, 500_000} {
		reply, err := v.give(t, v.addr, `{"command":"size","arguments":`+strings.Repeat("[", n-1)+strings.Repeat("]", n-1)+`}`)
		require.NoError(t, err)
		require.ErrorIs(t, reply.Err(), &wire.Error{Code: wire.CodeError, Word: "too-deep"})
	}
	v.good(t)
}

func (v *target) noFrames(t *testing.T) {
	for _, sent := range []string{"garbage", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 28\r\n\r\n" + `{"command":"list-commands"}`, "\x16\x03\x01\x02", "\x00{}", "/etc/passwd", `"a"`} {
		reply, err := v.give(t, v.addr, sent)
		v.refused(t, reply, err, "bad-frame", 400)
	}
	for _, sent := range []string{"{\x00}", "{\"\xff\":1}", `{"command":"size"]`, `{"command":"size","id":1e400}`, `{"command":"size","command":"large"}`} {
		reply, err := v.give(t, v.addr, sent)
		require.NoError(t, err, sent)
		require.Equal(t, wire.CodeError, reply.Code, sent)
	}
	v.good(t)
}

// raw opens a conn that has proven who it is, on which bytes can be written.
func (v *target) raw(t *testing.T, addr net.Addr) alltransports.Bytes {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Timeout)
	defer cancel()
	c, err := v.Raw(ctx, addr, v.id)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(testkit.Timeout)))
	return c
}

// silence: who says nothing, or only half of something, is told so and closed.
func (v *target) silence(t *testing.T) {
	for _, sent := range []string{" ", " \n# hm", `{ "command": "serv`} {
		c := v.raw(t, v.impatient)
		_, err := io.WriteString(c, sent)
		require.NoError(t, err)
		text, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Contains(t, string(text), "Connection over control channel timed out")
	}
}

// noMessage: who sends no message is told so too.
func (v *target) noMessage(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
	defer cancel()
	conn, err := v.Dial(v.impatient, v.id).Dial(ctx)
	require.NoError(t, err)
	defer conn.Close()
	frame, err := conn.Receive(ctx, nil)
	require.NoError(t, err)
	require.Contains(t, string(frame), "timed out")
	_, err = conn.Receive(ctx, nil)
	require.ErrorIs(t, err, io.EOF)
}

// tooSlow: one that always says a little is not silent, and yet its command must end one day.
func (v *target) tooSlow(t *testing.T) {
	c := v.raw(t, v.impatient)
	_, err := io.WriteString(c, `{"command": `)
	for err == nil {
		time.Sleep(20 * time.Millisecond) // what is tested is how slow it may be
		_, err = io.WriteString(c, " ")
		if err == nil && v.seen.opened.Load() == v.seen.closed.Load() {
			break // some take what nobody reads, until they are told
		}
	}
	text, _ := io.ReadAll(c)
	require.Contains(t, string(text), "timed out, discarded partial command of ")
	v.good(t)
}

// cutOff: conns that end in the middle of something leave nothing behind.
func (v *target) cutOff(t *testing.T) {
	for i := range 100 {
		c := v.raw(t, v.addr)
		_, err := io.WriteString(c, []string{`{"command":"si`, `{"command":"large","id":1}{`, `{"command":"large"}`, "/*"}[i%4])
		require.NoError(t, err)
		if tcp, ok := c.(*net.TCPConn); ok && i%2 == 0 {
			require.NoError(t, tcp.SetLinger(0)) // a reset
		}
		require.NoError(t, c.Close())
	}
	v.good(t)
	v.ended(t)
}

// leftUnread: neither do those that end before their reply is read.
func (v *target) leftUnread(t *testing.T) {
	for range 100 {
		_ = v.ask(t).Close()
	}
	v.good(t)
	v.ended(t)
}

// ask opens a conn and asks for a long reply.
func (v *target) ask(t *testing.T) transport.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
	defer cancel()
	conn, err := v.Dial(v.addr, v.id).Dial(ctx)
	require.NoError(t, err)
	require.NoError(t, conn.Send(ctx, []byte(`{"command":"large"}`)))
	return conn
}

// strangers: 2000 connections that never become conns keep nobody out, whether they say nothing or
// stop in the middle of a handshake.
func (v *target) strangers(t *testing.T) {
	const many = 2000
	begun := []string{"", "\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgr", "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"}
	before := heap()
	some := make([]net.Conn, 0, many)
	for i := range many {
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
		c, err := v.Connect(ctx, v.addr)
		cancel()
		require.NoError(t, err)
		some = append(some, c)
		_, _ = io.WriteString(c, begun[i%len(begun)])
		if i%500 == 499 {
			v.good(t)
		}
	}
	v.good(t)
	grown := heap() - before
	t.Logf("%d strangers: %d bytes more", len(some), grown)
	require.Less(t, grown, 100<<20)
	for _, c := range some {
		_ = c.Close()
	}
	v.good(t)
}

// neverReads: who does not read a long reply loses its conn, and delays nobody.
func (v *target) neverReads(t *testing.T) {
	before := v.seen.closed.Load()
	some := make([]transport.Conn, 20)
	for i := range some {
		some[i] = v.ask(t)
	}
	v.good(t)
	if v.Raw != nil { // nobody reads on the client's behalf
		testkit.Eventually(t, func() bool { return v.seen.closed.Load() >= before+int64(len(some)) }, "they are waited for")
	}
	for _, c := range some {
		_ = c.Close()
	}
	v.ended(t)
}
