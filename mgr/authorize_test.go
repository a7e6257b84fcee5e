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
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A disguise is a pipe whose peers are somebody else.
type disguise struct {
	*pipe.Transport
	subjects []string
}

type subject string

func (s subject) Subject() string { return string(s) }

func (d disguise) Listen(ctx context.Context) (transport.Listener, error) {
	l, err := d.Transport.Listen(ctx)
	return disguisedListener{l, d.subjects}, err
}

type disguisedListener struct {
	transport.Listener
	subjects []string
}

func (l disguisedListener) Accept(ctx context.Context) (transport.Conn, error) {
	conn, err := l.Listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	peer := conn.Peer()
	peer.Creds = nil
	for _, name := range l.subjects {
		peer.Creds = append(peer.Creds, subject(name))
	}
	return disguisedConn{conn, peer}, nil
}

type disguisedConn struct {
	transport.Conn
	peer transport.Peer
}

func (c disguisedConn) Peer() transport.Peer { return c.peer }

// dialAs returns a client with these credentials.
func (d *daemon) dialAs(subjects ...string) *talker {
	d.t.Helper()
	place := disguise{pipe.New(), subjects}
	_, err := d.Open(d.t.Context(), place)
	require.NoError(d.t, err)
	end, err := place.DialBytes(d.t.Context())
	require.NoError(d.t, err)
	return newTalker(d.t, end)
}

func TestOwner(t *testing.T) {
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
				s := newShip()
				d := start(t, nil, s.commands()...)
				c := d.dialAs(test.subjects...)
				c.say(`{"command":"count"}`)
				r := c.hear()
				c.eof()
				require.Equal(t, test.result, r.Result)
				require.Equal(t, test.text, r.Text)
				require.Equal(t, test.result == 0, s.count == 1)
			})
		})
	}
}

// A member is a user of the system, and of the socket's group or not.
type member struct {
	subject
	in bool
}

func (member) GroupIDs() []uint32    { return []uint32{27} }
func (m member) InSocketGroup() bool { return m.in }

func TestOwnerLetsTheSocketsGroupRead(t *testing.T) {
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

// A law is an Authorizer that remembers what it was asked.
type law struct {
	mu     sync.Mutex
	asked  []string
	where  map[uint64]bool
	decide func(*mgr.Call) error
}

func (l *law) Authorize(call *mgr.Call) error {
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
		var l law
		var loop uint64
		d := start(t, &mgr.Options{Authorizer: &l}, append(newShip().commands(),
			mgr.Func("where", "", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) {
				loop = goroutine()
				return mgr.None{}, nil
			}))...)
		c := d.dial()
		defer c.leave()
		c.say(`{"command":"where","id":1}{"command":"no-such","id":2}{"command":"greet","id":3}{"command":"scuttle","id":4}{"id":5}{"command":"","id":6}`)
		c.hearAll(6)
		require.Equal(t, []string{"where write", "no-such?", "greet read", "scuttle admin", "?"}, l.asked)
		require.NotContains(t, l.where, loop)
	})
}

func TestWhatAnAuthorizerSays(t *testing.T) {
	refusal := &wire.Error{Code: 1001, Word: "curfew", Text: "not at night", Fields: []wire.Field{{Pointer: "/name", Text: "is asleep"}}}
	synctest.Test(t, func(t *testing.T) {
		var l law
		s := newShip()
		d := start(t, &mgr.Options{Authorizer: &l}, s.commands()...)
		c := d.dial()
		defer c.leave()
		ask := func(err error) reply {
			l.decide = func(*mgr.Call) error { return err }
			c.say(`{"command":"count","id":1}`)
			return c.hear()
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
		c.say(`{"command":"count","id":1}`)
		r := c.hear()
		require.Equal(t, 500, r.Result)
		require.NotContains(t, r.Text, "canary")
		require.Equal(t, 3.0, ask(nil).Arguments)
	})
}

func TestProcessHasItsCallersRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *daemon
		l := law{decide: func(call *mgr.Call) error {
			if call.Command == nil || call.Command.Level == mgr.Read {
				return nil
			}
			return mgr.Owner().Authorize(call)
		}}
		launder := func(ctx context.Context, _ mgr.None) (mgr.Result[mgr.None], error) {
			reply, err := d.Process(ctx, wire.Request{Command: "count"})
			return mgr.Result[mgr.None]{Code: reply.Code, Text: reply.Text}, err
		}
		s := newShip()
		d = start(t, &mgr.Options{Authorizer: &l}, append(s.commands(),
			mgr.Func("launder", "", mgr.Read, launder),
			mgr.Async("launder-beside", "", mgr.Read, launder))...)
		for _, command := range []string{"launder", "launder-beside"} {
			c := d.dialAs("uid:4711")
			c.say(`{"command":"` + command + `"}`)
			require.Equal(t, "'count' is not allowed for uid:4711", c.hear().Text)
			c.eof()
			require.Zero(t, d.ask(`{"command":"`+command+`"}`).Result)
		}
		require.Equal(t, 2, s.count)
		ours, err := d.Process(t.Context(), wire.Request{Command: "count"})
		require.NoError(t, err)
		require.NoError(t, ours.Err())
		require.Equal(t, 3, s.count)
	})
}
