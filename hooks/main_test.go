package hooks_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/std"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(hookModeEnv); mode != "" {
		runHook(mode)
		return
	}
	goleak.VerifyTestMain(m)
}

// A daemon is a running manager with its hooks.
type daemon struct {
	*mgr.CommandMgr
	hooks *hooks.Set
	loop  *loop.Loop
	log   testkit.Output
	t     testing.TB
}

// start runs a daemon until the test ends. change may change its hooks before they are used.
func start(t testing.TB, change func(*hooks.Set)) *daemon {
	t.Helper()
	d := &daemon{t: t, loop: loop.New()}
	log := slog.New(slog.NewTextHandler(&d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d.CommandMgr = mgr.New(&mgr.Options{Loop: d.loop, Logger: log, Authorizer: levelAuthorizer{}, Limits: mgr.Limits{MaxInFlight: 100}})
	d.hooks = &hooks.Set{Manager: d.CommandMgr, Logger: log, StopTimeout: testkit.Timeout}
	if change != nil {
		change(d.hooks)
	}
	require.NoError(t, d.Register(d.hooks.Commands()...))
	require.NoError(t, d.Register(
		mgr.Func("status-get", "", mgr.Read, func(context.Context, mgr.None) (string, error) { return "alive", nil }),
		std.Version("0.1.0-dev", "0.1.0-dev"),
		mgr.Func("secret-get", "", mgr.Admin, func(context.Context, mgr.None) (string, error) { return "the secret", nil }),
	))
	var looping sync.WaitGroup
	looping.Go(func() { _ = d.loop.Run(context.Background()) })
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), testkit.Timeout)
		defer stop()
		require.NoError(t, d.hooks.Close(ctx))
		require.NoError(t, d.Shutdown(ctx))
		d.loop.Close()
		looping.Wait()
		if t.Failed() {
			t.Log(d.log.String())
		}
	})
	return d
}

// load puts configurations in force.
func (d *daemon) load(configs ...hooks.Config) error {
	change, err := d.hooks.Prepare(d.t.Context(), configs)
	if err != nil {
		return err
	}
	defer change.Discard()
	return d.onLoop(change.Commit)
}

func (d *daemon) onLoop(f func() error) error {
	done := make(chan error, 1)
	if err := d.loop.Post(func() { done <- f() }); err != nil {
		return err
	}
	return <-done
}

// as returns a client with the credential name: admin, or monitor.
func (d *daemon) as(name string) *client.Client {
	d.t.Helper()
	pipes := pipe.New()
	_, err := d.Open(d.t.Context(), peerTransport{pipes, subject(name)})
	require.NoError(d.t, err)
	c, err := client.Dial(d.t.Context(), pipes)
	require.NoError(d.t, err)
	d.t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask runs a command as admin, on a new conn.
func (d *daemon) ask(command, arguments string) wire.Reply {
	d.t.Helper()
	return ask(d.t, d.as("admin"), command, arguments)
}

func ask(t testing.TB, c *client.Client, command, arguments string) wire.Reply {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 10*testkit.Timeout)
	defer stop()
	r := wire.Request{Command: command}
	if arguments != "" {
		r.Arguments = wire.Value(arguments)
	}
	reply, err := c.Do(ctx, r)
	require.NoError(t, err)
	return reply
}

// text returns the arguments of a reply.
func text(r wire.Reply) string {
	v, _ := r.Arguments.(wire.Value)
	return string(v)
}

func (d *daemon) status(name string) hooks.Status {
	for _, s := range d.hooks.Status() {
		if s.Name == name {
			return s
		}
	}
	return hooks.Status{}
}

func (d *daemon) eventually(condition func() bool, what string) {
	d.t.Helper()
	testkit.Eventually(d.t, condition, "%s", what)
}

// levelAuthorizer allows admin everything, and monitor commands of the level read.
type levelAuthorizer struct{}

func (levelAuthorizer) Authorize(call *mgr.Call) error {
	for _, cred := range call.Peer.Creds {
		if cred.Subject() == "admin" || cred.Subject() == "self" || call.Asks() == mgr.Read {
			return nil
		}
	}
	return errors.New("not for a " + call.Peer.String())
}

// A peerTransport is a pipe whose peers have another credential.
type peerTransport struct {
	*pipe.Transport
	subject subject
}

type subject string

func (s subject) Subject() string { return string(s) }

func (d peerTransport) Listen(ctx context.Context) (transport.Listener, error) {
	l, err := d.Transport.Listen(ctx)
	return peerListener{l, d.subject}, err
}

type peerListener struct {
	transport.Listener
	subject subject
}

func (l peerListener) Accept(ctx context.Context) (transport.Conn, error) {
	conn, err := l.Listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	peer := conn.Peer()
	peer.Creds = []transport.Credential{l.subject}
	if strings.HasPrefix(string(l.subject), "uid:") { // as in docs/reference/hooks.md
		peer.Transport, peer.Session = "unix", "unix-7"
	}
	return peerConn{conn, peer}, nil
}

type peerConn struct {
	transport.Conn
	peer transport.Peer
}

func (c peerConn) Peer() transport.Peer { return c.peer }

// contains reports whether a text contains all parts.
func contains(s string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// hookProgram returns the path of a program of another project, in the order of the PATH of a hook. Without the program
// the test is skipped, or fails (testkit.SkipOrFail).
func hookProgram(t testing.TB, name, debian string) string {
	t.Helper()
	for _, dir := range []string{"/usr/local/bin/", "/usr/bin/", "/bin/"} {
		if _, err := os.Stat(dir + name); err == nil {
			return dir + name
		}
	}
	return testkit.NeedProgram(t, name, debian)
}
