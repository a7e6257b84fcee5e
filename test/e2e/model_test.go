//go:build linux

package e2e_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// An input has the arguments of the commands.
type input struct {
	Tag  string `json:"tag"`
	Size int    `json:"size"`
	Wait int    `json:"wait,omitempty"` // µs
}

// An output is the result of the commands.
type output struct {
	Tag  string `json:"tag"`
	Data string `json:"data"`
}

func data(tag string, size int) string {
	return strings.Repeat(tag+".", size/(len(tag)+1)+1)[:size]
}

// A slowRecorder is a Recorder that counts calls. Some batches take up to 30 ms.
type slowRecorder struct{ begun, ended atomic.Int64 }

func (r *slowRecorder) Begin(calls []*mgr.Call) error {
	r.begun.Add(int64(len(calls)))
	if rand.IntN(20) == 0 {
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
	}
	return nil
}

func (r *slowRecorder) End(ends []mgr.CallResult) {
	r.ended.Add(int64(len(ends)))
	if rand.IntN(20) == 0 {
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
	}
}

// A counter is an Observer that counts conns and calls.
type counter struct{ opened, closed, calls atomic.Int64 }

func (c *counter) ConnOpened(transport.Peer) { c.opened.Add(1) }
func (c *counter) ConnClosed(transport.Peer) { c.closed.Add(1) }
func (c *counter) CallDone(mgr.CallResult)   { c.calls.Add(1) }

// descriptors returns the number of open descriptors of the process.
func descriptors() int {
	e, _ := os.ReadDir("/proc/self/fd")
	return len(e)
}

// A variation makes a run of the model harder for the daemon.
type variation struct {
	kill           bool // the test closes sessions and changes limits at random
	recorder       bool // the manager has a Recorder, which is slow at times
	slowAuthorizer bool // the Authorizer is slow at times
	lateLoop       bool // the manager uses a loop of the test, which polls late at times
}

// Clients on all transports send random batches in random pieces. At random they cancel, set timeouts, stop reading for a
// while, and hang up. Each reply must belong to its request, whole and in order. At the end no conn, no counted byte, no
// goroutine and no descriptor is left. RUDDERPOST_MODEL_TIME=20m makes each variation run for 20 minutes.
func TestModelOfConcurrentClientsOnEveryTransport(t *testing.T) {
	for name, v := range map[string]variation{
		"plain":           {},
		"kill":            {kill: true},
		"recorder":        {recorder: true},
		"late loop":       {lateLoop: true},
		"slow authorizer": {slowAuthorizer: true},
		"everything":      {true, true, true, true},
	} {
		t.Run(name, func(t *testing.T) { runModel(t, v) })
	}
}

func runModel(t *testing.T, v variation) {
	long := 3 * time.Second
	if d, err := time.ParseDuration(os.Getenv("RUDDERPOST_MODEL_TIME")); err == nil {
		long = d
	}
	var stats modelStats
	env := alltransports.New(t)
	before, beforeFDs := runtime.NumGoroutine(), descriptors()
	lag, stopLag := alltransports.MeasureLag(t)
	seen := &counter{}
	o := &mgr.Options{
		Authorizer: allowAll{v.slowAuthorizer}, Observer: seen,
		Logger: slog.New(slog.DiscardHandler),
		Limits: mgr.Limits{MaxInFlightPerPeer: -1, MaxQueued: -1, MaxBuffered: -1, MaxConnsPerPeer: -1},
	}
	if v.recorder {
		o.Recorder = &slowRecorder{}
	}
	var foreign *loop.Loop
	if v.lateLoop {
		foreign = loop.New()
		o.Loop = foreign
	}
	m := mgr.New(o)
	work := func(v input) output { return output{v.Tag, data(v.Tag, v.Size)} }
	must(t, m.Register(
		mgr.Func("echo", "Echo.", mgr.Write, func(_ context.Context, v input) (output, error) {
			if v.Wait > 0 {
				time.Sleep(time.Duration(v.Wait) * time.Microsecond)
			}
			return work(v), nil
		}),
		mgr.Func("echo-raw", "Echo.", mgr.Read, func(_ context.Context, v input) (wire.Reply, error) {
			raw, err := wire.Encode(work(v))
			return wire.Reply{Arguments: raw}, err
		}),
		mgr.Async("echo-async", "Echo.", mgr.Read, func(ctx context.Context, v input) (output, error) {
			select {
			case <-time.After(time.Duration(v.Wait) * time.Microsecond):
			case <-ctx.Done():
				return output{}, context.Cause(ctx)
			}
			return work(v), nil
		}),
		mgr.Async("echo-onloop", "Echo.", mgr.Read, func(ctx context.Context, v input) (o output, err error) {
			err = mgr.OnLoop(ctx, func() error { o = work(v); return nil })
			return o, err
		}),
		mgr.Async("echo-process", "Echo.", mgr.Read, func(ctx context.Context, v input) (wire.Reply, error) {
			raw, _ := wire.Encode(v)
			return m.ProcessEncoded(ctx, wire.Request{Command: "echo", Arguments: wire.Value(raw.String())})
		}),
	))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	type place struct {
		tc   alltransports.Case
		addr net.Addr
	}
	var places []place
	for _, tc := range env.Cases() {
		s, err := m.Open(t.Context(), tc.Listen(t, alltransports.Limits{}))
		must(t, err)
		places = append(places, place{tc, s.Addr()})
	}
	go func() { ended <- m.Run(ctx) }()
	if foreign != nil {
		go func() {
			for {
				select {
				case <-foreign.Ready():
				case <-m.Done():
					return
				}
				if rand.IntN(20) == 0 {
					time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
				}
				if rand.IntN(2) == 0 {
					foreign.PollOne()
				} else {
					foreign.Poll()
				}
			}
		}()
	}

	until := time.Now().Add(long)
	var all sync.WaitGroup
	const clients = 4
	for _, p := range places {
		for i := range clients {
			all.Go(func() {
				for n := 0; time.Now().Before(until); n++ {
					session(t, v, &stats, lag, p.tc, p.addr, env.Client, fmt.Sprintf("%s-%d-%d", p.tc.Name, i, n), until)
				}
			})
		}
	}
	if v.kill {
		all.Go(func() {
			for time.Now().Before(until) {
				time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
				if s := m.Sessions(); len(s) > 0 {
					m.CloseSession(s[rand.IntN(len(s))].ID)
				}
				if rand.IntN(20) == 0 {
					m.SetLimits(mgr.Limits{MaxInFlight: 1 + rand.IntN(20), MaxInFlightPerPeer: -1, MaxQueued: -1, MaxBuffered: -1, MaxConnsPerPeer: -1})
				}
			}
		})
	}
	all.Wait()
	idle := func() bool { l := m.Stats(); return l.Conns == 0 && l.Buffered == 0 && l.Queued == 0 }
	for deadline := time.Now().Add(15 * time.Second); !idle() && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // a QUIC connection lingers after its last conn, and its window is counted
	}
	if !idle() {
		t.Errorf("left over: %+v", m.Stats())
		for _, s := range m.Sessions() {
			t.Errorf("session %s %s %+v", s.ID, s.Listener, s.Running)
		}
	}
	if seen.opened.Load() != seen.closed.Load() {
		t.Errorf("%d conns opened, %d closed", seen.opened.Load(), seen.closed.Load())
	}
	stopLag()
	stop()
	if err := <-ended; err != nil {
		t.Error("drain:", err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && (runtime.NumGoroutine() > before || descriptors() > beforeFDs); {
		time.Sleep(50 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before\n%s", n, before, buf[:runtime.Stack(buf, true)])
	}
	if n := descriptors(); n > beforeFDs+1 {
		t.Errorf("%d descriptors, %d before", n, beforeFDs)
	}
	t.Logf("%d conns, %d requests, %d replies, %d cancels, %d conns dropped; observed %d calls", stats.conns.Load(), stats.requests.Load(), stats.replies.Load(), stats.cancels.Load(), stats.dropped.Load(), seen.calls.Load())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// modelStats counts the events of a run of the model.
type modelStats struct{ conns, requests, replies, cancels, dropped atomic.Int64 }

// An asked is a request without a reply yet.
type asked struct {
	tag    string
	size   int
	onLoop bool
	seq    int
	quit   bool // the request has a timeout, or the client has cancelled it
	isCan  bool // the request is a cancel
}

// session opens a conn of a client, uses it at random, and closes it.
func session(t *testing.T, v variation, stats *modelStats, lag *alltransports.Lag, tc alltransports.Case, addr net.Addr, id alltransports.Identity, name string, until time.Time) {
	r := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	var conn transport.Conn
	var raw alltransports.Bytes
	asBytes := tc.Raw != nil && r.IntN(2) == 0
	opened := lag.Mark()
	cancel := func() {}
	defer func() { cancel() }()
	err := lag.Retry(func() (err error) {
		cancel()
		var dial context.Context
		dial, cancel = context.WithTimeout(context.Background(), 20*time.Second)
		if !asBytes {
			conn, err = tc.Dial(addr, id).Dial(dial)
			return err
		}
		if raw, err = tc.Raw(dial, addr, id); err == nil {
			conn = transport.NewStream(plain{raw}, transport.StreamConfig{Idle: -1, MaxFrame: 4 << 20})
		}
		return err
	})
	if err != nil {
		if !v.kill {
			t.Errorf("%s: dial: %v", name, err)
		}
		time.Sleep(10 * time.Millisecond)
		return
	}
	defer conn.Close()
	stats.conns.Add(1)
	var mu sync.Mutex
	pending := map[int64]*asked{}
	lastLoop := -1
	var gone atomic.Bool
	drop := r.IntN(3) == 0
	total := 1 + r.IntN(60)
	if tc.OneShot {
		total = 1
	}
	slow := r.IntN(4) == 0
	done := make(chan struct{})
	window := make(chan struct{}, 40)
	go func() {
		defer close(done)
		for {
			frame, err := conn.Receive(context.Background(), nil)
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				late := tc.OneShot && lag.Explains(opened) // an HTTP client connects when it sends
				if len(pending) > 0 && !gone.Load() && !v.kill && !late {
					t.Errorf("%s: %d of %d unanswered: %v", name, len(pending), total, err)
				}
				gone.Store(true)
				return
			}
			if slow {
				time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
			}
			reply, err := wire.DecodeReply(frame)
			if err != nil {
				t.Errorf("%s: %v: %.100q", name, err, frame)
				return
			}
			stats.replies.Add(1)
			var n int64
			if reply.ID.IsZero() {
				n = 0
			} else {
				fmt.Sscan(strings.Trim(reply.ID.String(), `"`), &n)
			}
			mu.Lock()
			a := pending[n]
			delete(pending, n)
			mu.Unlock()
			select {
			case <-window:
			default:
			}
			if a == nil {
				if !v.kill || n != 0 {
					t.Errorf("%s: a reply without a request: %.200q", name, frame)
				}
				continue
			}
			if a.isCan {
				continue
			}
			if reply.Code != wire.CodeSuccess {
				gaveUp := a.quit && (reply.Code == wire.CodeCancelled || reply.Code == wire.CodeTimeout)
				if !gaveUp && !v.kill {
					t.Errorf("%s: %s: result %d %s", name, a.tag, reply.Code, reply.Text)
				}
				continue
			}
			var o output
			if err := reply.Decode(&o); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if o.Tag != a.tag || o.Data != data(a.tag, a.size) {
				t.Errorf("%s: wanted %s, got %s, %d of %d bytes", name, a.tag, o.Tag, len(o.Data), a.size)
			}
			if a.onLoop {
				if a.seq < lastLoop {
					t.Errorf("%s: misordered: %d behind %d", name, a.seq, lastLoop)
				}
				lastLoop = a.seq
			}
		}
	}()
	commands := []string{"echo", "echo", "echo-raw", "echo-async", "echo-onloop", "echo-process"}
	quiet := []int{0, 0, 0, 1, 28, 29, 30, 31, 32, 45, 62}
	for n := 1; n <= total && !gone.Load() && time.Now().Before(until); {
		var frames [][]byte
		for range 1 + r.IntN(20) {
			if n > total {
				break
			}
			a := &asked{seq: n}
			cmd := commands[r.IntN(len(commands))]
			a.onLoop = strings.HasPrefix(cmd, "echo") && (cmd == "echo" || cmd == "echo-raw")
			a.tag = fmt.Sprintf("%s/%d", name, n)
			switch r.IntN(10) {
			case 0:
				a.size = r.IntN(200 << 10)
			case 1, 2:
				a.size = r.IntN(20 << 10)
			default:
				a.size = r.IntN(200)
			}
			wait := 0
			if r.IntN(8) == 0 {
				wait = r.IntN(3000)
			}
			if r.IntN(200) == 0 {
				wait = 25000
			}
			request := wire.Request{Command: cmd, ID: wire.IntID(int64(n))}
			v := input{a.tag, a.size, wait}
			encoded, _ := wire.Encode(v)
			request.Arguments = wire.Value(encoded.String())
			if r.IntN(20) == 0 {
				request.Timeout = time.Duration(1+r.IntN(30)) * time.Millisecond
				a.quit = true
			}
			last := n == total && (tc.OneShot || r.IntN(2) == 0)
			key := int64(n)
			if last {
				request.ID = wire.ID{}
				key = 0
			}
			mu.Lock()
			pending[key] = a
			mu.Unlock()
			frame, err := wire.AppendRequest(nil, request)
			must(t, err)
			frames = append(frames, frame)
			stats.requests.Add(1)
			if !last && r.IntN(15) == 0 {
				mu.Lock()
				a.quit = true
				b := &asked{isCan: true}
				pending[int64(n+1000000)] = b
				mu.Unlock()
				stats.cancels.Add(1)
				frames = append(frames, fmt.Appendf(nil, `{"command":"cancel","arguments":{"id":%d},"id":%d}`, n, n+1000000))
			}
			n++
		}
		for range frames {
			select {
			case window <- struct{}{}:
			case <-done:
			case <-time.After(30 * time.Second):
				if !gone.Load() {
					t.Errorf("%s: stuck: no reply for 30 s", name)
					gone.Store(true)
				}
			}
		}
		if raw != nil && r.IntN(2) == 0 {
			var text []byte
			for _, f := range frames {
				text = append(append(text, f...), "\n \t#c\n"[:r.IntN(6)]...)
				if text[len(text)-1] == '#' || text[len(text)-1] == 'c' {
					text = append(text, '\n')
				}
			}
			for len(text) > 0 {
				k := min(len(text), 1+r.IntN(1+len(text)))
				if _, err := raw.Write(text[:k]); err != nil {
					gone.Store(gone.Load() || v.kill)
					break
				}
				text = text[k:]
				if r.IntN(3) == 0 {
					time.Sleep(time.Duration(quiet[r.IntN(len(quiet))]) * time.Millisecond)
				}
			}
		} else if err := conn.Send(context.Background(), frames...); err != nil {
			break
		}
		if drop && r.IntN(6) == 0 {
			gone.Store(true)
			stats.dropped.Add(1)
			_ = conn.Close()
			break
		}
		time.Sleep(time.Duration(quiet[r.IntN(len(quiet))])*time.Millisecond + time.Duration(r.IntN(1000))*time.Microsecond)
	}
	// Wait for the other replies.
	deadline := time.Now().Add(30 * time.Second)
	for !gone.Load() && time.Now().Before(deadline) {
		mu.Lock()
		left := len(pending)
		mu.Unlock()
		if left == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if !gone.Load() {
		mu.Lock()
		if len(pending) > 0 {
			t.Errorf("%s: %d of %d unanswered after 30 s", name, len(pending), total)
		}
		mu.Unlock()
	}
	gone.Store(true)
	_ = conn.Close()
	<-done
}

// A plain is a net.Conn that hides its descriptor.
type plain struct{ net.Conn }
