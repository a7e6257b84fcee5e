//go:build unix && !aix

package mgr_test

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/transport/unix"

	"github.com/stretchr/testify/require"
)

func TestRunReturnsErrorOfTransport(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good")
	m := mgr.New(nil)
	err := m.Run(t.Context(), &unix.Transport{Path: good}, &unix.Transport{Path: filepath.Join(good, "bad")})
	var failed *net.OpError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "listen", failed.Op)
	require.NoFileExists(t, good)
	require.Zero(t, m.Count())
	<-m.Done()
	_, err = m.Open(t.Context(), pipe.New())
	require.EqualError(t, err, "the daemon is shutting down and takes no more commands")
}
