package websocket

import (
	"context"
	"encoding/binary"

	"github.com/rudderpost/rudderpost/transport"
)

// What a frame starts with (RFC 6455, section 5.2) that is a whole text message of a client's.
const (
	wholeText = 0x81
	masked    = 0x80
	longer    = 126 // the length stands in the next two bytes
	longest   = 127
)

// direct receives a message that is short and simple, and waits for it if it must. Whoever calls it has the turn.
func (c *conn) direct(ctx context.Context, dst []byte) (got []byte, ok bool) {
	head := c.await(ctx, 2)
	if head == nil || head[0] != wholeText || head[1]&masked == 0 {
		return dst, false
	}
	size, start := int(head[1]&^masked), 2+4
	switch size {
	case longer:
		if head = c.await(ctx, 4); head == nil {
			return dst, false
		}
		size, start = int(binary.BigEndian.Uint16(head[2:])), 4+4
	case longest:
		return dst, false
	}
	if size > c.cfg.maxFrame || start+size > c.turn.in.Size() {
		return dst, false
	}
	c.line.begin()
	message := c.await(ctx, start+size)
	if message == nil {
		return dst, false
	}
	had := len(dst)
	got = dst
	got = append(got, message[start:]...)
	for i := range got[had:] {
		got[had+i] ^= message[start-4+i&3]
	}
	frame, err := transport.Frame(got[had:])
	if err != nil {
		return dst, false
	}
	_, _ = c.turn.in.Discard(start + size)
	c.line.whole()
	return append(got[:had], frame...), true
}

// await returns the next n bytes, which stay where they are, or nil if they do not come while ctx and the conn live.
func (c *conn) await(ctx context.Context, n int) []byte {
	if c.turn.in.Buffered() < n {
		if ctx.Err() != nil {
			return nil
		}
		c.turn.follow(ctx, c.line.interrupt)
		c.line.canInterrupt()
		if ctx.Err() == nil && c.ctx.Err() == nil {
			_, _ = c.turn.in.Peek(n)
		}
		c.line.cannotInterrupt()
		if c.turn.in.Buffered() < n {
			return nil
		}
	}
	bytes, _ := c.turn.in.Peek(n)
	return bytes
}
