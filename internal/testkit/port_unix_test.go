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

func TestOwnPortsReplacesEqualPortsByEqualPorts(t *testing.T) {
	own := testkit.OwnPorts(t)
	const text = "127.0.0.1:7443 localhost:7443 127.0.0.1:8000 127.0.0.1:0 192.0.2.1:7443"
	words := strings.Fields(own(text))
	ip, port, err := net.SplitHostPort(words[0])
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", ip)
	require.NotEqual(t, "7443", port)
	require.Equal(t, "localhost:"+port, words[1])
	require.NotContains(t, []string{"127.0.0.1:8000", words[0]}, words[2])
	require.Equal(t, []string{"127.0.0.1:0", "192.0.2.1:7443"}, words[3:])
	require.Equal(t, strings.Join(words, " "), own(text))
}
