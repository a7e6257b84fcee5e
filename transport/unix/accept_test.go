//go:build unix && !aix

package unix_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/unix"
)

var errEnough = errors.New("enough")

func TestAcceptEndsWithItsContext(t *testing.T) {
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	_, err := l.Accept(ended)
	require.Equal(t, errEnough, err)

	for i := range 200 { // the times hit Accept in all of its parts
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(i)*time.Microsecond, errEnough)
		_, err := l.Accept(ctx)
		require.Equal(t, errEnough, err)
		cancel()
		if i%2 == 0 { // no deadline was left behind
			requireAnswers(t, l, path)
		}
	}
	requireAnswers(t, l, path)
	client := dial(t, path)
	server, err := l.Accept(context.Background())
	require.NoError(t, err)
	require.NoError(t, server.Close())
	require.NoError(t, client.Close())
}

// When a context ends at the same time as a client connects, Accept returns the conn or the cause, and works afterwards.
func TestAcceptReturnsConnOrCauseWhenContextEnds(t *testing.T) {
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	for range 300 {
		ctx, cancel := context.WithCancelCause(t.Context())
		var meanwhile sync.WaitGroup
		meanwhile.Go(func() { cancel(errEnough) })
		client := dial(t, path)
		server, err := l.Accept(ctx)
		if err != nil {
			require.Equal(t, errEnough, err)
			server = accept(t, l)
		}
		meanwhile.Wait()
		require.NoError(t, server.Close())
		require.NoError(t, client.Close())
	}
}

// Each of several blocked Accepts ends with its own context only.
func TestEachAcceptEndsWithItsOwnContext(t *testing.T) {
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	var all sync.WaitGroup
	results := make(chan error, 20)
	for range 10 {
		ctx, cancel := context.WithCancelCause(t.Context())
		all.Go(func() {
			_, err := l.Accept(ctx)
			results <- err
		})
		all.Go(func() { cancel(errEnough) })
		all.Go(func() {
			c, err := l.Accept(context.Background())
			if err == nil {
				err = c.Close()
			}
			results <- err
		})
	}
	for range 10 {
		require.Equal(t, errEnough, <-results)
	}
	for range 10 {
		dial(t, path)
		require.NoError(t, <-results)
	}
	all.Wait()
}

func TestCloseEndsAccept(t *testing.T) {
	for range 100 {
		l := listen(t, &unix.Transport{Path: socketPath(t)})
		results := make(chan error, 3)
		for range cap(results) {
			go func() {
				_, err := l.Accept(context.Background())
				results <- err
			}()
		}
		require.NoError(t, l.Close())
		for range cap(results) {
			require.Equal(t, net.ErrClosed, <-results)
		}
		_, err := l.Accept(t.Context())
		require.Equal(t, net.ErrClosed, err)
	}
}

// Conns stay open when their listener is closed.
func TestConnsStayOpenWhenListenerCloses(t *testing.T) {
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	client := dial(t, path)
	server := accept(t, l)
	require.NoError(t, l.Close())
	send(t, client, `{"a":1}`)
	require.Equal(t, `{"a":1}`, receive(t, server))

	_, err := (&unix.Transport{Path: path}).Dial(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "is the daemon running")
	require.ErrorAs(t, err, new(*net.OpError))
}

func TestManyClientsConnectAtOnce(t *testing.T) {
	const many = 1000
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	var all sync.WaitGroup
	fail := make(chan error, 2*many)
	for range 8 {
		all.Go(func() {
			for range many / 8 {
				fail <- askOnce(path)
			}
		})
	}
	for range many {
		server := accept(t, l)
		all.Go(func() {
			frame, err := server.Receive(context.Background(), nil)
			if err == nil {
				err = server.Send(context.Background(), frame)
			}
			fail <- errors.Join(err, server.Close())
		})
	}
	all.Wait()
	close(fail)
	for err := range fail {
		require.NoError(t, err)
	}
}

func askOnce(path string) error {
	c, err := (&unix.Transport{Path: path}).Dial(context.Background())
	if err != nil {
		return err
	}
	if err := c.Send(context.Background(), []byte(`{"a":1}`)); err != nil {
		return err
	}
	_, err = c.Receive(context.Background(), nil)
	return errors.Join(err, c.Close())
}

// All clients connect before the first one is accepted.
func TestClientsWaitInTheQueueForAccept(t *testing.T) {
	const many = 1000
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	for range many {
		dial(t, path)
	}
	for range many {
		accept(t, l)
	}
}

func TestPassedListenerIsUsed(t *testing.T) {
	path := socketPath(t)
	opened, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	require.NoError(t, opened.SetDeadline(time.Unix(1, 0)), "as the opener left it")
	before, err := os.Lstat(path)
	require.NoError(t, err)

	l, err := (&unix.Transport{Path: "@ignored", Group: "ignored", Listener: opened}).Listen(t.Context())
	require.NoError(t, err)
	require.Equal(t, path, l.Addr().String())
	requireAnswers(t, l, path)
	client := dial(t, path)
	cred, _ := transport.CredAs[unix.Cred](accept(t, l).Peer())
	require.EqualValues(t, os.Getpid(), cred.PID)
	require.NoError(t, client.Close())

	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	after, err := os.Lstat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after))
	require.Equal(t, []string{"x.sock"}, names(t, path))
	_, err = l.Accept(t.Context())
	require.Equal(t, net.ErrClosed, err)
}

func TestPassedListenerOfAnotherTypeIsRefused(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, tcp.Close()) }()
	_, err = (&unix.Transport{Listener: tcp}).Listen(t.Context())
	require.ErrorContains(t, err, "a tcp listener (*net.TCPListener) was passed")
}

func TestListenAndDialReturnCauseOfEndedContext(t *testing.T) {
	path := socketPath(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	_, err := (&unix.Transport{Path: path}).Listen(ctx)
	require.ErrorIs(t, err, errEnough)
	require.Empty(t, names(t, path))
	listen(t, &unix.Transport{Path: path})
	_, err = (&unix.Transport{Path: path}).Dial(ctx)
	require.ErrorIs(t, err, errEnough)
}
