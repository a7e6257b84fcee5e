package mgr_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A stallingRecorder takes its time in Begin and in End.
type stallingRecorder struct{ begin, end time.Duration }

func (r stallingRecorder) Begin([]*mgr.Call) error { time.Sleep(r.begin); return nil }
func (r stallingRecorder) End([]mgr.CallResult)    { time.Sleep(r.end) }

// A stallingObserver takes its time for each call.
type stallingObserver time.Duration

func (stallingObserver) ConnOpened(transport.Peer) {}
func (stallingObserver) ConnClosed(transport.Peer) {}
func (o stallingObserver) CallDone(mgr.CallResult) { time.Sleep(time.Duration(o)) }

// A stallingHandler takes its time for the line of each command, and passes all lines on.
type stallingHandler struct {
	slog.Handler
	take time.Duration
}

func (h stallingHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "command" {
		time.Sleep(h.take)
	}
	return h.Handler.Handle(ctx, r)
}

func bigReply(size int) mgr.Command {
	return mgr.Func("big", "", mgr.Write, func(context.Context, mgr.None) (string, error) { return strings.Repeat("x", size), nil })
}

// The time in which a peer must take its replies begins when the daemon writes to it: what stalls before or after that
// is the daemon's own, costs no peer its conn, and is reported as what it is.
func TestStallOfTheDaemonDoesNotCloseConnOfReadingPeer(t *testing.T) {
	for name, test := range map[string]struct {
		opts  func(log slog.Handler) *mgr.Options
		stall string // what the log names; "": nothing
	}{
		"recorder, begin": {func(slog.Handler) *mgr.Options {
			return &mgr.Options{Recorder: stallingRecorder{begin: 3 * time.Second}}
		}, "the recorder takes long"},
		"recorder, end": {func(slog.Handler) *mgr.Options { return &mgr.Options{Recorder: stallingRecorder{end: 3 * time.Second}} }, "the recorder takes long"},
		"recorder, end, short": {func(slog.Handler) *mgr.Options {
			return &mgr.Options{Recorder: stallingRecorder{end: 900 * time.Millisecond}}
		}, ""},
		"observer": {func(slog.Handler) *mgr.Options { return &mgr.Options{Observer: stallingObserver(3 * time.Second)} }, "the observer takes long"},
		"log handler": {func(log slog.Handler) *mgr.Options {
			return &mgr.Options{Logger: slog.New(stallingHandler{log, 3 * time.Second})}
		}, "the log handler takes long"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logBuffer
				handler := slog.NewJSONHandler(&log, nil)
				o := test.opts(handler)
				o.WriteTimeout = 300 * time.Millisecond
				if o.Logger == nil {
					o.Logger = slog.New(handler)
				}
				d := start(t, o, bigReply(300<<10))
				c := d.dial()
				defer c.leave()
				for id := range 3 {
					c.say(`{"command":"big","id":` + string(rune('1'+id)) + `}`)
					require.Zero(t, c.hear().Result)
					time.Sleep(10 * time.Second)
					c.quiet()
				}
				require.NotContains(t, log.String(), "does not read")
				if test.stall == "" {
					require.NotContains(t, log.String(), "takes long")
				} else {
					require.Equal(t, 3, strings.Count(log.String(), test.stall), log.String())
				}
			})
		})
	}
}

// A command that Process runs has no conn whose replies wait; its Recorder is reported all the same.
func TestRecorderThatStallsInProcessIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Recorder: stallingRecorder{begin: 2 * time.Second}}, mgr.Func("change", "", mgr.Write, nothing))
		reply, err := d.Process(t.Context(), wire.Request{Command: "change"})
		require.NoError(t, err)
		require.Zero(t, reply.Code)
		synctest.Wait()
		require.Equal(t, 1, strings.Count(d.log.String(), "the recorder takes long"))
	})
}

// A peer that reads 64 KiB each 60 ms, where 32 KiB each 300 ms are enough, is not disconnected: the time for a long
// reply depends on its length, also where a Recorder delays its beginning.
func TestSteadyReaderBehindSlowRecorderKeepsItsConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		d := start(t, &mgr.Options{Recorder: stallingRecorder{end: 30 * time.Millisecond}, Limits: mgr.Limits{WriteTimeout: 300 * time.Millisecond}}, bigReply(size))
		c := d.dial()
		defer c.leave()
		c.say(`{"command":"big","id":1}`)
		for total := 0; total < size; {
			n, err := io.ReadFull(c.in, make([]byte, 64<<10))
			require.NoError(t, err)
			total += n
			time.Sleep(60 * time.Millisecond)
		}
	})
}

// The other side: a peer that does not read is disconnected though a Recorder is slow too, after the time for one write.
func TestPeerThatDoesNotReadBehindSlowRecorderIsDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Recorder: stallingRecorder{end: 500 * time.Millisecond}, Limits: mgr.Limits{WriteTimeout: 300 * time.Millisecond}}, bigReply(1<<20))
		c := d.dial()
		defer c.leave()
		c.say(`{"command":"big","id":1}`)
		time.Sleep(500*time.Millisecond + 33*300*time.Millisecond - 10*time.Millisecond) // 33 times 32 KiB, begun
		synctest.Wait()
		require.Len(t, d.Sessions(), 1)
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		require.Empty(t, d.Sessions())
		require.Contains(t, d.log.String(), "does not read")
	})
}
