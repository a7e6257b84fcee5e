package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/unix"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the daemon logs there
	goleak.VerifyTestMain(m)
}

// start runs the daemon until stop. ended then has the result of run.
func start(t *testing.T) (addr *net.UDPAddr, c *client.Client, stop context.CancelFunc, ended chan error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "rp")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	place := &unix.Transport{Path: filepath.Join(dir, "udpecho.sock")}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended = make(chan error, 1)
	go func() { ended <- run(ctx, conn, place.Path) }()
	require.Eventually(t, func() bool {
		c, err = client.Dial(t.Context(), place)
		return err == nil
	}, 2*testkit.Timeout, 2*time.Millisecond)
	return conn.LocalAddr().(*net.UDPAddr), c, stop, ended
}

// A thousand changes under full load, for the race detector. Each echo has both marks of the same settings, and the statistics
// count each packet.
func TestEchoesHaveBothMarksOfTheSameSettings(t *testing.T) {
	const clients, changes = 2, 1000
	addr, c, stop, ended := start(t)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*testkit.Timeout)
	defer cancel()
	set := func(i int) {
		s := settings{Open: fmt.Sprintf("%d<", i), Close: fmt.Sprintf(">%d", i)}
		got, err := client.Call[settings](ctx, c, "settings-set", s)
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
	set(0)
	var sent, heard atomic.Int64
	var over atomic.Bool
	var load, warm sync.WaitGroup
	for range clients {
		conn, err := net.DialUDP("udp", nil, addr)
		require.NoError(t, err)
		defer conn.Close()
		warm.Add(1)
		load.Go(func() { // sends packets until the changes are done
			for !over.Load() {
				if _, err := conn.Write([]byte("hello")); err == nil {
					sent.Add(1)
				}
			}
			require.NoError(t, conn.SetReadDeadline(time.Now()))
		})
		load.Go(func() { // checks each echo
			started := sync.OnceFunc(warm.Done)
			defer started()
			buf := make([]byte, 100)
			for {
				n, err := conn.Read(buf)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					return
				}
				require.NoError(t, err)
				before, after, ok := strings.Cut(string(buf[:n]), "<hello>")
				require.True(t, ok && before == after, "torn: %q", buf[:n])
				_, err = strconv.Atoi(before)
				require.NoError(t, err)
				heard.Add(1)
				started()
			}
		})
	}
	warm.Wait()
	for i := range changes {
		set(i + 1)
	}
	over.Store(true)
	load.Wait()

	got, err := client.Call[settings](ctx, c, "settings-get", nil)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf(">%d", changes), got.Close)
	var s stats
	require.Eventually(t, func() bool { // until the last packets have arrived
		s, err = client.Call[stats](ctx, c, "stats-get", nil)
		return err == nil && s.Received == s.Echoed+s.Lost
	}, 2*testkit.Timeout, 2*time.Millisecond)
	require.LessOrEqual(t, s.Received, sent.Load())
	require.GreaterOrEqual(t, s.Echoed, heard.Load())
	t.Logf("%+v; sent %d, heard %d", s, sent.Load(), heard.Load())
	stop()
	require.NoError(t, <-ended)
}
