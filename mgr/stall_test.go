package mgr_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A stallingRecorder sleeps in Begin and in End.
type stallingRecorder struct{ begin, end time.Duration }

func (r stallingRecorder) Begin([]*mgr.Call) error { time.Sleep(r.begin); return nil }
func (r stallingRecorder) End([]mgr.CallResult)    { time.Sleep(r.end) }

// A stallingObserver sleeps for each call.
type stallingObserver time.Duration

func (stallingObserver) ConnOpened(transport.Peer) {}
func (stallingObserver) ConnClosed(transport.Peer) {}
func (o stallingObserver) CallDone(mgr.CallResult) { time.Sleep(time.Duration(o)) }

// A stallingHandler sleeps for the line of each command, and passes on all lines.
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

// The time limit of a write begins with the write. A slow Recorder, Observer or log handler costs no peer its conn, and is
// logged.
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
				var log testkit.Output
				handler := slog.NewJSONHandler(&log, nil)
				o := test.opts(handler)
				o.WriteTimeout = 300 * time.Millisecond
				if o.Logger == nil {
					o.Logger = slog.New(handler)
				}
				d := start(t, o, bigReply(300<<10))
				c := d.dial()
				defer c.close()
				for id := range 3 {
					c.send(`{"command":"big","id":` + string(rune('1'+id)) + `}`)
					require.Zero(t, c.receive().Result)
					time.Sleep(10 * time.Second)
					c.requireSilence()
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

// A slow Recorder is also logged for a command of Process, which has no conn.
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

// A peer that reads 64 KiB each 60 ms keeps its conn, since 32 KiB each 300 ms are enough. The time limit depends on the length
// of the reply, also after a slow Recorder.
func TestSteadyReaderBehindSlowRecorderKeepsItsConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		d := start(t, &mgr.Options{Recorder: stallingRecorder{end: 30 * time.Millisecond}, Limits: mgr.Limits{WriteTimeout: 300 * time.Millisecond}}, bigReply(size))
		c := d.dial()
		defer c.close()
		c.send(`{"command":"big","id":1}`)
		for total := 0; total < size; {
			n, err := io.ReadFull(c.in, make([]byte, 64<<10))
			require.NoError(t, err)
			total += n
			time.Sleep(60 * time.Millisecond)
		}
	})
}

// The conn of a peer that does not read is closed after the time limit of one write, also after a slow Recorder.
func TestPeerThatDoesNotReadBehindSlowRecorderIsDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Recorder: stallingRecorder{end: 500 * time.Millisecond}, Limits: mgr.Limits{WriteTimeout: 300 * time.Millisecond}}, bigReply(1<<20))
		c := d.dial()
		defer c.close()
		c.send(`{"command":"big","id":1}`)
		time.Sleep(500*time.Millisecond + 33*300*time.Millisecond - 10*time.Millisecond) // 33 times 32 KiB, rounded up
		synctest.Wait()
		require.Len(t, d.Sessions(), 1)
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		require.Empty(t, d.Sessions())
		require.Contains(t, d.log.String(), "does not read")
	})
}
