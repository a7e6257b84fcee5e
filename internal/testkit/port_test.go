//go:build unix

package testkit_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

const printPorts = "RUDDERPOST_TEST_PRINT_PORTS"

func TestPortIsGivenOnceInTwoProcesses(t *testing.T) {
	seen := map[string]bool{}
	for range 300 {
		port := testkit.Port(t)
		require.False(t, seen[port], port)
		seen[port] = true
	}
	if os.Getenv(printPorts) != "" {
		for port := range seen {
			println(port)
		}
		return
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run=^TestPortIsGivenOnceInTwoProcesses$")
	cmd.Env = append(os.Environ(), printPorts+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	n := 0
	for line := range strings.Lines(string(out)) {
		if port := strings.TrimSpace(line); strings.HasPrefix(port, "127.0.0.1:") {
			require.False(t, seen[port], port)
			n++
		}
	}
	require.Equal(t, 300, n)
}

func TestPortIsFreeForTCPAndUDP(t *testing.T) {
	port := testkit.Port(t)
	l, err := net.Listen("tcp", port)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	p, err := net.ListenPacket("udp", port)
	require.NoError(t, err)
	require.NoError(t, p.Close())
}
