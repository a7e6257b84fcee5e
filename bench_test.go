package rudderpost_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// The round trips over a UNIX socket, next to the raw floor: a byte echo over the same kind of
// socket, whose conns hand each message to one loop goroutine and back. Both are measured in turns
// within one run, with the same client, and the ratio of their rates is reported as x-floor: 1 means
// that the whole of rudderpost (framing, decoding, authorization, queue, dispatch, encoding) costs
// nothing. With one conn everything runs on one processor, since the wake-up of an idle one would
// drown all else.
//
//	go test -run - -bench Unix -benchtime 2s .

const request = `{"command":"bench-echo","arguments":{"value":"abcdefg"},"id":1}` + "\n"

func BenchmarkUnix(b *testing.B) {
	for _, handler := range []string{"untyped", "typed"} {
		for _, conns := range []int{1, 16, 256} {
			for _, depth := range []int{1, 16} {
				b.Run(fmt.Sprintf("%s/conns=%d/depth=%d", handler, conns, depth), func(b *testing.B) {
					if conns == 1 {
						defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
					}
					echo := startFloor(b, conns)
					ours := startManager(b, handler, conns)
					compare(b, conns*depth,
						func(n int) time.Duration { return drive(ours, depth, n) },
						floor{"x-floor", func(n int) time.Duration { return drive(echo, depth, n) }})
				})
			}
		}
	}
}

// A benchConn is a client's conn: it writes prepared requests and reads lines.
type benchConn struct {
	net.Conn
	lines *bufio.Reader
}

// drive makes n round trips, depth commands each, on every conn at the same time.
func drive(conns []*benchConn, depth, n int) time.Duration {
	return together(conns, func(c *benchConn) { c.drive(depth, n) })
}

func (c *benchConn) drive(depth, n int) {
	batch := make([]byte, 0, depth*len(request))
	for i := range depth {
		batch = fmt.Appendf(batch, `{"command":"bench-echo","arguments":{"value":"abcdef"},"id":%2d}`+"\n", i+10)
	}
	for range n {
		if _, err := c.Write(batch); err != nil {
			panic(err)
		}
		for range depth {
			if _, err := c.lines.ReadSlice('\n'); err != nil {
				panic(err)
			}
		}
	}
}

func dialBench(b *testing.B, path string, n int) []*benchConn {
	conns := make([]*benchConn, n)
	for i := range conns {
		c, err := net.Dial("unix", path)
		require.NoError(b, err)
		b.Cleanup(func() { _ = c.Close() })
		conns[i] = &benchConn{c, bufio.NewReaderSize(c, 32<<10)}
	}
	return conns
}

// startFloor starts the byte echo: a goroutine for each conn, and one that all messages pass.
func startFloor(b *testing.B, conns int) []*benchConn {
	return dialBench(b, floorPath(b), conns)
}

func floorPath(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "floor.sock")
	l, err := net.Listen("unix", path)
	require.NoError(b, err)
	b.Cleanup(func() { _ = l.Close() })
	go echoConns(l, startLoop(b))
	return path
}

// startManager starts rudderpost with one command that answers what it was asked.
func startManager(b testing.TB, handler string, conns int) []*benchConn {
	path := filepath.Join(b.TempDir(), "control.sock")
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Limits: mgr.Limits{SlowCommand: 250 * time.Millisecond}}) // as in the daemon
	require.NoError(b, m.Register(benchCommand(handler)))
	serveFor(b, m, &unix.Transport{Path: path})
	bb, _ := b.(*testing.B)
	return dialBench(bb, path, conns)
}

func serveFor(b testing.TB, m *mgr.CommandMgr, t transport.Transport) net.Addr {
	socket, err := m.Open(b.Context(), t)
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-done
	})
	return socket.Addr()
}

type echo struct {
	Value string `json:"value"`
}

func benchCommand(handler string) mgr.Command {
	if handler == "typed" {
		return mgr.Func("bench-echo", "Echo.", mgr.Read, func(_ context.Context, in echo) (echo, error) { return in, nil })
	}
	answer, err := wire.ParseRaw([]byte(`{"value":"abcdefg"}`))
	if err != nil {
		panic(err)
	}
	return mgr.Command{Name: "bench-echo", Summary: "Echo.", Level: mgr.Read,
		Handler: func(context.Context, *mgr.Call) (wire.Reply, error) { return wire.Reply{Arguments: answer}, nil }}
}

// BenchmarkIdleConns measures what a conn costs that has had one command and is silent now, next to a
// raw echo with a goroutine and its buffer for each. The clients are bare descriptors.
//
//	go test -run - -bench Idle -benchtime 1x .
func BenchmarkIdleConns(b *testing.B) {
	n := 10_000
	const others = 500 // each of b.N leaves a few open until the end
	if limit := openFiles(b); limit < 2*n+others {
		n = (limit - others) / 2
	}
	for range b.N {
		floor := idleCost(b, n, func() string { return floorPath(b) })
		ours := idleCost(b, n, func() string {
			path := filepath.Join(b.TempDir(), "control.sock")
			m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Limits: mgr.Limits{MaxConns: -1, MaxConnsPerPeer: -1}})
			require.NoError(b, m.Register(benchCommand("untyped")))
			serveFor(b, m, &unix.Transport{Path: path})
			return path
		})
		b.ReportMetric(float64(n), "conns")
		b.ReportMetric(ours/1024, "KiB/conn")
		b.ReportMetric(ours/floor, "x-floor-memory")
	}
}

// idleCost opens n conns, gives one command on each, and returns how much memory each then holds.
func idleCost(b *testing.B, n int, start func() string) float64 {
	path := start()
	before := inUse()
	conns := make([]int, n)
	buf := make([]byte, 4096)
	for i := range conns {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		require.NoError(b, err)
		require.NoError(b, syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}))
		_, err = syscall.Write(fd, []byte(request))
		require.NoError(b, err)
		read, err := syscall.Read(fd, buf)
		require.NoError(b, err)
		require.Equal(b, byte('\n'), buf[read-1])
		conns[i] = fd
	}
	cost := float64(inUse()-before) / float64(n)
	for _, fd := range conns {
		_ = syscall.Close(fd)
	}
	return cost
}

// inUse is the memory of the heap and of all stacks, without garbage.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

func openFiles(b *testing.B) int {
	var limit syscall.Rlimit
	require.NoError(b, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	return int(min(limit.Cur, 1<<20))
}
