package mgr_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
)

// A daemon is a manager that runs, and one place at which it can be reached.
type daemon struct {
	*mgr.CommandMgr
	place *pipe.Transport
	log   logBuffer
	seen  observer

	t     *testing.T
	stop  context.CancelFunc
	ended chan error
	once  sync.Once
	err   error
}

// start runs a daemon until the test ends. What is nil in o is the test's own.
func start(t *testing.T, o *mgr.Options, commands ...mgr.Command) *daemon {
	t.Helper()
	d := prepare(t, o, commands...)
	run(t, d)
	return d
}

// run runs a daemon that was prepared until the test ends.
func run(t *testing.T, d *daemon) {
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	go func() { d.ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		require.NoError(t, d.end())
		for range 2000 { // the window of a QUIC connection is booked until that has ended
			if d.Count().Buffered == 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		require.Zero(t, d.Count())
	})
}

// prepare returns a daemon that is open and not yet running.
func prepare(t *testing.T, o *mgr.Options, commands ...mgr.Command) *daemon {
	t.Helper()
	d := &daemon{t: t, place: pipe.New(), ended: make(chan error, 1)}
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
	_, err := d.Open(t.Context(), d.place)
	require.NoError(t, err)
	return d
}

// end ends the context of Run, and returns what Run returned.
func (d *daemon) end() error {
	d.once.Do(func() {
		d.stop()
		d.err = <-d.ended
	})
	return d.err
}

// dial returns a client of its own.
func (d *daemon) dial() *talker {
	d.t.Helper()
	end, err := d.place.DialBytes(d.t.Context())
	require.NoError(d.t, err)
	return newTalker(d.t, end)
}

// ask gives one command on a conn of its own.
func (d *daemon) ask(request string) reply {
	d.t.Helper()
	c := d.dial()
	defer c.leave()
	c.say(request)
	r := c.hear()
	c.eof()
	return r
}

// A logBuffer collects what is logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// An observer remembers what it is told.
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
