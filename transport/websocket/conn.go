package websocket

import (
	"bufio"
	"cmp"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/rudderpost/rudderpost/transport"
)

// A conn is a WebSocket. Gorilla's reader dies with its first timeout, so that no Receive can take
// part in it and leave again: a goroutine of the conn's own reads, and Receive takes from its inbox.
// It hears pongs and a close frame even while nobody receives. But it rests while Receive finds, in front of
// gorilla, what it can read itself (turn).
type conn struct {
	ws    *gorilla.Conn
	line  *line
	cfg   config
	turn  *turn
	inbox *inbox
	held  held
	given int // bytes that Receive has handed over, until it is called again; only Receive touches it

	ctx    context.Context
	gone   context.CancelCauseFunc
	closed atomic.Bool

	writing sync.Mutex             // whoever writes has it, and gives it back with release
	sending atomic.Bool            // and it is Send
	broken  bool                   // part of something may have been written, and nothing else can be
	owed    atomic.Pointer[string] // what the last ping said that has not been answered

	bye  atomic.Pointer[goodbye] // what the close frame will say
	said chan struct{}           // closed when that has been tried

	timer  *time.Timer
	pinged time.Time // when the last ping was due
	asked  time.Time // when the first one was that has not been answered; zero: all have
}

// A config is what makes one conn differ from another. A time of 0 is no limit.
type config struct {
	peer                 transport.Peer
	memory               transport.Memory // where the conn books what it holds; nil: it does not
	maxFrame             int
	idle, frame          time.Duration
	pingEvery, pongUntil time.Duration
	bye                  goodbye // what it says at its end
	over                 func()  // called when its connection has been closed
}

// accepted is what a listener's conns are like.
func (t *Transport) accepted(peer transport.Peer, over func()) config {
	limits := t.limits()
	return config{
		peer:      peer,
		maxFrame:  cmp.Or(limits.MaxFrame, transport.DefaultMaxFrame),
		idle:      max(0, cmp.Or(limits.Idle, 10*time.Second)),
		frame:     max(0, cmp.Or(limits.FrameTimeout, 5*time.Minute)),
		pingEvery: max(0, cmp.Or(t.PingInterval, 20*time.Second)),
		pongUntil: max(0, cmp.Or(t.PongTimeout, 30*time.Second)),
		bye:       lastRequest,
		over:      over,
	}
}

// dialed is what a dialer's are like.
func (t *Transport) dialed(peer transport.Peer) config {
	cfg := t.accepted(peer, func() {})
	cfg.maxFrame = cmp.Or(t.MaxFrame, transport.ClientMaxFrame)
	cfg.idle = 0
	cfg.bye = enough
	return cfg
}

const (
	readBuffer  = 2 << 10  // kept by each conn; longer messages are read past it
	writeBuffer = 16 << 10 // kept by whoever is writing
)

var writeBuffers sync.Pool // gorilla's

var (
	_ transport.Conn         = (*conn)(nil)
	_ transport.ReasonCloser = (*conn)(nil)
)

// newConn makes a conn of a WebSocket that speaks through a line. Gorilla reads from in; nil: it has a buffer of its own.
func newConn(ws *gorilla.Conn, l *line, in *bufio.Reader, cfg config) *conn {
	c := &conn{ws: ws, line: l, cfg: cfg, turn: newTurn(in), inbox: newInbox(), said: make(chan struct{})}
	c.held.use.Init(cfg.memory, &c.cfg.peer)
	c.ctx, c.gone = context.WithCancelCause(context.Background())
	context.AfterFunc(c.ctx, l.interrupt)
	c.bye.Store(&c.cfg.bye)
	l.idle, l.frame = cfg.idle, cfg.frame
	ws.SetPingHandler(func(data string) error { c.pong(data); return nil })
	ws.SetCloseHandler(func(code int, text string) error { c.peerCloses(code, text); return nil })
	go c.read()
	c.startPings()
	return c
}

// Context implements transport.Conn.
func (c *conn) Context() context.Context { return c.ctx }

// Peer implements transport.Conn.
func (c *conn) Peer() transport.Peer { return c.cfg.peer }

// Receive implements transport.Conn.
func (c *conn) Receive(ctx context.Context, dst []byte) ([]byte, error) {
	if c.given > 0 {
		_ = c.held.add(-c.given)
		c.given = 0
	}
	for !c.closed.Load() {
		mine := c.turn.tryTake()
		got, ok, err := c.take(dst)
		if mine {
			if !ok && err == nil {
				got, ok = c.direct(ctx, dst)
			}
			c.turn.give()
		}
		switch {
		case ok:
			return got, nil
		case err != nil:
			if c.closed.Load() {
				err = net.ErrClosed
			}
			return dst, err
		case ctx.Err() != nil:
			return dst, context.Cause(ctx)
		}
		if mine {
			notify(c.turn.asked) // to read what is not for us
		} else if !c.turn.wait() {
			continue
		}
		select {
		case <-c.inbox.filled:
		case <-ctx.Done():
		}
		c.turn.waits.Store(false)
	}
	return dst, net.ErrClosed
}

// take takes the next frame from the inbox.
func (c *conn) take(dst []byte) (got []byte, ok bool, err error) {
	got, size, handed, err := c.inbox.take(dst)
	switch {
	case handed:
		c.given = size
	case size > 0:
		_ = c.held.add(-size)
	}
	return got, size > 0, err
}
