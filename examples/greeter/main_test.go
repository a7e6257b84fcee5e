package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// If this variable is in its environment, the test program is the greeter.
const beGreeter = "RUDDERPOST_TEST_BE_GREETER"

func TestMain(m *testing.M) {
	if os.Getenv(beGreeter) != "" {
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestGreeterAnswersAndRefusesWrongArguments(t *testing.T) {
	dir, err := os.MkdirTemp("", "rp")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	require.NoError(t, err)
	var log strings.Builder
	cmd := exec.Command(self)
	cmd.Dir, cmd.Stderr = dir, &log
	cmd.Env = append(os.Environ(), beGreeter+"=1", "GORACE=atexit_sleep_ms=1")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	place := &unix.Transport{Path: filepath.Join(dir, "greeter.sock")}
	require.Eventually(t, func() bool {
		c, err := client.Dial(ctx, place)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 30*time.Second, 2*time.Millisecond)
	c, err := client.Dial(ctx, place)
	require.NoError(t, err)
	defer c.Close()
	greeting, err := client.Call[string](ctx, c, "greet", person{Name: "Ann"})
	require.NoError(t, err)
	require.Equal(t, "Hello, Ann!", greeting)

	// Wrong arguments get the error of the README.
	for _, wrong := range []struct {
		arguments any
		text      string
		pointer   string
	}{
		{nil, "Missing mandatory 'name' parameter.", "/name"},
		{map[string]any{"name": 7}, "'name' parameter expected to be a string.", "/name"},
		{map[string]any{"name": "Ann", "nmae": "Ann"}, "Unsupported 'nmae' parameter", "/nmae"},
	} {
		_, err = client.Call[string](ctx, c, "greet", wrong.arguments)
		var bad *wire.Error
		require.ErrorAs(t, err, &bad)
		require.Contains(t, bad.Text, wrong.text)
		require.Equal(t, wrong.pointer, bad.Fields[0].Pointer)
	}

	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait(), log.String())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
