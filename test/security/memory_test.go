//go:build linux

package security_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// The bounds of PROTOCOL.md, section "Memory": resident memory is at most twice max-buffered, plus statedPerConn for each
// open conn, plus statedProcess.
const (
	statedPerConn = 64 << 10
	statedProcess = 32 << 20
	testBuffered  = 16 << 20
)

// If beMeasured is in its environment, the test program is a daemon with listeners on all transports. The value is the
// directory of its CA. beMeasuredRole is the role of all clients except the owner; it may be empty.
const (
	beMeasured     = "RUDDERPOST_TEST_BE_MEASURED"
	beMeasuredRole = "RUDDERPOST_TEST_BE_MEASURED_ROLE"
)

// runMeasured serves until SIGTERM.
func runMeasured() int {
	env, err := alltransports.At(os.Getenv(beMeasured))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	options := access.Options{Kinds: []string{"proven"}}
	if role := os.Getenv(beMeasuredRole); role != "" {
		for _, subject := range []string{"anonymous:monitor", "cert:admin", "user:ann", "token:ci"} {
			options.Principals = append(options.Principals, access.Principal{Subject: subject, Role: role})
		}
	}
	policy, err := access.NewPolicy(options)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: policy, Limits: mgr.Limits{MaxBuffered: testBuffered, WriteTimeout: time.Minute}})
	err = m.Register(
		mgr.Func("size", "How long the arguments are.", mgr.Read, func(ctx context.Context, _ mgr.None) (int, error) {
			call, _ := mgr.CallOf(ctx)
			return len(call.Arguments), nil
		}, mgr.AnyArguments()),
		mgr.Func("goroutines", "How many goroutines there are.", mgr.Read, func(context.Context, mgr.None) (int, error) {
			return runtime.NumGoroutine(), nil
		}),
		mgr.Func("page", "Return 200 KB.", mgr.Read, func(context.Context, mgr.None) (string, error) {
			return strings.Repeat("x", 200_000), nil
		}))
	for _, tc := range env.Cases() {
		if err != nil {
			fmt.Println(err)
			return 1
		}
		var socket *mgr.Listener
		if socket, err = m.Open(ctx, tc.Listen(nil, alltransports.Limits{Idle: time.Hour})); err == nil {
			fmt.Println(tc.Name, socket.Addr())
		}
	}
	if _, err := m.Open(ctx, &unix.Transport{Path: filepath.Join(os.Getenv("RUDDERPOST_TEST_SOCKET_DIR"), "owner")}); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := m.Run(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// A measured is a daemon in a process of its own, whose memory the test measures.
type measured struct {
	t     *testing.T
	env   *alltransports.Env
	pid   int
	addrs map[string]alltransports.Address
	owner *unix.Transport
}

func startMeasured(t *testing.T, role string) *measured {
	t.Helper()
	if testkit.RaceEnabled {
		t.Skip("the race detector multiplies memory")
	}
	d := &measured{t: t, env: alltransports.New(t), addrs: map[string]alltransports.Address{}}
	dir := testkit.ShortDir(t)
	d.owner = &unix.Transport{Path: filepath.Join(dir, "owner")}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), beMeasured+"="+d.env.Dir, beMeasuredRole+"="+role, "RUDDERPOST_TEST_SOCKET_DIR="+dir)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	d.pid = cmd.Process.Pid
	lines := bufio.NewScanner(out)
	for range d.env.Cases() {
		require.True(t, lines.Scan())
		name, addr, ok := strings.Cut(lines.Text(), " ")
		require.True(t, ok, lines.Text())
		d.addrs[name] = alltransports.Address(addr)
	}
	testkit.Eventually(t, func() bool { return testkit.Exists(d.owner.Path) }, "the owner's socket is not there")
	return d
}

// status returns a number from /proc/PID/status.
func (d *measured) status(key string) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.pid))
	require.NoError(d.t, err)
	_, rest, ok := strings.Cut(string(text), key+":")
	require.True(d.t, ok)
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(d.t, err)
	return n
}

func (d *measured) descriptors() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.pid))
	require.NoError(d.t, err)
	return len(entries)
}

// within waits until the peak of resident memory no longer grows, and requires that it is within the bounds.
func (d *measured) within(conns int) {
	d.t.Helper()
	for last := 0; last < d.status("VmRSS"); {
		last = d.status("VmRSS")
		time.Sleep(200 * time.Millisecond)
	}
	peak := d.status("VmHWM") << 10
	most := 2*testBuffered + conns*statedPerConn + statedProcess
	d.t.Logf("%d MB resident at most, of %d", peak>>20, most>>20)
	require.LessOrEqual(d.t, peak, most)
}

// goroutines returns the number of goroutines of the daemon.
func (d *measured) goroutines() int {
	ctx, cancel := context.WithTimeout(d.t.Context(), testkit.Timeout)
	defer cancel()
	reply, err := client.Do(ctx, d.owner, wire.Request{Command: "goroutines"})
	require.NoError(d.t, err)
	n, err := strconv.Atoi(testdaemon.Arguments(d.t, reply))
	require.NoError(d.t, err)
	return n
}

// ownerIsServed requires that the daemon answers a command of the owner soon.
func (d *measured) ownerIsServed() {
	d.t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(d.t.Context(), testkit.Timeout)
	defer cancel()
	reply, err := client.Do(ctx, d.owner, wire.Request{Command: "size"})
	require.NoError(d.t, err)
	require.Equal(d.t, wire.CodeSuccess, reply.Code, reply.Text)
	require.Less(d.t, time.Since(began), 5*time.Second)
}

// secured returns a connection to a listener, with TLS if the listener has it, for bytes of HTTP.
func (d *measured) secured(tc alltransports.Case) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), testkit.Timeout)
	defer cancel()
	c, err := tc.Connect(ctx, d.addrs[tc.Name])
	if err != nil || !tc.Secure {
		return c, err
	}
	config, err := d.env.Client.Client.Config("127.0.0.1", "http/1.1")
	if err != nil {
		return nil, err
	}
	secure := tls.Client(c, config)
	return secure, secure.HandshakeContext(ctx)
}

// begin opens a conn that is ready for the bytes of one frame.
func (d *measured) begin(tc alltransports.Case) (net.Conn, error) {
	const proof = "Authorization: Bearer " + alltransports.Secret + "\r\n"
	if tc.Raw != nil {
		ctx, cancel := context.WithTimeout(d.t.Context(), testkit.Timeout)
		defer cancel()
		return tc.Raw(ctx, d.addrs[tc.Name], d.env.Client)
	}
	c, err := d.secured(tc)
	if err != nil {
		return nil, err
	}
	if tc.OneShot {
		_, err = io.WriteString(c, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"+proof+"Content-Type: application/json\r\nContent-Length: 15000000\r\n\r\n")
		return c, err
	}
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"+proof+"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		return c, err
	}
	head := bufio.NewReader(c)
	for line := "x"; err == nil && strings.TrimSpace(line) != ""; {
		line, err = head.ReadString('\n')
	}
	frame := binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, 15_000_000)
	_, err2 := c.Write(append(frame, 0, 0, 0, 0)) // masked with zeros
	if err == nil {
		err = err2
	}
	return c, err
}

// unfinished opens conns and sends n bytes of an unfinished frame on each, in pieces. It returns the conns that the daemon
// has not closed.
func (d *measured) unfinished(tc alltransports.Case, conns, n, piece int) (open []net.Conn) {
	part := []byte(`{"command":"` + strings.Repeat("x", n))
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, 16)
	for range conns {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			c, err := d.begin(tc)
			if c == nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			if err != nil {
				return
			}
			for rest := part; len(rest) > 0; {
				_ = c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
				k := min(piece, len(rest))
				if _, err := c.Write(rest[:k]); err != nil {
					return // the daemon has refused the frame
				}
				rest = rest[k:]
			}
		})
	}
	all.Wait()
	return open
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// eachWay runs a test with a daemon of its own for each transport.
func eachWay(t *testing.T, role string, test func(t *testing.T, d *measured, tc alltransports.Case)) {
	for _, tc := range alltransports.New(t).Cases() {
		t.Run(tc.Name, func(t *testing.T) {
			d := startMeasured(t, role)
			for _, own := range d.env.Cases() {
				if own.Name == tc.Name {
					tc = own
				}
			}
			d.ownerIsServed()
			descriptors, goroutines := d.descriptors(), d.goroutines()
			test(t, d, tc)
			testkit.Eventually(t, func() bool { return d.descriptors() <= descriptors+2 && d.goroutines() <= goroutines+pooledGoroutines },
				"there were %d descriptors and %d goroutines", descriptors, goroutines)
			d.ownerIsServed()
		})
	}
}

// On UNIX sockets the clients have the user of the test, which is the owner of the daemon.
func TestUnfinishedFramesOfPeerWithoutRoleStayWithinMemory(t *testing.T) {
	eachWay(t, "", func(t *testing.T, d *measured, tc alltransports.Case) {
		open := d.unfinished(tc, 100, 3_000_000, 64<<10)
		d.ownerIsServed()
		d.within(100)
		closeAll(open)
	})
}

func TestUnfinishedFramesOfPeerThatMayReadStayWithinMemory(t *testing.T) {
	eachWay(t, "monitor", func(t *testing.T, d *measured, tc alltransports.Case) {
		open := d.unfinished(tc, 100, 3_000_000, 64<<10)
		d.ownerIsServed()
		d.within(100)
		closeAll(open)
	})
}

func TestTrickledFramesStayWithinMemory(t *testing.T) {
	eachWay(t, "monitor", func(t *testing.T, d *measured, tc alltransports.Case) {
		open := d.unfinished(tc, 300, 400_000, 1000)
		d.ownerIsServed()
		d.within(300)
		closeAll(open)
	})
}

// The replies have 200 KB each, and no client reads them.
func TestRepliesThatNoPeerReadsStayWithinMemory(t *testing.T) {
	eachWay(t, "monitor", func(t *testing.T, d *measured, tc alltransports.Case) {
		const conns, each = 64, 16
		var open []transport.Conn
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
		defer cancel()
		for range conns {
			conn, err := tc.Dial(d.addrs[tc.Name], d.env.Client).Dial(ctx)
			if err != nil { // the daemon accepts no further QUIC connection
				continue
			}
			open = append(open, conn)
			if tc.OneShot {
				_ = conn.Send(ctx, []byte(`{"command":"page"}`))
				continue
			}
			for id := range each {
				if conn.Send(ctx, fmt.Appendf(nil, `{"command":"page","id":%d}`, id)) != nil {
					break
				}
			}
		}
		time.Sleep(time.Second) // the daemon writes the replies that fit into the buffers
		d.ownerIsServed()
		d.within(conns)
		for _, conn := range open {
			_ = conn.Close()
		}
	})
}
