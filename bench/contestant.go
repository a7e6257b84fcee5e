package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"
)

// A contestant is a server, and the protocol of its clients.
type contestant struct {
	name string

	// floor is the contestant that this one is divided by. It has the same kind of client, since the rates of a raw client and
	// of a Go client are not comparable. It is empty for a floor.
	floor string

	// note has facts for the reader of the report.
	note string

	// start starts the server in a process of its own, and returns when clients may connect. If its program is not installed,
	// the error is exec.ErrNotFound.
	start start

	// wire is the protocol of its clients.
	wire protocol

	// can reports whether it does a work. nil: it does all.
	can func(work) bool
}

type start = func(s *site) (endpoint, error)

// A protocol says how a client connects and what it sends. If only request is set, the raw client drives the server: one
// thread on sockets.
type protocol struct {
	// request returns the i-th command of those in flight on a conn, with a value. All have the same length, and so have their
	// replies. The client learns the length of a reply.
	request func(s *site, value string, i int) []byte

	// prologue is sent once on each conn before the first command. The server answers it.
	prologue func(s *site) []byte

	// expect is a part of each reply. Empty: the value.
	expect string

	// dial connects, where a socket alone is not enough. Each conn has a goroutine then.
	dial func(s *site, e endpoint) (stream, error)

	// session connects a client of the protocol itself. Several goroutines may call its trip.
	session func(s *site, e endpoint) (session, error)
}

// A stream is a byte stream.
type stream interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
}

// A session is a connection of a client. trip gives one command.
type session struct {
	trip  func(k *kind) error
	close func()
}

func (p protocol) raw() bool { return p.dial == nil && p.session == nil }

// A site has the data that the server and the clients of one measurement share.
type site struct {
	Dir    string // the directory of this measurement
	Shared string // the directory of the run: certificates and a token
	Token  string
	Reply  int  // bytes in the value of a reply; 0: the value of the request
	Each   bool // commands have no id
	Mixed  bool // commands are of all kinds
}

func (s *site) path(name string) string { return filepath.Join(s.Dir, name) }

// An endpoint has the address of a server.
type endpoint struct {
	Network, Address string
	PIDs             []int  // of the processes whose work counts
	Control          string // a UNIX socket with figures of the runtime; empty: there is none
}

// contestants has all contestants, floors first.
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
