package main

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

// However often strangers knock, the log tells of ten a second, and how many more there were. It
// tells no secret, and nothing that they have chosen drives a terminal.
func TestRefusalsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := &doorman{log: slog.New(slog.NewTextHandler(&out, nil))}
		knock := func() {
			d.refused(transport.Refusal{
				Transport: "https", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 9},
				Claim: transport.Claim{User: "ann\n\x1b[2J", Password: "hunter22"}, Err: transport.ErrWrongCredentials,
			})
		}
		for range 1000 {
			knock()
		}
		require.Equal(t, 10, strings.Count(out.String(), "\n"))
		require.Contains(t, out.String(), "transport=https from=192.0.2.7:9")
		require.Contains(t, out.String(), "unknown or wrong credentials")
		require.NotContains(t, out.String(), "hunter22")
		require.NotContains(t, out.String(), "\x1b")
		out.Reset()
		time.Sleep(time.Second)
		knock()
		require.Contains(t, out.String(), `msg="more were refused" count=990`)
		require.Equal(t, 2, strings.Count(out.String(), "\n"))
	})
}
