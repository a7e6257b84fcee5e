package transporttest_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/transport/transporttest"
)

// A fault is a way to break the contract that one subtest must find.
type fault struct {
	subtest string

	send    func(c transport.Conn, ctx context.Context, frames [][]byte) error
	receive func(c transport.Conn, ctx context.Context, dst []byte) ([]byte, error)
	close   func(c transport.Conn) error
	context func(c transport.Conn) context.Context
	peer    func(c transport.Conn) transport.Peer
	accept  func(l transport.Listener, ctx context.Context) (transport.Conn, error)
	shut    func(l transport.Listener) error
}

var faults = map[string]fault{
	"newline written behind a frame": {subtest: "EchoOwnership",
		send: func(c transport.Conn, ctx context.Context, frames [][]byte) error {
			for _, f := range frames {
				_ = append(f, '\n')
			}
			return c.Send(ctx, frames...)
		}},
	"frames kept after Send": {subtest: "EchoOwnership",
		send: func(c transport.Conn, ctx context.Context, frames [][]byte) error {
			go func() { _ = c.Send(ctx, frames...) }()
			return nil
		}},
	"frames out of order": {subtest: "ManyFramesInOneSend",
		send: func(c transport.Conn, ctx context.Context, frames [][]byte) error {
			frames = slices.Clone(frames)
			slices.Reverse(frames)
			return c.Send(ctx, frames...)
		}},
	"Send with an ended context": {subtest: "SendWithEndedContext",
		send: func(c transport.Conn, _ context.Context, frames [][]byte) error {
			return c.Send(context.Background(), frames...)
		}},
	"Send does not wait for a slow reader": {subtest: "SlowReaderCancelled",
		send: func(c transport.Conn, ctx context.Context, frames [][]byte) error {
			if len(frames[0]) > 1000 {
				return nil
			}
			return c.Send(ctx, frames...)
		}},
	"dst not used": {subtest: "ReceiveAppends",
		receive: func(c transport.Conn, ctx context.Context, _ []byte) ([]byte, error) {
			return c.Receive(ctx, nil)
		}},
	"frame lost with the context": {subtest: "FrameAlreadyHere",
		receive: func(c transport.Conn, ctx context.Context, dst []byte) ([]byte, error) {
			f, err := c.Receive(ctx, dst)
			if ctx.Err() != nil {
				return dst, context.Cause(ctx)
			}
			return f, err
		}},
	"cancelling ignored": {subtest: "ReceiveCancelled",
		receive: func(c transport.Conn, ctx context.Context, dst []byte) ([]byte, error) {
			return c.Receive(context.WithoutCancel(ctx), dst)
		}},
	"a context without its cause": {subtest: "ReceiveWithEndedContext",
		receive: func(c transport.Conn, ctx context.Context, dst []byte) ([]byte, error) {
			f, err := c.Receive(ctx, dst)
			if err != nil && ctx.Err() != nil {
				err = ctx.Err()
			}
			return f, err
		}},
	"a half-closed peer is taken for gone": {subtest: "HalfClose",
		receive: func(c transport.Conn, ctx context.Context, dst []byte) ([]byte, error) {
			f, err := c.Receive(ctx, dst)
			if err != nil {
				_ = c.Close()
			}
			return f, err
		}},
	"silence instead of a frame error": {subtest: "BadFirstByte",
		receive: func(c transport.Conn, ctx context.Context, dst []byte) ([]byte, error) {
			f, err := c.Receive(ctx, dst)
			if err != nil {
				err = io.EOF
			}
			return f, err
		}},
	"io.EOF after Close": {subtest: "AfterClose",
		receive: func(c transport.Conn, ctx context.Context, dst []byte) ([]byte, error) {
			f, err := c.Receive(ctx, dst)
			if c.Context().Err() != nil {
				err = io.EOF
			}
			return f, err
		}},
	"Close twice": {subtest: "CloseTwice",
		close: func(c transport.Conn) error {
			if c.Context().Err() != nil {
				return net.ErrClosed
			}
			return c.Close()
		}},
	"Close forgets the reader": {subtest: "CloseUnblocksReceive",
		close: func(c transport.Conn) error { return c.(*pipe.Conn).CloseWrite() }},
	"goroutine left behind": {subtest: "Identity",
		close: func(c transport.Conn) error { go func() { select {} }(); return c.Close() }},
	"descriptor left behind": {subtest: "Identity",
		close: func(c transport.Conn) error { kept = append(kept, leak()); return c.Close() }},
	"context that does not end": {subtest: "PeerGone",
		context: func(transport.Conn) context.Context { return context.Background() }},
	"nameless peer": {subtest: "Identity",
		peer: func(c transport.Conn) transport.Peer { return transport.Peer{Transport: "pipe", Session: "1"} }},
	"Accept ignores its context": {subtest: "AcceptCancelled",
		accept: func(l transport.Listener, _ context.Context) (transport.Conn, error) {
			return l.Accept(context.Background())
		}},
	"Accept waits for a silent peer": {subtest: "SilentPeers",
		accept: func(l transport.Listener, ctx context.Context) (transport.Conn, error) {
			c, err := l.Accept(ctx)
			if err == nil {
				_, err = c.Receive(ctx, nil)
			}
			return c, err
		}},
	"Close of a listener does nothing": {subtest: "ListenerClose",
		shut: func(transport.Listener) error { return nil }},
}

var kept []*os.File

func leak() *os.File {
	f, err := os.Open(os.DevNull)
	if err != nil {
		panic(err)
	}
	return f
}

const faultVariable = "TRANSPORTTEST_FAULT"

// TestFaults runs the suite on transports with a fault, each in a process of its own.
func TestFaults(t *testing.T) {
	if name := os.Getenv(faultVariable); name != "" {
		transporttest.Hurry()
		testPipe(t, faults[name])
		return
	}
	self, err := os.Executable()
	require.NoError(t, err)
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestFaults$/^"+f.subtest+"$", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), faultVariable+"="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the suite has not found it")
			require.Contains(t, string(out), "--- FAIL: TestFaults/"+f.subtest)
		})
	}
}

// TestWithoutFault is the same without any.
func TestWithoutFault(t *testing.T) { testPipe(t, fault{}) }

func testPipe(t *testing.T, f fault) {
	const maxFrame = 256 << 10
	transporttest.Test(t, func(testing.TB) transporttest.Pair {
		p := &place{Transport: pipe.Transport{MaxFrame: maxFrame}, fault: f}
		return transporttest.Pair{Transport: p, At: func(net.Addr) transport.Dialer { return p }}
	}, transporttest.Config{
		MaxFrame:         maxFrame,
		Kind:             "pipe",
		Subjects:         []string{"self"},
		ListenerSubjects: []string{"self"},
		HalfClose:        func(c transport.Conn) error { return c.(conn).Conn.(*pipe.Conn).CloseWrite() },
		Raw: func(ctx context.Context, p transporttest.Pair, _ transport.Listener) (io.ReadWriteCloser, error) {
			return p.Transport.(*place).DialBytes(ctx)
		},
		Silent: func(ctx context.Context, p transporttest.Pair, _ transport.Listener) (io.Closer, error) {
			return p.Transport.(*place).DialBytes(ctx)
		},
	})
}
