package mgr_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
)

// A daemon is a manager that runs, with one listener.
type daemon struct {
	*mgr.CommandMgr
	tr   *pipe.Transport
	log  testkit.Output
	seen observer

	t     *testing.T
	stop  context.CancelFunc
	ended chan error
	once  sync.Once
	err   error
}

// start starts a daemon that runs until the test ends. Unset fields of o get the values that the tests need.
func start(t *testing.T, o *mgr.Options, commands ...mgr.Command) *daemon {
	t.Helper()
	d := prepare(t, o, commands...)
	run(t, d)
	return d
}

// run runs a daemon of prepare until the test ends.
func run(t *testing.T, d *daemon) {
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	go func() { d.ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		require.NoError(t, d.end())
		for range 2000 { // the window of a QUIC connection is reserved until the connection has ended
			if d.Count().Buffered == 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		require.Zero(t, d.Count())
	})
}

// prepare returns a daemon whose listener is open, and whose loop does not run yet.
func prepare(t *testing.T, o *mgr.Options, commands ...mgr.Command) *daemon {
	t.Helper()
	d := &daemon{t: t, tr: pipe.New(), ended: make(chan error, 1)}
	var opts mgr.Options
	if o != nil {
		opts = *o
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewJSONHandler(&d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if opts.Observer == nil {
		opts.Observer = &d.seen
	}
	d.CommandMgr = mgr.New(&opts)
	require.NoError(t, d.Register(commands...))
	_, err := d.Open(t.Context(), d.tr)
	require.NoError(t, err)
	return d
}

// end ends the context of Run, and returns the result of Run.
func (d *daemon) end() error {
	d.once.Do(func() {
		d.stop()
		d.err = <-d.ended
	})
	return d.err
}

// dial opens a conn.
func (d *daemon) dial() *rawClient {
	d.t.Helper()
	end, err := d.tr.DialBytes(d.t.Context())
	require.NoError(d.t, err)
	return newRawClient(d.t, end)
}

// call sends one request without an id on a new conn, and returns its reply.
func (d *daemon) call(request string) reply {
	d.t.Helper()
	c := d.dial()
	defer c.close()
	c.send(request)
	r := c.receive()
	c.requireEOF()
	return r
}

// An observer collects what the manager reports.
type observer struct {
	mu             sync.Mutex
	opened, closed int
	calls          []mgr.CallResult
}

func (o *observer) ConnOpened(transport.Peer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.opened++
}

func (o *observer) ConnClosed(transport.Peer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed++
}

func (o *observer) CallDone(result mgr.CallResult) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, result)
}

// results returns a copy of the results of all calls.
func (o *observer) results() []mgr.CallResult {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]mgr.CallResult(nil), o.calls...)
}

func (o *observer) conns() (opened, closed int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.opened, o.closed
}
