package loop_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/loop"
)

// A notebook has the events of a test in order. The fakes share it, since all run on the loop.
type notebook struct {
	mu    sync.Mutex
	notes []string
}

func (n *notebook) note(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notes = append(n.notes, what)
}

// take returns the events since the last take.
func (n *notebook) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	notes := n.notes
	n.notes = nil
	return notes
}

// A fake is a participant that notes the calls of its methods. The test decides when it pauses.
type fake struct {
	book  *notebook
	name  string
	veto  error
	slow  bool // it does not pause by itself
	dones []func()
	panic string // the method in which it panics
}

func (f *fake) Check() error {
	f.note("check")
	return f.veto
}

func (f *fake) Enter(done func()) {
	f.dones = append(f.dones, done)
	f.note("enter")
	if !f.slow {
		done()
	}
}

func (f *fake) Exit() { f.note("exit") }

func (f *fake) note(method string) {
	f.book.note(method + " " + f.name)
	if f.panic == method {
		panic("canary of " + f.name)
	}
}

// A stage has a section with the fakes a, b and c, and a loop that the test polls.
type stage struct {
	loop.CriticalSection
	notebook
	l       *loop.Loop
	a, b, c *fake
}

func newStage(t *testing.T) *stage {
	s := &stage{l: loop.New()}
	s.Logger = slog.New(slog.DiscardHandler)
	for name, f := range map[string]**fake{"a": &s.a, "b": &s.b, "c": &s.c} {
		*f = &fake{book: &s.notebook, name: name}
	}
	for _, f := range []*fake{s.a, s.b, s.c} {
		require.NoError(t, s.Add(f.name, f))
	}
	return s
}

// do calls Do, and notes the call of its function.
func (s *stage) do(ctx context.Context, what string) {
	s.Do(ctx, s.l, func(err error) {
		if err != nil {
			what += ": " + err.Error()
		}
		s.note(what)
	})
}

func TestCriticalSection(t *testing.T) {
	entered := []string{"check a", "check b", "check c", "enter a", "enter b", "enter c"}
	left := []string{"exit c", "exit b", "exit a"}
	for _, test := range []struct {
		name string
		play func(s *stage)
		want []string
	}{
		{"order", func(s *stage) { s.do(t.Context(), "inside") },
			slices.Concat(entered, []string{"inside"}, left)},
		{"one after the other", func(s *stage) { s.do(t.Context(), "one"); s.do(t.Context(), "two") },
			slices.Concat(entered, []string{"one"}, left, entered, []string{"two"}, left)},
		{"nobody takes part", func(s *stage) {
			for _, name := range []string{"a", "b", "c"} {
				require.NoError(t, s.Remove(name))
			}
			s.do(t.Context(), "inside")
		}, []string{"inside"}},
		{"a veto", func(s *stage) { s.b.veto = errors.New("a transfer is under way"); s.do(t.Context(), "inside") },
			[]string{"check a", "check b", "inside: 'b' does not pause now: a transfer is under way"}},
		{"nesting", func(s *stage) {
			s.Do(t.Context(), s.l, func(error) {
				require.Equal(t, 1, s.Depth())
				s.b.veto = errors.New("never asked")
				s.Do(t.Context(), s.l, func(err error) {
					require.NoError(t, err)
					require.Equal(t, 2, s.Depth())
					s.do(t.Context(), "innermost")
				})
				require.Equal(t, 1, s.Depth())
				s.note("still inside")
			})
		}, slices.Concat(entered, []string{"innermost", "still inside"}, left)},
		{"a report from elsewhere", func(s *stage) {
			s.b.slow = true
			s.do(t.Context(), "inside")
			s.note("the loop goes on")
			go s.b.dones[0]()
			require.NoError(t, s.l.RunOne(t.Context()))
		}, slices.Concat(entered, []string{"the loop goes on", "inside"}, left)},
		{"two reports of one", func(s *stage) {
			s.a.slow, s.b.slow = true, true
			s.do(t.Context(), "inside")
			s.b.dones[0]()
			s.b.dones[0]()
			require.Zero(t, s.l.Poll())
			s.a.dones[0]()
			require.Equal(t, 1, s.l.Poll())
			s.a.dones[0]()
			require.Zero(t, s.l.Poll())
		}, slices.Concat(entered, []string{"inside"}, left)},
		{"a report of last time", func(s *stage) {
			s.b.slow = true
			ctx, cancel := context.WithCancel(t.Context())
			s.do(ctx, "one")
			cancel()
			require.NoError(t, s.l.RunOne(t.Context()))
			s.do(t.Context(), "two")
			s.b.dones[0]()
			require.Zero(t, s.l.Poll())
			s.b.dones[1]()
			require.Equal(t, 1, s.l.Poll())
		}, slices.Concat(entered, left, []string{"one: 'b' did not pause: context canceled"}, entered, []string{"two"}, left)},
		{"two that wait share it", func(s *stage) {
			s.c.slow = true
			s.do(t.Context(), "one")
			s.do(t.Context(), "two")
			s.c.dones[0]()
			s.l.Poll()
		}, slices.Concat(entered, []string{"one", "two"}, left)},
		{"one of two gives up", func(s *stage) {
			s.c.slow = true
			ctx, cancel := context.WithCancel(t.Context())
			s.do(ctx, "one")
			s.do(t.Context(), "two")
			cancel()
			require.NoError(t, s.l.RunOne(t.Context()))
			s.c.dones[0]()
			s.l.Poll()
		}, slices.Concat(entered, []string{"one: 'c' did not pause: context canceled", "two"}, left)},
		{"a context that has ended", func(s *stage) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errors.New("too late"))
			s.do(ctx, "inside")
		}, []string{"inside: too late"}},
		{"a panic inside", func(s *stage) {
			require.PanicsWithValue(t, "canary", func() { s.Do(t.Context(), s.l, func(error) { panic("canary") }) })
			require.Zero(t, s.Depth())
		}, slices.Concat(entered, left)},
		{"a panic of one of two", func(s *stage) {
			s.c.slow = true
			s.Do(t.Context(), s.l, func(error) { panic("canary") })
			s.do(t.Context(), "two")
			s.c.dones[0]()
			require.PanicsWithValue(t, "canary", func() { s.l.Poll() })
		}, slices.Concat(entered, []string{"two"}, left)},
		{"a panic in check", func(s *stage) { s.b.panic = "check"; s.do(t.Context(), "inside") },
			[]string{"check a", "check b", "inside: 'b' does not pause now: it panicked; the log says more"}},
		{"a panic in enter", func(s *stage) { s.b.panic = "enter"; s.do(t.Context(), "inside") },
			[]string{"check a", "check b", "check c", "enter a", "enter b", "exit b", "exit a", "inside: 'b' does not pause now: it panicked; the log says more"}},
		{"a panic in exit", func(s *stage) { s.b.panic = "exit"; s.do(t.Context(), "inside"); require.Zero(t, s.Depth()) },
			slices.Concat(entered, []string{"inside"}, left)},
		{"removed and added while it is entered", func(s *stage) {
			s.a.slow = true
			s.do(t.Context(), "one")
			require.NoError(t, s.Remove("b"))
			require.NoError(t, s.Add("d", &fake{book: &s.notebook, name: "d"}))
			s.a.dones[0]()
			s.l.Poll()
			s.a.slow = false
			s.do(t.Context(), "two")
		}, slices.Concat(entered, []string{"one"}, left,
			[]string{"check a", "check c", "check d", "enter a", "enter c", "enter d", "two", "exit d", "exit c", "exit a"})},
		{"removed inside", func(s *stage) {
			s.Do(t.Context(), s.l, func(error) { require.NoError(t, s.Remove("b")) })
		}, slices.Concat(entered, left)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t)
			test.play(s)
			require.Equal(t, test.want, s.take())
			require.Zero(t, s.Depth())
			require.Zero(t, s.l.Poll())
		})
	}
}

// TestDeadlineNamesTheParticipantsThatHaveNotPaused: the others go on, and the section is idle after that.
func TestDeadlineNamesTheParticipantsThatHaveNotPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.a.slow, s.c.slow = true, true
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var refused error
		s.Do(ctx, s.l, func(err error) { refused = err })
		began := time.Now()
		require.NoError(t, s.l.RunOne(t.Context()))
		require.Equal(t, 5*time.Second, time.Since(began))
		pause, ok := errors.AsType[*loop.PauseError](refused)
		require.True(t, ok)
		require.Equal(t, []string{"a", "c"}, pause.Participants)
		require.ErrorIs(t, refused, context.DeadlineExceeded)
		require.EqualError(t, refused, "'a', 'c' did not pause: context deadline exceeded")
		require.Equal(t, []string{"exit c", "exit b", "exit a"}, s.take()[6:])
		s.a.dones[0]()
		s.c.dones[0]()
		require.Zero(t, s.l.Poll(), "nobody waits for it any more")
		require.Zero(t, s.Depth())
	})
}

// TestLastPauseWinsAgainstTheDeadline: if all have paused when the context ends, the function runs inside.
func TestLastPauseWinsAgainstTheDeadline(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t)
			s.b.slow = true
			ctx, cancel := context.WithCancel(t.Context())
			s.do(ctx, "inside")
			if late {
				cancel()
				synctest.Wait()
			}
			s.b.dones[0]()
			cancel()
			synctest.Wait()
			require.Equal(t, 2, s.l.Poll())
			require.Equal(t, []string{"inside", "exit c", "exit b", "exit a"}, s.take()[6:])
		})
	}
}

// TestFunctionRunsThoughTheLoopIsClosed: the participants that have paused go on.
func TestFunctionRunsThoughTheLoopIsClosed(t *testing.T) {
	for name, end := range map[string]func(s *stage, cancel func()){
		"a report":  func(s *stage, _ func()) { s.b.dones[0]() },
		"a timeout": func(_ *stage, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.b.slow = true
			ctx, cancel := context.WithCancelCause(t.Context())
			refused := make(chan error, 1)
			s.Do(ctx, s.l, func(err error) { refused <- err })
			s.l.Close()
			end(s, func() { cancel(loop.ErrClosed) })
			require.ErrorIs(t, <-refused, loop.ErrClosed)
			require.Equal(t, []string{"exit c", "exit b", "exit a"}, s.take()[6:])
			cancel(nil)
		})
	}
}

// TestParticipantThatCallsDoEntersTheNextSection: a method of a participant calls Do, whose function runs after the section.
func TestParticipantThatCallsDoEntersTheNextSection(t *testing.T) {
	s := newStage(t)
	asks := &asking{stage: s}
	require.NoError(t, s.Add("asking", asks))
	s.do(t.Context(), "inside")
	require.Equal(t, 1, s.l.Poll())
	require.Equal(t, 2, asks.exits)
	notes := s.take()
	require.Equal(t, []string{"inside", "exit c", "exit b", "exit a", "check a"}, notes[6:11])
	require.Equal(t, []string{"again", "exit c", "exit b", "exit a"}, notes[16:])
}

type asking struct {
	*stage
	exits int
}

func (a *asking) Check() error      { return nil }
func (a *asking) Enter(done func()) { done() }
func (a *asking) Exit() {
	if a.exits++; a.exits == 1 {
		a.do(context.Background(), "again")
	}
}

func TestAddAndRemoveParticipants(t *testing.T) {
	var s loop.CriticalSection
	require.EqualError(t, s.Add("", &fake{}), "a participant needs a name")
	require.EqualError(t, s.Add("a", nil), "the participant 'a' is nil")
	require.NoError(t, s.Add("a", &fake{}))
	require.EqualError(t, s.Add("a", &fake{}), "a participant 'a' already exists; remove it first or take another name")
	require.NoError(t, s.Remove("a"))
	require.EqualError(t, s.Remove("a"), "there is no participant 'a'")
}

// TestPanicOfAParticipantIsLogged: the log has its name and the stack.
func TestPanicOfAParticipantIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		var log bytes.Buffer
		s.Logger = slog.New(slog.NewTextHandler(&log, nil))
		s.b.panic = "exit"
		s.do(t.Context(), "inside")
		synctest.Wait()
		require.Contains(t, log.String(), "participant=b")
		require.Contains(t, log.String(), "canary of b")
		require.Contains(t, log.String(), "critical_test.go")
	})
}
