package audit_test

import (
	"fmt"
	"net"
	"net/netip"
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

// Refusals cannot fill the disk, and do not hide the refusals of other peers: one peer gets 25 records a second, all
// together get 100.
func TestManyRefusalsHaveRecordsForEachPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		log := quiet(t, path)
		refusal := func(address string) transport.Refusal {
			return transport.Refusal{Transport: "https", Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)), Err: transport.ErrWrongCredentials}
		}
		for port := range uint16(250) { // many ports of one address are one peer
			log.Refused(refusal(fmt.Sprintf("192.0.2.7:%d", 1000+port)))
			log.End([]mgr.CallResult{
				{Call: newCall(commands[1], ""), Code: wire.CodeForbidden},
				{Call: newCall(commands[0], ""), Code: wire.CodeTooMany},
				{Call: newCall(nil, ""), Code: wire.CodeUnsupported},
			})
		}
		for i := range 60 { // more peers than there are records left
			log.Refused(refusal(fmt.Sprintf("198.51.100.%d:1000", i)))
		}
		work := newCall(commands[1], "")
		require.NoError(t, log.Begin([]*mgr.Call{work}))
		log.End([]mgr.CallResult{{Call: work, Code: wire.CodeTooMany}, {Call: newCall(commands[0], "")}})
		sleep(1000)
		log.Refused(refusal("192.0.2.7:1"))
		require.NoError(t, log.Close())

		count := map[record.Event]int{}
		refusals := map[string]int{}
		for _, e := range entries(t, path) {
			count[e.Event]++
			if e.Event == record.LoginRefused {
				host, _, err := net.SplitHostPort(e.Address)
				require.NoError(t, err)
				refusals[host]++
			}
		}
		require.Equal(t, 26, refusals["192.0.2.7"])
		require.Equal(t, 1, refusals["198.51.100.0"])
		require.Equal(t, 1, count[record.Suppressed])
		require.Equal(t, 100+1, count[record.LoginRefused]+count[record.Denied]+count[record.Outcome]-2, "the two last outcomes are of allowed commands")
		require.EqualValues(t, 1000+60-100, verify(t, path).Suppressed)
	})
}

// Close writes the number of suppressed refusals.
func TestCloseWritesTheSuppressedRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		log := quiet(t, path)
		for range 26 {
			log.Refused(transport.Refusal{})
		}
		require.NoError(t, log.Close())
		require.EqualValues(t, 1, verify(t, path).Suppressed)
	})
}

func TestNoReadsLeavesOutSuccessfulReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	log := open(t, audit.Options{Path: path, NoReads: true})
	log.End([]mgr.CallResult{
		{Call: newCall(commands[0], "")}, {Call: newCall(commands[0], ""), Code: wire.CodeEmpty},
		{Call: newCall(commands[0], ""), Code: wire.CodeError}, {Call: newCall(commands[0], ""), Code: wire.CodeForbidden},
		{Call: newCall(commands[1], "")}, {Call: newCall(nil, ""), Code: wire.CodeUnsupported},
	})
	require.Equal(t, "opened outcome denied outcome outcome", events(t, path))
}

// Many goroutines record while the log is renamed. Each finds its entry in a file when Begin or End returns, and the
// chain is valid.
func TestConcurrentRecordingDuringRenames(t *testing.T) {
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

// recordByMany starts goroutines that each record two writes and a read, together, a number of times.
func recordByMany(t *testing.T, log *audit.Log, goroutines, times int) {
	var workers sync.WaitGroup
	for worker := range goroutines {
		workers.Go(func() {
			for n := range times {
				arguments := fmt.Sprintf(`{"n":%d}`, worker*times+n)
				calls := []*mgr.Call{newCall(commands[1], arguments), newCall(commands[1], arguments)}
				if err := log.Begin(calls); err != nil {
					t.Error(err)
				}
				log.End([]mgr.CallResult{{Call: calls[0]}, {Call: calls[1]}, {Call: newCall(commands[0], arguments)}})
			}
		})
	}
	workers.Wait()
}
