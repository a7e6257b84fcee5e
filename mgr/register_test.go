package mgr_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

func nothing(context.Context, mgr.None) (mgr.None, error) { return mgr.None{}, nil }

func TestNamesOfCommands(t *testing.T) {
	for _, name := range []string{"a", "a1", "ab", "lease4-get", "a-1", "a-b-c", "x2y-3z", strings.Repeat("a", 64)} {
		require.NoError(t, mgr.New(nil).Register(mgr.Func(name, "", mgr.Read, nothing)), name)
	}
	for _, name := range []string{
		"", "A", "aB", "1a", "-", "-a", "a-", "a--b", "a_b", "a.b", "a b", " a", "a\n", "a\x00", "ä", "list/commands",
		strings.Repeat("a", 65),
	} {
		err := mgr.New(nil).Register(mgr.Func(name, "", mgr.Read, nothing))
		require.ErrorContains(t, err, "a command's name matches ^[a-z][a-z0-9]*(-[a-z0-9]+)*$ and has at most 64 bytes", "%q", name)
	}
}

func TestRegisterRefusesInvalidCommands(t *testing.T) {
	type cyclic struct{ F func() }
	for text, cmd := range map[string]mgr.Command{
		"command 'x': Specified command handler is NULL":               {Name: "x", Level: mgr.Read},
		"command 'y': Specified command handler is NULL":               mgr.Func[mgr.None, mgr.None]("y", "", mgr.Read, nil),
		"command 'z': Specified command handler is NULL":               mgr.Async[mgr.None, mgr.None]("z", "", mgr.Read, nil),
		"Handler for command 'whoami' is already installed.":           mgr.Func("whoami", "", mgr.Read, nothing),
		"command 'a': it declares no access level; say mgr.Read, mgr.": mgr.Func("a", "", 0, nothing),
		"command 'b': it declares no access level":                     mgr.Func("b", "", mgr.Admin+1, nothing),
		`command 'c': the example "{" is no JSON`:                      mgr.Func("c", "", mgr.Read, nothing, mgr.Example("{"), mgr.Example("{}")),
		"command 'd': its arguments: field Wait: a time.Duration has no JSON form of its own": mgr.Func("d", "", mgr.Read,
			func(context.Context, struct{ Wait time.Duration }) (mgr.None, error) { return mgr.None{}, nil }),
		"command 'e': its arguments: field F: the type func() has no JSON form": mgr.Func("e", "", mgr.Read,
			func(context.Context, []cyclic) (mgr.None, error) { return mgr.None{}, nil }),
		"command 'f': what it returns: the type chan int has no JSON form": mgr.Func("f", "", mgr.Read,
			func(context.Context, mgr.None) (mgr.Result[chan int], error) {
				return mgr.Result[chan int]{}, nil
			}),
		"command 'g': its arguments: field N: tag schema, entry \"least=1\": there is no such entry": mgr.Func("g", "", mgr.Read,
			func(context.Context, struct {
				N int `schema:"least=1"`
			}) (mgr.None, error) {
				return mgr.None{}, nil
			}),
	} {
		m := mgr.New(nil)
		require.ErrorContains(t, m.Register(cmd), text)
		require.Len(t, m.Commands(), 4)
	}
}

func TestRegisterAllOrNone(t *testing.T) {
	m := mgr.New(nil)
	a, b, bad := mgr.Func("a", "", mgr.Read, nothing), mgr.Func("b", "", mgr.Read, nothing), mgr.Func("B", "", mgr.Read, nothing)
	err := m.Register(a, bad, b, a)
	require.ErrorContains(t, err, "command 'B'")
	require.ErrorContains(t, err, "Handler for command 'a' is already installed.")
	require.Len(t, m.Commands(), 4)
	require.NoError(t, m.Register())
	require.NoError(t, m.Register(b, a))
	var names []string
	for _, cmd := range m.Commands() {
		names = append(names, cmd.Name)
	}
	require.Equal(t, []string{"a", "b", "cancel", "describe-command", "list-commands", "whoami"}, names)
	require.EqualError(t, m.Register(a), "Handler for command 'a' is already installed.")
	require.NoError(t, m.Deregister("a"))
	require.EqualError(t, m.Deregister("a"), "Handler for command 'a' not found.")
	require.NoError(t, m.Register(a))
}

func TestBuiltInCommandsCannotBeReplaced(t *testing.T) {
	m := mgr.New(nil)
	for _, name := range []string{"list-commands", "describe-command", "whoami", "cancel"} {
		require.EqualError(t, m.Deregister(name), "Can't uninstall internal command '"+name+"'")
		require.EqualError(t, m.Register(mgr.Func(name, "", mgr.Read, nothing)), "Handler for command '"+name+"' is already installed.")
	}
	for _, cmd := range m.Commands() { // a change of the list does not change the manager
		cmd.Handler = nil
	}
	reply, err := process(t, m, "whoami")
	require.NoError(t, err)
	require.Zero(t, reply.Code)
}

// process runs one command, and the loop only for it.
func process(t *testing.T, m *mgr.CommandMgr, name string) (wire.Reply, error) {
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	reply, err := m.Process(t.Context(), wire.Request{Command: name})
	stop()
	require.NoError(t, <-ended)
	return reply, err
}

func TestDeregisteredCommandAnswersQueuedCallsWith2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, s.commands()...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"hold","id":1}{"command":"count","id":2}`)
		synctest.Wait()
		require.NoError(t, d.Deregister("count"))
		c.send(`{"command":"count","id":3}`)
		time.Sleep(mgr.MaxReplyWait)
		synctest.Wait()
		require.NoError(t, d.Register(mgr.Func("count", "Another one.", mgr.Read, nothing)))
		c.send(`{"command":"count","id":4}{"command":"release","id":5}`)
		replies := c.receiveAll(5)
		require.Equal(t, "'count' command not supported.", replies[2.0].Text)
		require.Equal(t, 2, replies[2.0].Result)
		require.Equal(t, 2, replies[3.0].Result)
		require.Equal(t, 0, replies[4.0].Result)
		require.Nil(t, replies[4.0].Arguments)
		require.Zero(t, s.count)
	})
}

// Commands are registered and deregistered while calls run. The race detector checks it.
func TestRegisterWhileCallsRun(t *testing.T) {
	d := start(t, nil)
	var callers, changers sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		cmd := mgr.Func(fmt.Sprintf("cmd-%d", i), "", mgr.Read, nothing)
		if i%2 == 0 {
			cmd.Async = true
		}
		changers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				require.NoError(t, d.Register(cmd))
				remove := d.Use(func(next mgr.Handler) mgr.Handler { return next })
				require.NoError(t, d.Deregister(cmd.Name))
				remove()
			}
		})
	}
	for range 4 {
		callers.Go(func() {
			c := d.dial()
			defer c.close()
			for i := range 100 {
				c.send(fmt.Sprintf(`{"command":"cmd-%d","id":%d}`, i%4, i))
				require.Contains(t, []int{0, 2}, c.receive().Result)
			}
		})
	}
	callers.Wait()
	close(stop)
	changers.Wait()
}
