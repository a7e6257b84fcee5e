package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A page is the reply of audit-tail.
type page struct {
	Entries []wire.Value `json:"entries"`
	Before  uint64       `json:"before"`
}

// tails returns a function that calls audit-tail of a daemon.
func tails(t *testing.T, log *audit.Log) func(arguments string) (page, error) {
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, m.Register(log.Commands()...))
	way := &pipe.Transport{}
	_, err := m.Open(t.Context(), way)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return func(arguments string) (page, error) {
		c, err := client.Dial(t.Context(), way) // which sends ids, so that the records come as they are
		require.NoError(t, err)
		defer c.Close()
		reply, err := c.Do(t.Context(), wire.Request{Command: "audit-tail", Arguments: wire.Value(arguments)})
		require.NoError(t, err)
		var p page
		if err := reply.Err(); err != nil {
			return p, err
		}
		return p, reply.Decode(&p)
	}
}

// numbers returns the numbers of the records on a page.
func (p page) numbers(t *testing.T) (all []uint64) {
	for _, text := range p.Entries {
		e, err := record.Parse(text)
		require.NoError(t, err)
		all = append(all, e.Seq)
	}
	return all
}

func TestTailReturnsTheNewestRecordsThatMatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	log := open(t, audit.Options{Path: path, Sync: audit.SyncNone})
	tail := tails(t, log)
	for n := range 9 {
		log.End([]mgr.CallResult{{Call: newCall(commands[n%2], "")}})
	}
	for arguments, want := range map[string]struct {
		numbers []uint64
		before  uint64
	}{
		`{}`:                      {[]uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0},
		`{"count":3}`:             {[]uint64{8, 9, 10}, 8},
		`{"count":3,"before":8}`:  {[]uint64{5, 6, 7}, 5},
		`{"count":3,"before":3}`:  {[]uint64{1, 2}, 0},
		`{"count":10}`:            {[]uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0},
		`{"before":1}`:            {nil, 0},
		`{"before":99,"count":1}`: {[]uint64{10}, 10},
		`{"command":"lease-add"}`: {[]uint64{3, 5, 7, 9}, 0},
		`{"principal":"uid:1"}`:   {nil, 0},
		`{"principal":"uid:1000","command":"lease-get","count":2}`: {[]uint64{8, 10}, 8},
	} {
		p, err := tail(arguments)
		require.NoError(t, err, arguments)
		require.Equal(t, want.numbers, p.numbers(t), arguments)
		require.Equal(t, want.before, p.Before, arguments)
		require.NotNil(t, p.Entries)
	}
	for arguments, says := range map[string]string{
		`{"count":1001}`: "'count' parameter must be at most 1000.",
		`{"count":-1}`:   "'count' parameter must be at least 1.",
		`{"from":1}`:     "from",
	} {
		_, err := tail(arguments)
		require.ErrorContains(t, err, says)
	}
	require.Equal(t, mgr.Admin, log.Commands()[0].Level)
	require.True(t, log.Commands()[0].Async)
}

// All pages together have all records, also of a long file.
func TestTailPagesHaveAllRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	log := open(t, audit.Options{Path: path, Sync: audit.SyncNone})
	tail := tails(t, log)
	const most = 5000 // two megabytes
	ends := make([]mgr.CallResult, most)
	for n := range ends {
		ends[n] = mgr.CallResult{Call: newCall(commands[0], fmt.Sprintf(`{"n":%d}`, n))}
	}
	log.End(ends)
	next := uint64(most + 1)
	for before := uint64(0); ; {
		p, err := tail(fmt.Sprintf(`{"count":1000,"before":%d}`, before))
		require.NoError(t, err)
		numbers := p.numbers(t)
		require.Equal(t, next, numbers[len(numbers)-1])
		next = numbers[0] - 1
		if before = p.Before; before == 0 {
			break
		}
	}
	require.Zero(t, next)

	// What is far away is not found at once, but how to go on is told.
	pages := 0
	for before := uint64(0); ; pages++ {
		p, err := tail(fmt.Sprintf(`{"command":"shutdown","before":%d}`, before))
		require.NoError(t, err)
		require.Empty(t, p.Entries)
		if before = p.Before; before == 0 {
			break
		}
	}
	require.LessOrEqual(t, pages, 1)
}
