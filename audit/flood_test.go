package audit_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// Whoever may do nothing cannot fill the disk with that, and cannot hide others' work behind it.
func TestFloodOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		log := quiet(t, path)
		for range 250 {
			log.Refused(transport.Refusal{Transport: "https", Err: transport.ErrWrongCredentials})
			log.End([]mgr.End{
				{Call: aCall(commands[1], ""), Code: wire.CodeForbidden},
				{Call: aCall(commands[0], ""), Code: wire.CodeTooMany},
				{Call: aCall(nil, ""), Code: wire.CodeUnsupported},
			})
		}
		work := aCall(commands[1], "")
		require.NoError(t, log.Begin([]*mgr.Call{work}))
		log.End([]mgr.End{{Call: work, Code: wire.CodeTooMany}, {Call: aCall(commands[0], "")}})
		sleep(1000)
		log.Refused(transport.Refusal{})
		require.NoError(t, log.Close())

		count := map[record.Event]int{}
		for _, e := range entries(t, path) {
			count[e.Event]++
			if e.Event == record.Suppressed {
				require.EqualValues(t, 900, e.Count)
			}
		}
		require.Equal(t, map[record.Event]int{
			record.Opened: 1, record.LoginRefused: 26, record.Denied: 25, record.Outcome: 52,
			record.Intent: 1, record.Suppressed: 1, record.Closed: 1,
		}, count)
		require.EqualValues(t, 900, verify(t, path).Suppressed)
	})
}

// A log that ends says how many it has only counted.
func TestFloodAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		log := quiet(t, path)
		for range 101 {
			log.Refused(transport.Refusal{})
		}
		require.NoError(t, log.Close())
		require.EqualValues(t, 1, verify(t, path).Suppressed)
	})
}

func TestNoReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	log := open(t, audit.Options{Path: path, NoReads: true})
	log.End([]mgr.End{
		{Call: aCall(commands[0], "")}, {Call: aCall(commands[0], ""), Code: wire.CodeEmpty},
		{Call: aCall(commands[0], ""), Code: wire.CodeError}, {Call: aCall(commands[0], ""), Code: wire.CodeForbidden},
		{Call: aCall(commands[1], "")}, {Call: aCall(nil, ""), Code: wire.CodeUnsupported},
	})
	require.Equal(t, "opened outcome denied outcome outcome", events(t, path))
}

// Many record at once, and a log is renamed meanwhile: each finds what he has recorded in the file
// when he goes on, and the chain is one.
func TestManyAtOnce(t *testing.T) {
	for _, sync := range []audit.Sync{audit.SyncWrites, audit.SyncNone} {
		dir := t.TempDir()
		path := filepath.Join(dir, "audit.jsonl")
		log := open(t, audit.Options{Path: path, Sync: sync})
		recordByMany(t, log, 16, 50)
		require.NoError(t, log.Close())
		s := verify(t, path)
		require.Equal(t, 2+16*50*5, s.Records)
		ended := map[uint64]bool{}
		for _, e := range entries(t, path) {
			if e.Event == record.Outcome && e.Access == "write" {
				require.False(t, ended[e.Intent])
				require.Less(t, e.Intent, e.Seq)
				ended[e.Intent] = true
			}
		}
		require.Len(t, ended, 16*50*2)
	}
}

// recordByMany has goroutines record two writes and a read, together, so many times.
func recordByMany(t *testing.T, log *audit.Log, goroutines, times int) {
	var workers sync.WaitGroup
	for worker := range goroutines {
		workers.Go(func() {
			for n := range times {
				arguments := fmt.Sprintf(`{"n":%d}`, worker*times+n)
				calls := []*mgr.Call{aCall(commands[1], arguments), aCall(commands[1], arguments)}
				if err := log.Begin(calls); err != nil {
					t.Error(err)
				}
				log.End([]mgr.End{{Call: calls[0]}, {Call: calls[1]}, {Call: aCall(commands[0], arguments)}})
			}
		})
	}
	workers.Wait()
}
