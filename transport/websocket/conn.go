package websocket

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/rudderpost/rudderpost/transport"
)

// A conn is a WebSocket. Gorilla's reader cannot be used after a timeout, so Receive cannot call it with a deadline:
// the reader, a goroutine of the conn, calls it, and Receive takes frames from the inbox. The reader also handles
// pings, pongs and the close frame while no Receive runs. To save the change of goroutines, Receive reads short
// messages itself, from the buffer in front of gorilla, while it has the readLock.
//
// The states of a conn:
//
//	from                to          when
//	open                closing     Close: sends the close frame; the reader discards bytes until the peer's close frame
//	open                peerClosed  the peer's close frame arrives, and is answered with the same code
//	open                lost        a read or write fails, or no answer to a ping arrives in time
//	closing             ended       the peer's close frame arrives, or one second has passed; the connection is closed
//	peerClosed, lost    ended       Close; the connection is closed
//
// ctx ends in each state but open, with the cause. closed is set by Close. The reader closes the connection.
type conn struct {
	ws         *gorilla.Conn
	sock       *deadlineConn
	cfg        config
	readLock   *readLock
	inbox      *inbox
	held       heldMemory
	handedOver int // bytes of the frame that Receive has returned without a copy; used by Receive only

	ctx    context.Context
	fail   context.CancelCauseFunc
	closed atomic.Bool

	writing        sync.Mutex             // held by the writer, which unlocks it with release
	sending        atomic.Bool            // the writer is Send
	broken         bool                   // a write has failed, so no other frame can follow; guarded by writing
	unansweredPing atomic.Pointer[string] // the data of the last ping without a pong; nil: none

	reason    atomic.Pointer[closeReason] // for the close frame
	closeSent chan struct{}               // closed when Close has sent the close frame or has failed to

	pingTimer       *time.Timer
	lastPing        time.Time // when the last ping was due
	unansweredSince time.Time // when the first ping without an answer was due; zero: all were answered
}

// A config has what differs between conns. A duration of 0 is no limit.
type config struct {
	peer                 transport.Peer
	memory               transport.Memory // where the conn books its buffers; nil: it does not book
	maxFrame             int
	idle, frame          time.Duration
	pingEvery, pongUntil time.Duration
	reason               closeReason // for a close frame without another reason
	onClosed             func()      // called when the connection was closed
}

// accepted returns the config of a conn of a listener.
func (t *Transport) accepted(peer transport.Peer, onClosed func()) config {
	limits := t.limits()
	return config{
		peer:      peer,
		maxFrame:  cmp.Or(limits.MaxFrame, transport.DefaultMaxFrame),
		idle:      max(0, cmp.Or(limits.Idle, 10*time.Second)),
		frame:     max(0, cmp.Or(limits.FrameTimeout, 5*time.Minute)),
		pingEvery: max(0, cmp.Or(t.PingInterval, 20*time.Second)),
		pongUntil: max(0, cmp.Or(t.PongTimeout, 30*time.Second)),
		reason:    afterLastRequest,
		onClosed:  onClosed,
	}
}

// dialed returns the config of a dialed conn.
func (t *Transport) dialed(peer transport.Peer) config {
	cfg := t.accepted(peer, func() {})
	cfg.maxFrame = cmp.Or(t.MaxFrame, transport.ClientMaxFrame)
	cfg.idle = 0
	cfg.reason = noReason
	return cfg
}

const (
	readBuffer  = 2 << 10  // of each conn; longer messages are read into their own buffer
	writeBuffer = 16 << 10 // of a conn while it writes
)

var writeBuffers sync.Pool // used by gorilla

var (
	_ transport.Conn         = (*conn)(nil)
	_ transport.ReasonCloser = (*conn)(nil)
)

// newConn makes a conn of a WebSocket over l, and starts its reader. Gorilla reads from in; nil: gorilla has its own
// buffer, so Receive cannot read.
func newConn(ws *gorilla.Conn, l *deadlineConn, in *bufio.Reader, cfg config) *conn {
	c := &conn{ws: ws, sock: l, cfg: cfg, readLock: newReadLock(in), inbox: newInbox(), closeSent: make(chan struct{})}
	c.held.use.Init(cfg.memory, &c.cfg.peer)
	c.ctx, c.fail = context.WithCancelCause(context.Background())
	context.AfterFunc(c.ctx, l.interrupt)
	c.reason.Store(&c.cfg.reason)
	l.idle, l.frame = cfg.idle, cfg.frame
	ws.SetPingHandler(func(data string) error { c.onPing(data); return nil })
	ws.SetCloseHandler(func(code int, text string) error { c.onCloseFrame(code, text); return nil })
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
	if c.handedOver > 0 {
		_ = c.held.add(-c.handedOver)
		c.handedOver = 0
	}
	for !c.closed.Load() {
		mine := c.readLock.tryLock()
		got, ok, err := c.take(dst)
		if mine {
			if !ok && err == nil {
				got, ok = c.readDirect(ctx, dst)
			}
			c.readLock.unlock()
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
			notify(c.readLock.readerWanted) // to read what is not for us
		} else if !c.readLock.waitForReader() {
			continue
		}
		select {
		case <-c.inbox.filled:
		case <-ctx.Done():
		}
		c.readLock.receiveWaits.Store(false)
	}
	return dst, net.ErrClosed
}

// take takes the next frame from the inbox. ok is false when there is none; err says why no frame will follow.
func (c *conn) take(dst []byte) (got []byte, ok bool, err error) {
	got, size, handed, err := c.inbox.take(dst)
	switch {
	case handed:
		c.handedOver = size
	case size > 0:
		_ = c.held.add(-size)
	}
	return got, size > 0, err
}

// read runs the reader. It fills the inbox until the conn ends, and closes the connection when the conn was closed.
func (c *conn) read() {
	defer c.cfg.onClosed()
	defer func() { _ = c.sock.Close() }()
	defer c.readLock.end()
	c.inbox.finish(c.fill())
	<-c.ctx.Done()
	if c.closed.Load() {
		<-c.closeSent
		c.drain()
	}
}

// fill puts the received frames into the inbox, and returns why no more will follow.
func (c *conn) fill() error {
	for {
		kind, r, err := c.ws.NextReader()
		if err != nil {
			return c.receiveError(err, 0)
		}
		if kind != gorilla.TextMessage {
			return c.refuse(gorilla.CloseUnsupportedData, &transport.FrameError{Reason: transport.Binary})
		}
		c.sock.beginMessage()
		buf, err := c.message(r)
		if err != nil {
			return err
		}
		c.sock.endMessage()
		frame, err := transport.Frame(*buf)
		if err != nil {
			return c.refuse(gorilla.CloseInvalidFramePayloadData, err)
		}
		if err := c.inbox.put(c.ctx, arrived{frame, buf}); err != nil {
			return err
		}
		c.yieldRead()
	}
}

// message reads one message. Its buffer grows with the bytes that arrive, and is booked before it is allocated.
func (c *conn) message(r io.Reader) (*[]byte, error) {
	buf := buffers.Get().(*[]byte)
	b := *buf
	if err := c.held.add(cap(b)); err != nil {
		return nil, c.overBudget(err)
	}
	complete := false
	defer func() {
		if !complete {
			_ = c.held.add(-cap(b))
		}
	}()
	for {
		if len(b) == cap(b) {
			grown, err := c.grow(b)
			if err != nil {
				return nil, c.overBudget(err)
			}
			b = grown
		}
		n, err := r.Read(b[len(b):min(cap(b), c.cfg.maxFrame+1)])
		b = b[:len(b)+n]
		switch {
		case len(b) > c.cfg.maxFrame:
			return nil, c.tooLarge()
		case err == io.EOF:
			*buf, complete = b, true
			return buf, nil
		case err != nil:
			return nil, c.receiveError(err, len(b))
		}
	}
}

// grow copies a buffer into one of twice its size, and books both until then. Near the memory budget the new buffer
// is only a quarter larger.
func (c *conn) grow(b []byte) ([]byte, error) {
	size := min(2*cap(b), max(c.cfg.maxFrame+1, cap(b)+1))
	err := c.held.add(size)
	if err != nil {
		size = cap(b) + max(cap(b)/4, 1)
		err = c.held.add(size)
	}
	if err != nil {
		return nil, err
	}
	grown := append(make([]byte, 0, size), b...)
	return grown, c.held.add(-cap(b))
}

// overBudget sets the close reason for a peer whose memory budget is used up.
func (c *conn) overBudget(err error) error {
	c.reason.Store(&closeReason{gorilla.CloseTryAgainLater, "too many bytes are held for this peer"})
	return err
}

// tooLarge returns the error for a message above maxFrame.
func (c *conn) tooLarge() error {
	return c.refuse(gorilla.CloseMessageTooBig, &transport.FrameError{Reason: transport.TooLarge, Limit: c.cfg.maxFrame})
}

// refuse sets the close reason and returns err. The peer can still receive.
func (c *conn) refuse(code int, err error) error {
	c.reason.Store(&closeReason{code, err.Error()})
	return err
}

// receiveError returns the error of Receive after a failed read. unfinished is how many bytes of an incomplete
// message were read.
func (c *conn) receiveError(err error, unfinished int) error {
	closing, closed := errors.AsType[*gorilla.CloseError](err)
	switch {
	case c.closed.Load():
		return net.ErrClosed
	case c.ctx.Err() != nil: // the peer has closed, or was given up
		if peer, ok := errors.AsType[*closeError](context.Cause(c.ctx)); ok {
			return peer.end()
		}
		return context.Cause(c.ctx)
	case c.sock.timedOut:
		return c.refuse(gorilla.ClosePolicyViolation, &transport.FrameError{Reason: transport.TimedOut, Discarded: unfinished})
	case errors.Is(err, gorilla.ErrReadLimit): // more bytes were announced than there are numbers for
		return c.tooLarge()
	case closed && closing.Code == gorilla.CloseAbnormalClosure:
		c.fail(errNoCloseFrame)
		if unfinished > 0 {
			return &transport.FrameError{Reason: transport.CutOff, Discarded: unfinished}
		}
		return errNoCloseFrame
	case c.sock.failed:
		c.fail(err)
		return err
	}
	c.fail(fmt.Errorf("the peer does not keep to RFC 6455: %w", err)) // gorilla has told it
	return &transport.FrameError{Reason: transport.BadEncoding}
}

var errNoCloseFrame = fmt.Errorf("the peer has left without a close frame: %w", io.ErrUnexpectedEOF)

// drain reads and discards messages until the peer's close frame or the deadline of Close. With unread bytes in it, a
// closed socket would discard what it has sent.
func (c *conn) drain() {
	for {
		_, r, err := c.ws.NextReader()
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return
		}
	}
}

// heldMemory books the buffers of messages that a conn holds: the one that arrives, those in the inbox, and the one
// that Receive has returned without a copy. Messages that readDirect reads are not counted, because they are in the
// conn's own buffer. The reader and Receive both use it.
type heldMemory struct {
	mu    sync.Mutex
	use   transport.MemoryUse
	bytes int
}

// add books n bytes, before they are allocated. A negative n releases bytes and always succeeds.
func (h *heldMemory) add(n int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.use.Set(h.bytes + n); err != nil {
		return err
	}
	h.bytes += n
	return nil
}
