package access_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// BenchmarkAuthorization measures a decision of a policy of fifty roles and five hundred rules, which allows a call with
// two rules for its arguments. It measures the round trip of that call over a pipe in turns with it, and reports the ratio
// as x-round-trip. It fails if the median of the ratios is more than 0.25.
//
//	go test -run - -bench Authorization ./access
func BenchmarkAuthorization(b *testing.B) {
	const (
		most  = 0.25
		turns = 9 // of both measurements; an odd number, since the median counts
	)
	place := pipe.New()
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler)})
	command := mgr.Func("zone-add", "Add.", mgr.Write, func(_ context.Context, in zone) (mgr.None, error) { return mgr.None{}, nil })
	require.NoError(b, m.Register(command))
	_, err := m.Open(b.Context(), place)
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-done
	})
	end, err := place.DialBytes(b.Context())
	require.NoError(b, err)
	b.Cleanup(func() { _ = end.Close() })
	const arguments = `{"zone":"example","ttl":3600}`
	request, lines := []byte(`{"command":"zone-add","arguments":`+arguments+`,"id":1}`+"\n"), bufio.NewReader(end)
	roundTrips := func(n int) time.Duration {
		start := time.Now()
		for range n {
			if _, err := end.Write(request); err != nil {
				panic(err)
			}
			if _, err := lines.ReadSlice('\n'); err != nil {
				panic(err)
			}
		}
		return time.Since(start)
	}

	policy := manyRules(b)
	call := &mgr.Call{Name: command.Name, Command: &command, Arguments: wire.Value(arguments), Peer: transport.Peer{Creds: []transport.Credential{pipe.Self{}}}}
	decisions := func(n int) time.Duration {
		start := time.Now()
		for range n {
			if policy.Authorize(call) != nil {
				panic("refused")
			}
		}
		return time.Since(start)
	}

	n := max(100, b.N/turns)
	var ratios []float64
	roundTrips(100)
	b.ReportAllocs()
	b.ResetTimer()
	var total time.Duration
	for range turns {
		b.StopTimer()
		trips := roundTrips(n)
		b.StartTimer()
		took := decisions(n)
		total += took
		ratios = append(ratios, took.Seconds()/trips.Seconds())
	}
	b.StopTimer()
	slices.Sort(ratios)
	ratio := ratios[turns/2]
	b.ReportMetric(float64(total.Nanoseconds())/float64(turns*n), "ns/op")
	b.ReportMetric(ratio, "x-round-trip")
	if b.N > 10_000 && ratio > most {
		b.Errorf("authorization takes %.2f of a round trip over the pipe; it may take %.2f", ratio, most)
	}
}

type zone struct {
	Zone string `json:"zone"`
	TTL  int    `json:"ttl"`
}

// manyRules returns a policy of fifty roles with ten rules each. The credential of a pipe has one of the roles.
func manyRules(b *testing.B) *access.Policy {
	o := access.Options{Principals: []access.Principal{{Subject: "self", Role: "role-49"}}}
	for i := range 50 {
		role := access.Role{
			Name: fmt.Sprint("role-", i),
			Deny: []string{fmt.Sprintf("job%d-*", i), "*-never"},
			Arguments: []access.ArgumentRule{
				{Commands: []string{"zone-*"}, Pointer: "/zone", Values: []any{"example.com", "example"}},
				{Commands: []string{"*-add"}, Pointer: "/ttl", Values: []any{60, 3600}},
			},
		}
		for j := range 5 {
			role.Allow = append(role.Allow, fmt.Sprintf("*-%d-%d", i, j))
		}
		role.Allow = append(role.Allow, "zone-*")
		o.Roles = append(o.Roles, role)
	}
	p, err := access.NewPolicy(o)
	require.NoError(b, err)
	return p
}
