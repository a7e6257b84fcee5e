package mgr_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// dialAs opens a conn whose peer has these credentials, on a listener of its own.
func (d *daemon) dialAs(subjects ...string) *rawClient {
	d.t.Helper()
	var creds []transport.Credential
	for _, name := range subjects {
		creds = append(creds, subject(name))
	}
	return d.openAs(mgr.ListenerConfig{}, creds...).dial()
}

func TestOwnerAllowsDaemonUserAndRootOnly(t *testing.T) {
	own := "uid:" + strconv.Itoa(os.Geteuid())
	for _, test := range []struct {
		subjects []string
		result   int
		text     string
	}{
		{[]string{"self"}, 0, ""},
		{[]string{"uid:0"}, 0, ""},
		{[]string{own}, 0, ""},
		{[]string{"uid:4711", "uid:0"}, 0, ""},
		{[]string{"uid:4711"}, 403, "'count' is not allowed for uid:4711"},
		{[]string{"uid:4711", "gid:0"}, 403, "'count' is not allowed for uid:4711,gid:0"},
		{[]string{"UID:0"}, 403, "'count' is not allowed for UID:0"},
		{[]string{"uid:00"}, 403, "'count' is not allowed for uid:00"},
		{[]string{"cert:self"}, 403, "'count' is not allowed for cert:self"},
		{nil, 401, "nothing is known about you, so nothing is allowed"},
	} {
		t.Run(fmt.Sprint(test.subjects), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestCommands()
				d := start(t, nil, s.commands()...)
				c := d.dialAs(test.subjects...)
				c.send(`{"command":"count"}`)
				r := c.receive()
				c.requireEOF()
				require.Equal(t, test.result, r.Result)
				require.Equal(t, test.text, r.Text)
				require.Equal(t, test.result == 0, s.count == 1)
			})
		})
	}
}

// A member is a user of the system that belongs to the group of the socket, or does not.
type member struct {
	subject
	in bool
}

func (member) GroupIDs() []uint32    { return []uint32{27} }
func (m member) InSocketGroup() bool { return m.in }

func TestOwnerAllowsSocketGroupToRead(t *testing.T) {
	for _, test := range []struct {
		cred    transport.Credential
		command *mgr.Command
		allowed bool
	}{
		{member{"uid:4711", true}, &mgr.Command{Level: mgr.Read}, true},
		{member{"uid:4711", true}, &mgr.Command{Level: mgr.Write}, false},
		{member{"uid:4711", true}, &mgr.Command{Level: mgr.Admin}, false},
		{member{"uid:4711", true}, nil, true},
		{member{"uid:4711", false}, &mgr.Command{Level: mgr.Read}, false},
		{member{"uid:4711", false}, nil, false},
		{member{"uid:0", false}, &mgr.Command{Level: mgr.Admin}, true},
		{subject("socket-group"), &mgr.Command{Level: mgr.Read}, false},
	} {
		err := mgr.Owner().Authorize(&mgr.Call{Name: "x", Command: test.command, Peer: transport.Peer{Creds: []transport.Credential{test.cred}}})
		require.Equal(t, test.allowed, err == nil, "%v %v", test.cred, test.command)
	}
}

// A recordingAuthorizer notes the calls that it decides.
type recordingAuthorizer struct {
	mu     sync.Mutex
	asked  []string
	where  map[uint64]bool
	decide func(*mgr.Call) error
}

func (l *recordingAuthorizer) Authorize(call *mgr.Call) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := call.Name
	if call.Command == nil {
		name += "?"
	} else {
		name += " " + call.Command.Level.String()
	}
	l.asked = append(l.asked, name)
	if l.where == nil {
		l.where = map[uint64]bool{}
	}
	l.where[goroutine()] = true
	if l.decide != nil {
		return l.decide(call)
	}
	return nil
}

func TestEveryCallIsAuthorizedOffTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l recordingAuthorizer
		var loop uint64
		d := start(t, &mgr.Options{Authorizer: &l}, append(newTestCommands().commands(),
			mgr.Func("where", "", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) {
				loop = goroutine()
				return mgr.None{}, nil
			}))...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"where","id":1}{"command":"no-such","id":2}{"command":"greet","id":3}{"command":"forbidden","id":4}{"id":5}{"command":"","id":6}`)
		c.receiveAll(6)
		require.Equal(t, []string{"where write", "no-such?", "greet read", "forbidden admin", "?"}, l.asked)
		require.NotContains(t, l.where, loop)
	})
}

func TestErrorOfAuthorizerIsTheReply(t *testing.T) {
	refusal := &wire.Error{Code: 1001, Word: "curfew", Text: "not at night", Fields: []wire.Field{{Pointer: "/name", Text: "is asleep"}}}
	synctest.Test(t, func(t *testing.T) {
		var l recordingAuthorizer
		s := newTestCommands()
		d := start(t, &mgr.Options{Authorizer: &l}, s.commands()...)
		c := d.dial()
		defer c.close()
		ask := func(err error) reply {
			l.decide = func(*mgr.Call) error { return err }
			c.send(`{"command":"count","id":1}`)
			return c.receive()
		}
		require.Zero(t, ask(nil).Result)
		for _, err := range []error{refusal, fmt.Errorf("wrapped: %w", refusal)} {
			r := ask(err)
			require.Equal(t, 1001, r.Result)
			require.Equal(t, "not at night", r.Text)
			require.Equal(t, []string{"/name: is asleep"}, problems(r))
		}
		require.Equal(t, reply{ID: 1.0, Result: 403, Text: "no", Error: details("forbidden")}, ask(errors.New("no")))
		require.Equal(t, 2.0, ask(nil).Arguments, "the conn is still open, and asked again for every command")

		l.decide = func(*mgr.Call) error { panic("canary") }
		c.send(`{"command":"count","id":1}`)
		r := c.receive()
		require.Equal(t, 500, r.Result)
		require.NotContains(t, r.Text, "canary")
		require.Equal(t, 3.0, ask(nil).Arguments)
	})
}

func TestProcessInHandlerHasRightsOfCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *daemon
		l := recordingAuthorizer{decide: func(call *mgr.Call) error {
			if call.Command == nil || call.Command.Level == mgr.Read {
				return nil
			}
			return mgr.Owner().Authorize(call)
		}}
		runCount := func(ctx context.Context, _ mgr.None) (mgr.Result[mgr.None], error) {
			reply, err := d.Process(ctx, wire.Request{Command: "count"})
			return mgr.Result[mgr.None]{Code: reply.Code, Text: reply.Text}, err
		}
		s := newTestCommands()
		d = start(t, &mgr.Options{Authorizer: &l}, append(s.commands(),
			mgr.Func("run-count", "", mgr.Read, runCount),
			mgr.Async("run-count-async", "", mgr.Read, runCount))...)
		for _, command := range []string{"run-count", "run-count-async"} {
			c := d.dialAs("uid:4711")
			c.send(`{"command":"` + command + `"}`)
			require.Equal(t, "'count' is not allowed for uid:4711", c.receive().Text)
			c.requireEOF()
			require.Zero(t, d.call(`{"command":"`+command+`"}`).Result)
		}
		require.Equal(t, 2, s.count)
		ours, err := d.Process(t.Context(), wire.Request{Command: "count"})
		require.NoError(t, err)
		require.NoError(t, ours.Err())
		require.Equal(t, 3, s.count)
	})
}
