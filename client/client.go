package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// window is how many commands a Client has in flight: what a daemon reads unless it is told
// otherwise. More wait here for their turn, where they can still change their mind.
const window = 16

// A Client gives many commands on one conn. Its methods may be called from any goroutine.
type Client struct {
	conn    transport.Conn
	slots   chan struct{} // one for each command in flight
	sending chan struct{} // whoever sends holds it
	done    chan struct{} // closed when nothing is received any more

	mu      sync.Mutex
	next    int64
	waiting map[wire.ID]chan wire.Reply
	err     error // why commands in flight got no reply
	late    error // why commands after them are not sent
}

// Dial opens a conn and returns its Client. ctx bounds the opening.
func Dial(ctx context.Context, d transport.Dialer) (*Client, error) {
	conn, err := d.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return New(conn), nil
}

// New returns the Client of a conn, which belongs to it from now on. One goroutine receives until
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

// Close closes the conn, which cancels what is in flight, and waits until nobody uses it.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.done
	return err
}

// Call gives a command and decodes what it returns into an Out. A failed command is an *wire.Error.
// arguments is anything that can be encoded; nil is none.
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

// Do gives a command and waits for its reply; the request's id is the Client's matter. When ctx ends
// first, the command is cancelled. The error says why there is no reply.
func (c *Client) Do(ctx context.Context, r wire.Request) (wire.Reply, error) {
	if err := take(ctx, c.slots, c.done, c.notSent); err != nil {
		return wire.Reply{}, err
	}
	reply := make(chan wire.Reply, 1)
	r.ID = c.enter(reply)
	if err := c.send(ctx, r); err != nil {
		c.leave(r.ID)
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
	case answer := <-reply: // it came with the end
		return answer, nil
	default:
		c.leave(r.ID)
		return wire.Reply{}, c.reason()
	}
}

// enter gives a command an id. Its slot is free again when its reply has come.
func (c *Client) enter(reply chan wire.Reply) wire.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	id := wire.IntID(c.next)
	c.waiting[id] = reply
	return id
}

// leave takes an id back, and returns who waits for its reply.
func (c *Client) leave(id wire.ID) chan wire.Reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	reply, ok := c.waiting[id]
	if ok {
		delete(c.waiting, id)
		<-c.slots
	}
	return reply
}

// send sends a request, one after the other.
func (c *Client) send(ctx context.Context, r wire.Request) error {
	frame, err := wire.AppendRequest(nil, r)
	if err != nil {
		return fmt.Errorf("the request: %w", err)
	}
	if err := take(ctx, c.sending, c.done, c.notSent); err != nil {
		return err
	}
	defer func() { <-c.sending }()
	err = c.conn.Send(context.Background(), frame)
	if err == nil || errors.Is(err, transport.ErrOneFrame) {
		return err
	}
	select { // whoever closed the conn may have said why, which counts more
	case <-c.done:
		return c.notSent()
	case <-ctx.Done():
		return err
	}
}

// cancel asks the daemon to give up a command. That command's reply, whatever it says, frees the
// slot; nobody waits for the reply to the cancel.
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

// receive hands out replies until there are no more.
func (c *Client) receive() {
	defer close(c.done)
	var last error
	heard := func(frame []byte, err error) (goOn bool) {
		if last = err; err == nil {
			last = c.answer(frame)
		}
		return last == nil
	}
	if conn, ok := c.conn.(transport.Hearer); ok {
		for last == nil {
			conn.Hear(context.Background(), func(frame []byte, err error) bool { return heard(slices.Clone(frame), err) })
		}
	}
	for last == nil {
		heard(c.conn.Receive(context.Background(), nil))
	}
	c.end(last)
}

// answer gives a reply to whoever waits for it. The error says why there will be no others.
func (c *Client) answer(frame []byte) error {
	reply, err := wire.DecodeReply(frame)
	if err != nil {
		return err
	}
	if reply.ID.IsZero() { // the daemon's last word
		if err = reply.Err(); err == nil {
			err = errors.New("the daemon sent a reply without an id")
		}
		return err
	}
	if waiting := c.leave(reply.ID); waiting != nil {
		waiting <- reply
	}
	return nil
}

// end notes why nothing is received any more.
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

// reason returns why a command that was sent got no reply.
func (c *Client) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// notSent returns why a command is not sent, after nothing is received any more.
func (c *Client) notSent() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.late
}

// take takes a place in a channel, or says why there will be none.
func take(ctx context.Context, places chan<- struct{}, done <-chan struct{}, reason func() error) error {
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
