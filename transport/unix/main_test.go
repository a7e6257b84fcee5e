//go:build unix && !aix

package unix_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/unix"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(runChild())
	}
	goleak.VerifyTestMain(m)
}

// openFolder makes a folder that other users can read.
func openFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// socketPath returns a path in a new folder.
func socketPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "x.sock")
}

// timeout returns a context that ends after 20 s.
func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func listen(t *testing.T, tr *unix.Transport) transport.Listener {
	t.Helper()
	l, err := tr.Listen(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

func dial(t *testing.T, path string) transport.Conn {
	t.Helper()
	c, err := (&unix.Transport{Path: path}).Dial(timeout(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// dialPlain connects without this package. It binds the client's socket to name.
func dialPlain(t *testing.T, path, name string) *net.UnixConn {
	t.Helper()
	var local *net.UnixAddr
	if name != "" {
		local = &net.UnixAddr{Name: name, Net: "unix"}
	}
	c, err := net.DialUnix("unix", local, &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	return c
}

func accept(t *testing.T, l transport.Listener) transport.Conn {
	t.Helper()
	c, err := l.Accept(timeout(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func receive(t *testing.T, c transport.Conn) string {
	t.Helper()
	frame, err := c.Receive(timeout(t), nil)
	require.NoError(t, err)
	return string(frame)
}

func send(t *testing.T, c transport.Conn, frame string) {
	t.Helper()
	require.NoError(t, c.Send(timeout(t), []byte(frame)))
}

// requireAnswers checks that l accepts a conn that is dialed at path.
func requireAnswers(t *testing.T, l transport.Listener, path string) {
	t.Helper()
	client := dial(t, path)
	server := accept(t, l)
	send(t, server, `{"hello":1}`)
	require.Equal(t, `{"hello":1}`, receive(t, client))
	require.NoError(t, server.Close())
	require.NoError(t, client.Close())
}

// names returns the names of the files in the folder of path.
func names(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}
