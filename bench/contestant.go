package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"
)

// A contestant is a server that commands are given to, and how its clients speak.
type contestant struct {
	name string

	// floor is the contestant that this one is divided by, with the same kind of client: a raw client's
	// rates and a Go client's are not comparable. Empty for a floor.
	floor string

	// note is what a reader must know before comparing it.
	note string

	// start makes the server, in a process that is its own, and returns when clients may come. Where
	// the program that shall be there is not installed, the error is an exec.ErrNotFound.
	start start

	// wire is what a client says.
	wire protocol

	// can says which works it does. nil: all of them.
	can func(work) bool
}

type start = func(s *site) (endpoint, error)

// A protocol is how a client reaches a server and what it says there. Where only request is set, the raw
// client speaks: one thread on bare sockets.
type protocol struct {
	// request is the i-th command of those in flight on a conn, as bytes, with a value to say. All have the same
	// length, and so have their replies; what a reply's length is, a client finds out.
	request func(s *site, value string, i int) []byte

	// prologue is said once on each conn, and answered, before the first command.
	prologue func(s *site) []byte

	// expect stands in the reply to a command. Empty: the value.
	expect string

	// dial makes a stream of bytes out of a place, where a bare socket is not enough: each conn has a goroutine then.
	dial func(s *site, e endpoint) (stream, error)

	// session connects a client of the protocol's own. Its trips may be made by several at once.
	session func(s *site, e endpoint) (session, error)
}

// A stream is a conn that carries bytes.
type stream interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
}

// A session is a connection that commands are given on.
type session struct {
	trip  func(k *kind) error
	close func()
}

func (p protocol) raw() bool { return p.dial == nil && p.session == nil }

// A site is what the server and the clients of one measurement share.
type site struct {
	Dir    string // for what belongs to this measurement alone
	Shared string // for what the whole run has: certificates and a token
	Token  string
	Reply  int  // bytes in the value of a reply; 0: it is what was asked
	Each   bool // commands have no id
	Mixed  bool // commands are of all kinds
}

func (s *site) path(name string) string { return filepath.Join(s.Dir, name) }

// An endpoint is where a server is.
type endpoint struct {
	Network, Address string
	PIDs             []int  // of the processes whose work counts
	Control          string // a UNIX socket that answers what the runtime knows; empty: it has none
}

// contestants are all of them, floors first.
var contestants = slices.Concat(
	floors,
	ours,
	[]contestant{jrpc2Typed, jrpc2Raw, netHTTP, netHTTPTCP, redisEcho, haproxyLevel, grpcGo, ttrpcGo, netRPC, connectRPC, keaSocket, keaAgent, qemuQMP},
)

func contestantNamed(name string) (contestant, error) {
	i := slices.IndexFunc(contestants, func(c contestant) bool { return c.name == name })
	if i < 0 {
		return contestant{}, fmt.Errorf("there is no contestant %q; -list names them", name)
	}
	return contestants[i], nil
}
