package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

var echo = mgr.Func("echo", "", mgr.Read, func(_ context.Context, in string) (string, error) { return in, nil })

// park waits until it is cancelled, and sends a signal then.
func park(ended chan error) mgr.Command {
	return mgr.Async("park", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return mgr.None{}, ctx.Err()
	})
}

func TestConcurrentCallsGetTheirOwnReplies(t *testing.T) {
	c := dial(t, daemon(t, mgr.Limits{}, echo))
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			for j := range 100 {
				want := fmt.Sprint(i, j)
				got, err := client.Call[string](t.Context(), c, "echo", want)
				if err != nil || got != want {
					t.Errorf("%s: got %q, %v", want, got, err)
				}
			}
		})
	}
	all.Wait()
}

// TestEndOfContextCancelsOnlyItsCommand: other commands on the conn go on, also while the daemon's window is full.
func TestEndOfContextCancelsOnlyItsCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 100)
		c := dial(t, daemon(t, mgr.Limits{}, echo, park(ended)))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("no patience"))
		defer cancel()
		var all sync.WaitGroup
		for range 30 { // more than fit
			all.Go(func() {
				_, err := c.Do(ctx, wire.Request{Command: "park"})
				require.EqualError(t, err, "no patience")
			})
		}
		all.Wait()
		for range 16 {
			require.EqualError(t, <-ended, "cancelled by its caller")
		}
		for range 40 {
			got, err := client.Call[string](t.Context(), c, "echo", "x")
			require.NoError(t, err)
			require.Equal(t, "x", got)
		}
		require.Empty(t, ended)
	})
}

// TestCommandWithEndedContextIsNotSent: the daemon never gets it.
func TestCommandWithEndedContextIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, conn := script(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("too late"))
		for range 100 {
			_, err := c.Do(ctx, wire.Request{Command: "x"})
			require.EqualError(t, err, "too late")
		}
		require.NoError(t, c.Close())
		_, err := conn.Receive(t.Context(), nil)
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestCommandsFailWhenTheDaemonEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, conn := script(t)
		errs := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := c.Do(context.Background(), wire.Request{Command: "x"})
				errs <- err
			}()
		}
		synctest.Wait()
		require.NoError(t, conn.Close())
		for range 3 {
			err := <-errs
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.EqualError(t, err, "the daemon closed the conn without a reply: unexpected EOF")
		}
		_, err := c.Do(t.Context(), wire.Request{Command: "x"})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
}

// TestReplyWithoutIDEndsTheClient: all commands that wait get it as their error.
func TestReplyWithoutIDEndsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for word, want := range map[string]string{
			`{"result":503,"text":"going down","error":{"code":"shutting-down"}}`: "going down",
			`{"result":0}`:               "the daemon sent a reply without an id",
			`{"result":3,"text":"none"}`: "the daemon sent a reply without an id",
			`{"text":"no result"}`:       "the reply has no integer 'result'",
			`[1]`:                        "the reply has no integer 'result'",
		} {
			c, conn := script(t)
			errs := make(chan error, 3)
			for range 3 {
				go func() {
					_, err := c.Do(context.Background(), wire.Request{Command: "x"})
					errs <- err
				}()
			}
			synctest.Wait()
			require.NoError(t, conn.Send(t.Context(), []byte(word)))
			for range 3 {
				require.EqualError(t, <-errs, want)
			}
			_, err := c.Do(t.Context(), wire.Request{Command: "x"})
			require.EqualError(t, err, want)
		}
	})
}

// TestRefusedConnReturnsTheReasonOfTheDaemon: the reply that the daemon sent, not the error of the write.
func TestRefusedConnReturnsTheReasonOfTheDaemon(t *testing.T) {
	begun := make(chan struct{})
	wait := mgr.Async("wait", "Wait until the caller leaves.", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
		close(begun)
		<-ctx.Done()
		return mgr.None{}, context.Cause(ctx)
	})
	place := daemon(t, mgr.Limits{MaxConns: 1}, echo, wait)
	first := dial(t, place)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _, _ = first.Do(ctx, wire.Request{Command: "wait"}) }() // an idle conn of the owner would give way
	<-begun
	for range 200 {
		c, err := client.Dial(t.Context(), place)
		require.NoError(t, err)
		_, err = c.Do(t.Context(), wire.Request{Command: "echo"})
		require.ErrorIs(t, err, &wire.Error{Code: wire.CodeShuttingDown, Word: "too-many-conns"})
		require.NoError(t, c.Close())
		reply, err := client.Do(t.Context(), place, wire.Request{Command: "echo"})
		require.NoError(t, err)
		require.Equal(t, wire.CodeShuttingDown, reply.Code)
	}
}

// TestLateReplyIsNotGivenToAnotherCommand: it is dropped.
func TestLateReplyIsNotGivenToAnotherCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, conn := script(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Do(ctx, wire.Request{Command: "slow"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		go func() {
			for {
				frame, err := conn.Receive(context.Background(), nil)
				if err != nil {
					return
				}
				request, _ := wire.DecodeRequest(frame)
				if request.Command != "fast" {
					continue
				}
				for _, id := range []wire.ID{wire.IntID(1), wire.IntID(999), wire.StringID("1"), request.ID, request.ID} {
					frame, _ := wire.AppendReply(nil, wire.Reply{ID: id, Arguments: id == request.ID})
					_ = conn.Send(context.Background(), frame)
				}
			}
		}()
		for range 20 {
			mine, err := client.Call[bool](t.Context(), c, "fast", nil)
			require.NoError(t, err)
			require.True(t, mine)
		}
	})
}

func TestCloseEndsWaitingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 100)
		c := dial(t, daemon(t, mgr.Limits{}, park(ended)))
		errs := make(chan error, 30)
		for range 30 {
			go func() {
				_, err := c.Do(context.Background(), wire.Request{Command: "park"})
				errs <- err
			}()
		}
		synctest.Wait()
		require.NoError(t, c.Close())
		for range 30 {
			require.ErrorIs(t, <-errs, net.ErrClosed)
		}
		require.NoError(t, c.Close())
		_, err := c.Do(t.Context(), wire.Request{Command: "park"})
		require.ErrorIs(t, err, net.ErrClosed)
		synctest.Wait()
		require.Len(t, ended, 16)
	})
}

// TestClientReplacesTheIDOfARequest: each request has an id of the Client.
func TestClientReplacesTheIDOfARequest(t *testing.T) {
	c := dial(t, daemon(t, mgr.Limits{}, echo))
	for range 3 {
		_, err := c.Do(t.Context(), wire.Request{Command: "echo", Arguments: wire.Value(`"x"`), ID: wire.StringID("mine")})
		require.NoError(t, err)
	}
}

// TestBadRequestIsNotSent: later commands are not disturbed.
func TestBadRequestIsNotSent(t *testing.T) {
	c := dial(t, daemon(t, mgr.Limits{}, echo))
	for range 40 { // more than the window
		_, err := c.Do(t.Context(), wire.Request{Command: "echo", Arguments: wire.Value(`{`)})
		require.ErrorContains(t, err, "the request: ")
	}
	got, err := client.Call[string](t.Context(), c, "echo", "x")
	require.NoError(t, err)
	require.Equal(t, "x", got)
}
