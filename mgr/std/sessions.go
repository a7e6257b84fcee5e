package std

import (
	"context"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"
)

// Sessions returns session-list and session-kill for the sessions of m.
func Sessions(m *mgr.CommandMgr) []mgr.Command {
	s := sessions{m}
	return []mgr.Command{
		mgr.Func("session-list", "List the sessions, and the commands that run in each.", mgr.Read, s.list),
		mgr.Func("session-kill", "Answer a session's commands with 403 and close its conns. Commands that wait never run; those off the loop are cancelled.", mgr.Admin, s.kill,
			mgr.Example(`{"session":"tls-7"}`)),
	}
}

type sessions struct{ m *mgr.CommandMgr }

type session struct {
	Session   string    `json:"session"`
	Principal string    `json:"principal" doc:"The subjects that its peer has proven, the strongest first."`
	Transport string    `json:"transport"`
	Address   string    `json:"address,omitempty"`
	Listener  string    `json:"listener" doc:"The name of the listener."`
	Since     time.Time `json:"since"`
	Conns     int       `json:"conns" doc:"Streams over QUIC, requests over HTTP; otherwise 1."`
	Commands  int64     `json:"commands" doc:"The number of commands that were answered on these conns."`
	Running   []running `json:"running"`
	Yours     bool      `json:"yours,omitzero" doc:"It is the session of this request."`
}

type running struct {
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
	Waiting bool      `json:"waiting,omitzero" doc:"It waits for the loop."`
}

func (s sessions) list(ctx context.Context, _ mgr.None) ([]session, error) {
	call, _ := mgr.CallOf(ctx)
	all := []session{}
	for _, known := range s.m.Sessions() {
		one := session{
			Session: known.ID, Principal: known.Peer.String(), Transport: known.Peer.Transport, Listener: known.Listener,
			Since: known.Since.UTC(), Conns: known.Conns, Commands: known.Commands, Running: []running{},
			Yours: known.ID == call.Peer.Session,
		}
		if known.Peer.Addr != nil {
			one.Address = known.Peer.Addr.String()
		}
		for _, r := range known.Running {
			one.Running = append(one.Running, running{r.Command, r.Since.UTC(), r.Waiting})
		}
		all = append(all, one)
	}
	return all, nil
}

type killIn struct {
	Session string `json:"session" doc:"As session-list names it."`
}

func (s sessions) kill(ctx context.Context, in killIn) (mgr.Result[mgr.None], error) {
	if call, _ := mgr.CallOf(ctx); in.Session == call.Peer.Session {
		return mgr.Result[mgr.None]{}, wire.Errorf(wire.CodeConflict, "own-session", "this is your own session; close the connection instead")
	}
	if s.m.CloseSession(in.Session) == 0 {
		return mgr.Result[mgr.None]{}, wire.Errorf(wire.CodeEmpty, "", "there is no session '%s'; session-list names all", wire.Shorten(in.Session))
	}
	return mgr.Result[mgr.None]{Text: "Closed."}, nil
}
