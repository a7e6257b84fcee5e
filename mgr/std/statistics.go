package std

import (
	"context"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// Statistics are named numbers of a daemon that its clients can read. All methods may be called from any goroutine.
type Statistics struct {
	mu    sync.Mutex
	named map[string]*statistic
}

// A statistic is counted or measured.
type statistic struct {
	value   int64
	changed time.Time
	measure func() int64 // nil: counted
}

// NewStatistics returns an empty set.
func NewStatistics() *Statistics { return &Statistics{named: map[string]*statistic{}} }

// Add adds n to a counted statistic, and creates it if there is none.
func (s *Statistics) Add(name string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.counted(name)
	st.value += n
	st.changed = time.Now()
}

// Measure adds a statistic whose value measure returns at each request. measure may be called from any goroutine, and must
// not block or use s. The statistic cannot be reset.
func (s *Statistics) Measure(name string, measure func() int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.named[name] = &statistic{measure: measure}
}

func (s *Statistics) counted(name string) *statistic {
	st := s.named[name]
	if st == nil {
		st = &statistic{changed: time.Now()}
		s.named[name] = st
	}
	return st
}

// A sample is a value and its time, [12, "2026-11-22 08:33:37.465510"] in local time. It is
// a list of two types in JSON, since Kea's is.
type sample [2]any

const sampleTime = "2006-01-02 15:04:05.000000"

func (st *statistic) samples() []sample {
	if st.measure != nil {
		return []sample{{st.measure(), time.Now().Format(sampleTime)}}
	}
	return []sample{{st.value, st.changed.Format(sampleTime)}}
}

type statisticName struct {
	Name string `json:"name" doc:"The statistic's name; statistic-get-all shows them."`
}

type samplesByName map[string][]sample

// Commands returns statistic-get, statistic-get-all, statistic-reset and statistic-reset-all.
func (s *Statistics) Commands() []mgr.Command {
	return []mgr.Command{
		mgr.Func("statistic-get", "Return a statistic: its value and the time of that value.", mgr.Read, s.get, mgr.Example(`{"name":"uptime"}`)),
		mgr.Func("statistic-get-all", "Return all statistics.", mgr.Read, s.getAll, mgr.AnyArguments()),
		mgr.Func("statistic-reset", "Set a counted statistic to 0.", mgr.Write, s.reset),
		mgr.Func("statistic-reset-all", "Set all counted statistics to 0.", mgr.Write, s.resetAll, mgr.AnyArguments()),
	}
}

// get returns an empty map for an unknown name, as Kea does.
func (s *Statistics) get(_ context.Context, in statisticName) (samplesByName, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := samplesByName{}
	if st := s.named[in.Name]; st != nil {
		found[in.Name] = st.samples()
	}
	return found, nil
}

func (s *Statistics) getAll(context.Context, mgr.None) (samplesByName, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(samplesByName, len(s.named))
	for name, st := range s.named {
		all[name] = st.samples()
	}
	return all, nil
}

func (s *Statistics) reset(_ context.Context, in statisticName) (wire.Reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.named[in.Name]
	switch {
	case st == nil:
		return wire.Reply{}, wire.Errorf(wire.CodeError, "not-found", "No '%s' statistic found", wire.Shorten(in.Name))
	case st.measure != nil:
		return wire.Reply{}, wire.Errorf(wire.CodeConflict, "", "'%s' is measured, not counted, and cannot be reset", in.Name)
	}
	st.value, st.changed = 0, time.Now()
	return wire.Reply{Text: "Statistic '" + in.Name + "' reset."}, nil
}

func (s *Statistics) resetAll(context.Context, mgr.None) (wire.Reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.named {
		if st.measure == nil {
			st.value, st.changed = 0, time.Now()
		}
	}
	return wire.Reply{Text: "All statistics reset to neutral values."}, nil
}

// Observer returns an Observer that counts the events of the control channel in s: conns-opened,
// conns-closed, commands-received, commands-failed (results other than 0 and 3), commands-refused
// (401 and 403), bytes-received and bytes-sent.
func (s *Statistics) Observer() mgr.Observer {
	for _, name := range []string{"conns-opened", "conns-closed", "commands-received", "commands-failed", "commands-refused", "bytes-received", "bytes-sent"} {
		s.Add(name, 0)
	}
	return observer{s}
}

type observer struct{ s *Statistics }

func (o observer) ConnOpened(transport.Peer) { o.s.Add("conns-opened", 1) }
func (o observer) ConnClosed(transport.Peer) { o.s.Add("conns-closed", 1) }

func (o observer) CallDone(outcome mgr.CallResult) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	now := time.Now()
	add := func(name string, n int) {
		st := o.s.counted(name)
		st.value += int64(n)
		st.changed = now
	}
	add("commands-received", 1)
	add("bytes-received", outcome.BytesIn)
	add("bytes-sent", outcome.BytesOut)
	switch outcome.Code {
	case wire.CodeSuccess, wire.CodeEmpty:
	case wire.CodeForbidden, wire.CodeUnauthenticated:
		add("commands-refused", 1)
	default:
		add("commands-failed", 1)
	}
}
