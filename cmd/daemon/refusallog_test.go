package main

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

// The log has at most ten lines a second for each address, and the number of those left out. It has no secrets, and no
// characters of a client that a terminal would interpret.
func TestRefusalLinesAreLimitedForEachAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out testkit.Output
		seen := 0
		since := func() string { return out.String()[seen:] }
		d := &refusalLog{log: slog.New(slog.NewTextHandler(&out, nil))}
		refuse := func() {
			d.onRefused(transport.Refusal{
				Transport: "https", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 9},
				Claim: transport.Claim{User: "ann\n\x1b[2J", Password: "hunter22"}, Err: transport.ErrWrongCredentials,
			})
		}
		for range 1000 {
			refuse()
		}
		require.Equal(t, 10, strings.Count(since(), "\n"))
		require.Contains(t, since(), "transport=https from=192.0.2.7:9")
		require.Contains(t, since(), "unknown or wrong credentials")
		require.NotContains(t, since(), "hunter22")
		require.NotContains(t, since(), "\x1b")
		seen = len(out.String())
		d.onRefused(transport.Refusal{Transport: "quic", Addr: &net.UDPAddr{IP: net.ParseIP("2001:db8:1:2::3"), Port: 9}, Err: transport.ErrNoCredentials})
		require.Contains(t, since(), "from=[2001:db8:1:2::3]:9", "the lines of one address do not hide those of another")
		seen = len(out.String())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Contains(t, since(), `msg="lines about refusals were left out" address=192.0.2.7 lines=990`)
		refuse()
		require.Equal(t, 2, strings.Count(since(), "\n"))
	})
}
