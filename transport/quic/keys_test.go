package quic_test

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/quic"
)

// A daemon that was killed and started again tells its clients at once that their connections have ended.
func TestClientsLearnOfRestartAtOnce(t *testing.T) {
	at := place(t)
	at.Keys = filepath.Join(t.TempDir(), "quic.keys")
	l, err := at.Listen(t.Context())
	require.NoError(t, err)
	info, err := os.Stat(at.Keys)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	before, err := os.ReadFile(at.Keys)
	require.NoError(t, err)

	dialer := to(t, l.Addr())
	c := dial(t, dialer)
	send(t, c, "{}")
	accepted := accept(t, l)
	idle, _ := pair(t, l, dialer)
	quic.Kill(l)
	<-accepted.Context().Done()

	again := place(t)
	again.Address, again.Keys = l.Addr().String(), at.Keys
	second := listen(t, again)
	began := time.Now()
	send(t, c, `{"command":"is-anybody-there","arguments":{"padding":"a packet that is too short is not answered"}}`)
	_, err = c.Receive(within(t, testkit.Timeout), nil)
	require.ErrorAs(t, err, new(*quicgo.StatelessResetError))
	require.ErrorContains(t, err, "connect again")
	require.NotErrorIs(t, err, net.ErrClosed)
	<-idle.Context().Done()
	require.Less(t, time.Since(began), 5*time.Second)
	after, err := os.ReadFile(at.Keys)
	require.NoError(t, err)
	require.Equal(t, before, after)

	testkit.Eventually(t, func() bool { return quic.Links(dialer) == 0 }, "the dead connection is forgotten")
	pair(t, second, dialer)
}

func TestBadKeyFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	at := place(t)
	for name, want := range map[string]string{
		"none/here": "no such file",
		"short":     "the file has 5 bytes, and keys have 64; remove it",
		"open":      "chmod 600",
	} {
		at.Keys = filepath.Join(dir, name)
		switch name {
		case "short":
			require.NoError(t, os.WriteFile(at.Keys, []byte("short"), 0o600))
		case "open":
			require.NoError(t, os.WriteFile(at.Keys, make([]byte, 64), 0o600))
			require.NoError(t, os.Chmod(at.Keys, 0o640))
		}
		_, err := at.Listen(t.Context())
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, at.Keys)
	}
}

// Listeners that start at the same time use the same keys.
func TestConcurrentListenersShareKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "quic.keys")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			at := &quic.Transport{Address: "127.0.0.1:0", TLS: server(t), Keys: path}
			l, err := at.Listen(t.Context())
			if err == nil {
				err = l.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
