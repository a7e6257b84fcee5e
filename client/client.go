package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/rudderpost/rudderpost/internal/netfd"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// window is the number of commands that a Client has in flight at most: max-in-flight of a daemon, unless configured. Further commands
// wait in Do, where the end of their contexts still keeps them from being sent.
const window = 16

// A Client gives many commands on one conn. Its methods may be called from any goroutine.
type Client struct {
	conn    transport.Conn
	slots   chan struct{} // one for each command in flight
	sending chan struct{} // a semaphore of one: a request is being sent
	done    chan struct{} // closed when receive has ended

	mu      sync.Mutex
	next    int64
	waiting map[wire.ID]chan wire.Reply
	err     error // the reason why commands in flight got no reply
	late    error // the reason why later commands are not sent
}

// Dial opens a conn and returns its Client. It blocks until the conn is open or ctx ends.
func Dial(ctx context.Context, d transport.Dialer) (*Client, error) {
	conn, err := d.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return New(conn), nil
}

// New returns the Client of a conn. The Client owns the conn from now on. One goroutine receives until
// Close. A conn over HTTP carries one command only. The error of a second one is transport.ErrOneFrame:
// use the function Do there, which dials for each command.
func New(conn transport.Conn) *Client {
	c := &Client{
		conn:    conn,
		slots:   make(chan struct{}, window),
		sending: make(chan struct{}, 1),
		done:    make(chan struct{}),
		waiting: map[wire.ID]chan wire.Reply{},
	}
	go c.receive()
	return c
}

// Close closes the conn, and waits until the receiving goroutine has ended. Commands in flight get no reply; the daemon
// cancels them where the transport reports the close (PROTOCOL.md, "Giving up a command").
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.done
	return err
}

// Call gives a command and decodes the arguments of its reply into an Out. The error of a failed command is a *wire.Error.
// arguments is any value that can be encoded as JSON; nil: none. Call blocks like Client.Do.
func Call[Out any](ctx context.Context, c *Client, command string, arguments any) (Out, error) {
	var out Out
	value, err := Arguments(arguments)
	if err != nil {
		return out, err
	}
	reply, err := c.Do(ctx, wire.Request{Command: command, Arguments: value})
	if err == nil {
		err = reply.Err()
	}
	if err == nil && reply.Arguments != nil {
		err = reply.Decode(&out)
	}
	return out, err
}

// Do gives a command and waits for its reply. The Client chooses the request's id. While 16 commands are in flight, Do waits before
// it sends. When ctx ends first, Do cancels the command and returns the cause of ctx. The error says why there is no reply; a reply of a
// failed command is no error, see wire.Reply.Err.
func (c *Client) Do(ctx context.Context, r wire.Request) (wire.Reply, error) {
	if err := acquire(ctx, c.slots, c.done, c.notSent); err != nil {
		return wire.Reply{}, err
	}
	reply := make(chan wire.Reply, 1)
	r.ID = c.addWaiting(reply)
	if err := c.send(ctx, r); err != nil {
		c.removeWaiting(r.ID)
		return wire.Reply{}, err
	}
	select {
	case answer := <-reply:
		return answer, nil
	case <-ctx.Done():
		go c.cancel(r.ID)
		return wire.Reply{}, context.Cause(ctx)
	case <-c.done:
	}
	select {
	case answer := <-reply: // it came just before the end
		return answer, nil
	default:
		c.removeWaiting(r.ID)
		return wire.Reply{}, c.reason()
	}
}

// addWaiting gives a command an id and keeps the channel for its reply. removeWaiting frees its slot.
func (c *Client) addWaiting(reply chan wire.Reply) wire.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	id := wire.IntID(c.next)
	c.waiting[id] = reply
	return id
}

// removeWaiting forgets an id and frees its slot. It returns the channel for the reply, or nil if the id is not known.
func (c *Client) removeWaiting(id wire.ID) chan wire.Reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	reply, ok := c.waiting[id]
	if ok {
		delete(c.waiting, id)
		<-c.slots
	}
	return reply
}

// send sends a request. One goroutine sends at a time; the others wait.
func (c *Client) send(ctx context.Context, r wire.Request) error {
	frame, err := wire.AppendRequest(nil, r)
	if err != nil {
		return fmt.Errorf("the request: %w", err)
	}
	if err := acquire(ctx, c.sending, c.done, c.notSent); err != nil {
		return err
	}
	defer func() { <-c.sending }()
	err = c.conn.Send(context.Background(), frame)
	if err == nil || errors.Is(err, transport.ErrOneFrame) {
		return err
	}
	select { // the reason that receive has found is better than the error of the write
	case <-c.done:
		return c.notSent()
	case <-ctx.Done():
		return err
	}
}

// cancel sends a cancel for a command. The reply to that command frees its
// slot. The reply to the cancel is dropped.
func (c *Client) cancel(id wire.ID) {
	arguments, err := Arguments(map[string]wire.ID{"id": id})
	if err != nil {
		return
	}
	c.mu.Lock()
	c.next++
	own := wire.IntID(c.next)
	c.mu.Unlock()
	_ = c.send(context.Background(), wire.Request{Command: "cancel", Arguments: arguments, ID: own})
}

// receive delivers replies until the conn ends.
func (c *Client) receive() {
	defer close(c.done)
	var last error
	onFrame := func(frame []byte, err error) (more bool) {
		if last = err; err == nil {
			last = c.answer(frame)
		}
		return last == nil
	}
	if conn, ok := c.conn.(interface{ Fast() netfd.FrameConn }); ok {
		fast := conn.Fast()
		for last == nil {
			fast.ReadLoop(context.Background(), func(frame []byte, err error) bool { return onFrame(slices.Clone(frame), err) })
		}
	}
	for last == nil {
		onFrame(c.conn.Receive(context.Background(), nil))
	}
	c.end(last)
}

// answer delivers a reply to the Do that waits for it. The error says why no other reply will come.
func (c *Client) answer(frame []byte) error {
	reply, err := wire.DecodeReply(frame)
	if err != nil {
		return err
	}
	if reply.ID.IsZero() { // the last reply of the conn
		if err = reply.Err(); err == nil {
			err = errors.New("the daemon sent a reply without an id")
		}
		return err
	}
	if waiting := c.removeWaiting(reply.ID); waiting != nil {
		waiting <- reply
	}
	return nil
}

// end sets the reasons why no reply comes any more, and closes the conn.
func (c *Client) end(err error) {
	late := err
	if errors.Is(err, io.EOF) {
		err, late = errNoReply, errNoReply
		if _, one := c.conn.(transport.OneFrameConn); one {
			late = transport.ErrOneFrame
		}
	}
	c.mu.Lock()
	c.err, c.late = err, late
	c.mu.Unlock()
	_ = c.conn.Close()
}

// reason returns the reason why a command that was sent got no reply.
func (c *Client) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// notSent returns the reason why a command is not sent after receive has ended.
func (c *Client) notSent() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.late
}

// acquire acquires a place of the semaphore places, or returns the reason why there will be none.
func acquire(ctx context.Context, places chan<- struct{}, done <-chan struct{}, reason func() error) error {
	select {
	case <-done:
		return reason()
	default:
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-done:
		return reason()
	}
}
